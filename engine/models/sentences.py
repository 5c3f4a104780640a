"""Cut Markdown into sentences that can stand alone, and rank them by how well they answer.

A bullet keeps the line that introduces its list ("You can return: shoes."), or the heading right
above it; a table row becomes "Standard: Time 3 days, Price 4.90."
"""

import math
import re
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import unescape

import numpy as np
from numpy.typing import NDArray

from engine.models.encoder import Encoder
from engine.models.turn import Passage
from engine.models.words import stems

_END = re.compile(r"""[.!?…]["'”’)\]]*\s+(?=["'“\u2018(\[]?[A-Z0-9À-ÖØ-Þ#])""")
_ENDED = re.compile(r"""[.!?…]["'”’)\]]*$""")
_UNENDED = re.compile(r"""[^.!?…"'”’)\]]$""")
_GOES_ON = re.compile(r"(?:[:,]|\b(?:and|or))$")  # a bullet whose sentence the next one continues
_SHORT = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|no|nr|dr|mr|mrs|ms|st|inc|ltd|co|min|max|a\.m|p\.m)|"
    r"\b[A-Z](?:\.[A-Z])*)\.\s*$",
    re.I,
)
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+(.*?)\s*#*\s*$")
_BULLET = re.compile(r"\s*(?:[-*+•–]|\(?\d{1,2}[.)])\s+(.*)$")
_ROW = re.compile(r"\s*\|(.*)\|\s*$")
_RULE = re.compile(r"[\s|:=_*-]+$")
_MARKS = re.compile(r"(\*\*|__|``?|~~)")
_EMPHASIS = re.compile(r"(?<!\w)[*_](\S(?:[^*_]*\S)?)[*_](?!\w)")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]+)\]\([^)\s]*(?:\s[^)]*)?\)")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,80}>")
_IDENTIFIER = re.compile(r"\S*\d{5,}\S*|\S+@\S+")
_LEANS = re.compile(
    r"(?:it|its|this|these|that|those|they|their|he|she|however|but|otherwise|then|also|if so|"
    r"in (?:this|that) case|after that|the same)\b",
    re.I,
)
READ = 24
"""Sentences embedded for a question: those with most of its words, of the first passages first."""
CACHED = 8_192
"""Sentences whose vectors are remembered, 1.5 kB each."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a passage and the heading it stands under."""

    text: str
    heading: str
    passage: Passage
    rank: int
    """Of its passage, 0 first."""

    @property
    def topic(self) -> str:
        """What it is about: the passage's title and the heading."""
        title = self.passage.title
        return title if title.endswith(self.heading) else f"{title} › {self.heading}"

    @property
    def leans(self) -> bool:
        """Whether it makes little sense without the sentence before it."""
        return bool(_LEANS.match(self.text))


@dataclass(frozen=True)
class Scored:
    """A sentence and how well it answers; `fit` (cosine + .3 term share) compares questions."""

    sentence: Sentence
    score: float
    fit: float


def sentences_of(passages: Sequence[Passage]) -> list[Sentence]:
    """All sentences of `passages`, in order."""
    return [
        Sentence(text, heading, passage, rank)
        for rank, passage in enumerate(passages)
        for heading, text in split(passage.text, passage.title.rpartition("›")[2].strip())
    ]


def split(markdown: str, heading: str = "") -> list[tuple[str, str]]:
    """Pairs of heading (the given one before the first) and clean sentence."""
    lines = [line.lstrip(">").rstrip() for line in markdown.splitlines()]
    reader = _Reader(heading)
    for line, below in zip(lines, [*lines[1:], ""], strict=False):
        reader.take(line, below)
    return reader.finished()


class _Reader:
    """Puts lines together to paragraphs, bullets and rows, and cuts those into sentences."""

    def __init__(self, heading: str) -> None:
        self._found: list[tuple[str, str]] = []
        self._heading, self._below_heading = heading, bool(heading)
        self._open: list[str] = []
        self._intro, self._introduced = "", False
        self._columns: list[str] = []

    def take(self, line: str, below: str) -> None:
        kind, text = _kind(line)
        if kind == "more":
            if not self._open:
                self._leave_intro()
            self._open.append(text)
            self._below_heading = False
            return
        self._close()
        if kind == "bullet":
            lead = f"{self._heading}:" if self._below_heading else self._intro
            self._open = [f"{lead} {text}".lstrip()]
            self._introduced = True
        elif kind == "heading":
            self._leave_intro()
            self._heading, self._below_heading = _plain(text), text[-1:].isalnum()
        elif kind == "row":
            self._row([_plain(cell) for cell in text.split("|")], below)

    def finished(self) -> list[tuple[str, str]]:
        self._close()
        self._leave_intro()
        return self._found

    def _row(self, cells: list[str], below: str) -> None:
        self._introduced = True
        if "-" in below and _RULE.match(below):
            self._columns = cells
        else:
            self._say(_row(self._columns, cells))

    def _close(self) -> None:
        """End the paragraph or bullet; one that stops in its sentence introduces what follows."""
        parts = _parts(_plain(" ".join(self._open)))
        self._open = []
        goes_on = _GOES_ON if self._introduced else _UNENDED
        intro = parts.pop() if parts and goes_on.search(parts[-1]) else ""
        for part in parts:
            self._say(part)
        if intro:
            self._leave_intro()
            self._intro, self._introduced = intro, False

    def _leave_intro(self) -> None:
        if self._intro and not self._introduced:
            self._say(self._intro)
        self._intro, self._introduced = "", False

    def _say(self, sentence: str) -> None:
        if re.search(r"\w", sentence):
            self._found.append((self._heading, _ended(sentence)))


