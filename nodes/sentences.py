"""Release text sentence by sentence, each with the citations that follow it."""

import re

_END = re.compile(
    r"(?:[.!?…][\"')\]]*(?:\s*\[[\w./-]+(?:#\d+)?\])*|(?:\s*\[[\w./-]+#\d+\])+)\s+|\n+"
)
_SHORT = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|no|nr|dr|mr|mrs|ms|st)|\b[A-Z]|^\s*\d+)\.\s*$", re.I
)


class Sentences:
    """Collects streamed text and hands out what is complete."""

    def __init__(self) -> None:
        self._waiting = ""

    def feed(self, text: str) -> list[str]:
        """The sentences that `text` completes, white space kept, so that they join to the whole.

        One is complete only when the next has begun: its citations come behind it.
        """
        self._waiting += text
        ready: list[str] = []
        start = 0
        for match in _END.finditer(self._waiting):
            rest = self._waiting[match.end() :]
            if not rest.strip() or rest.lstrip().startswith("["):
                break
            candidate = self._waiting[start : match.end()]
            if not _SHORT.search(candidate):
                ready.append(candidate)
                start = match.end()
        self._waiting = self._waiting[start:]
        return ready

    def rest(self) -> str:
        """What remains when the stream has ended."""
        rest, self._waiting = self._waiting, ""
        return rest


def split(text: str) -> list[str]:
    """The sentences of a whole text."""
    sentences = Sentences()
    return [part for part in [*sentences.feed(text), sentences.rest()] if part.strip()]
