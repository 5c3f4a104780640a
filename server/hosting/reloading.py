"""Serves again whenever a file of the project changes."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from watchfiles import Change, DefaultFilter, run_process

log = logging.getLogger(__name__)


class Sources(DefaultFilter):
    """Code, configuration and variables; not what is installed or cached."""

    def __call__(self, change: Change, path: str) -> bool:
        """Whether a change of this file counts."""
        name = Path(path).name
        counts = name.endswith((".py", ".json")) or name.startswith(".env")
        return counts and super().__call__(change, path)


def serve_again(
    folder: Path, data: Path, serve: Callable[[Sequence[str]], None], words: Sequence[str]
) -> None:
    """Call `serve(words)` in a process of its own, anew after every change below the folder.

    `serve` is a function that can be imported; what is below `data` does not count.
    """
    log.info("changes below %s restart the server", folder)
    run_process(
        folder,
        target=serve,
        args=(words,),
        watch_filter=Sources(ignore_paths=[data.resolve()]),
        debounce=400,
        callback=lambda changes: log.info("changed: %s", ", ".join(path for _, path in changes)),
        sigint_timeout=15,
    )