def _kind(line: str) -> tuple[str, str]:
    if not line.strip() or _RULE.match(line) or line.startswith("```"):
        return "gap", ""
    for kind, pattern in (("row", _ROW), ("bullet", _BULLET), ("heading", _HEADING)):
        if found := pattern.match(line):
            return kind, found[1]
    return "more", line.strip()


def _row(columns: Sequence[str], cells: Sequence[str]) -> str:
    """`Standard: Time 3 days, Price 4.90.`"""
    if len(columns) != len(cells):
        return ", ".join(filter(None, cells)) + "."
    pairs = zip(columns[1:], cells[1:], strict=True)
    rest = ", ".join(f"{column} {cell}".strip() for column, cell in pairs if cell)
    return f"{cells[0]}: {rest}." if rest else f"{cells[0]}."


def _plain(text: str) -> str:
    text = _LINK.sub(r"\1", _IMAGE.sub("", text))
    text = _EMPHASIS.sub(r"\1", _MARKS.sub("", _TAG.sub("", text)))
    return " ".join(unescape(text).split())


def _parts(text: str) -> list[str]:
    found, start = [], 0
    for match in _END.finditer(text):
        if not _SHORT.search(text[start : match.end()]):
            found.append(text[start : match.end()].strip())
            start = match.end()
    return [part for part in [*found, text[start:].strip()] if part]


def _ended(sentence: str) -> str:
    sentence = sentence[0].upper() + sentence[1:]
    if _ENDED.search(sentence):
        return sentence
    return sentence.rstrip(" :;,") + "."


@dataclass
class Ranker:
    """Scores sentences: .5 cosine + .5 share of the question's rare words + .25 / passage rank.

    The cosine is .7 of the sentence's and .3 of its heading's. Without an encoder only words and
    rank count. Vectors are remembered by text, since the sentences of a knowledge base are few and
    come back often.
    """

    encoder: Encoder | None = None
    _vectors: OrderedDict[str, NDArray[np.float32]] = field(default_factory=OrderedDict)

    async def rank(self, question: str, sentences: Sequence[Sentence]) -> list[Scored]:
        """The `READ` most likely sentences with their scores, best first."""
        shares = _term_share(question, sentences)
        prior = [
            0.5 * share + 0.25 / (1 + s.rank) for s, share in zip(sentences, shares, strict=True)
        ]
        likely = sorted(range(len(sentences)), key=lambda n: -prior[n])[:READ]
        cosine = await self._cosines(
            question, [text for n in likely for text in (sentences[n].text, sentences[n].topic)]
        )
        scored = []
        for n in likely:
            own, topic = cosine[sentences[n].text], cosine[sentences[n].topic]
            fit = own + 0.3 * shares[n] if self.encoder else shares[n]
            scored.append(Scored(sentences[n], prior[n] + 0.35 * own + 0.15 * topic, fit))
        return sorted(scored, key=lambda each: -each.score)

    async def _cosines(self, question: str, texts: Sequence[str]) -> dict[str, float]:
        if self.encoder is None or not texts:
            return dict.fromkeys(texts, 0.0)
        known = {text: self._vectors[text] for text in texts if text in self._vectors}
        new = list(dict.fromkeys(text for text in texts if text not in known))
        # Alone, as the search embedded it: encoders remember questions.
        asked = await self.encoder.encode([question])
        if new:
            known |= zip(new, await self.encoder.encode(new), strict=True)
        for text, vector in known.items():
            self._vectors[text] = vector
            self._vectors.move_to_end(text)
        while len(self._vectors) > CACHED:
            self._vectors.popitem(last=False)
        return {text: float(vector @ asked[0]) for text, vector in known.items()}


def _term_share(question: str, sentences: Sequence[Sentence]) -> list[float]:
    """The share of the question's words in each sentence (0 to 1), rare words counting more.

    A word that only the heading has counts half.
    """
    asked = stems(_IDENTIFIER.sub("", question))
    own = [stems(sentence.text) for sentence in sentences]
    above = [stems(sentence.topic) for sentence in sentences]
    frequency = Counter(stem for text in own for stem in text & asked)
    weight = {stem: math.log(1 + len(sentences) / (frequency[stem] or 1)) for stem in asked}
    total = sum(weight.values()) or 1.0
    return [
        sum(weight[stem] * (1.0 if stem in text else 0.5) for stem in asked & (text | heading))
        / total
        for text, heading in zip(own, above, strict=True)
    ]
