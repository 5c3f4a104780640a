"""Extractive compression: whole sentences, word for word and in order, until the budget is full.

Nothing inside a sentence is touched, so that numbers, identifiers and negations of what is kept
are those of the document; and a sentence that takes something back ("But not ...") is kept or left
out together with the one before it.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.knowledge.records import Passage
from engine.models.encoder import Encoder
from engine.models.words import stems

_END = re.compile(
    r"""[.!?\u2026]["'\u201d\u2019)\]]*\s+(?=["'\u201c\u2018(\[]?[A-Z0-9\u00c0-\u00de])"""
    r"|[\u3002\uff01\uff1f]|\n+"
)
_ABBREVIATED = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|no|nr|dr|mr|mrs|ms|st|inc|ltd|co)|\b(?-i:[A-Z])|^\s*\d+)\.\s*$",
    re.I,
)
_TAKES_BACK = re.compile(
    r"\s*(?:but|however|except|unless|otherwise|instead|only|not|no|neither|nor|this does not|"
    r"these do not|it does not|that does not|the exceptions?)\b",
    re.I,
)
_FRAME = 12  # tokens around a passage in the prompt, besides its heading


@dataclass(frozen=True)
class _Unit:
    passage: int
    text: str
    """With the white space that follows it: the units of a passage join to its text."""
    tokens: int


async def compress(
    query: str, passages: Sequence[Passage], encoder: Encoder, budget_tokens: int
) -> list[Passage]:
    """The passages cut down to the sentences that fit `query` best, in their order.

    A sentence scores .5 cosine + .5 share of the query's rare words + .25 / rank of its passage.
    A passage of which nothing is kept is left out; within the budget all stays as it is.
    """
    if sum(_cost(passage) + tokens(passage.text) for passage in passages) <= budget_tokens:
        return list(passages)
    units = [
        _Unit(index, text, tokens(text))
        for index, passage in enumerate(passages)
        for text in sentences(passage.text)
    ]
    if not units:
        return []
    vectors = await encoder.encode([query, *(unit.text.strip() for unit in units)])
    meaning = vectors[1:] @ vectors[0]
    words = _term_match(query, [unit.text for unit in units])
    scores = [
        0.5 * float(meaning[n]) + 0.5 * words[n] + 0.25 / (1 + unit.passage)
        for n, unit in enumerate(units)
    ]
    kept = _choose(units, scores, [_cost(passage) for passage in passages], budget_tokens)
    texts = [
        "".join(unit.text for n, unit in enumerate(units) if n in kept and unit.passage == index)
        for index in range(len(passages))
    ]
    return [
        replace(passage, text=text.strip())
        for passage, text in zip(passages, texts, strict=True)
        if text.strip()
    ]


def sentences(text: str) -> list[str]:
    """The sentences of `text`, joined with what takes them back; together they are the text."""
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        part = text[start : match.end()]
        if _ABBREVIATED.search(part) and "\n" not in match.group():
            continue
        found.append(part)
        start = match.end()
    if start < len(text):
        found.append(text[start:])
    joined: list[str] = []
    for part in found:
        if joined and (_TAKES_BACK.match(part) or not part.strip()):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def tokens(text: str) -> int:
    """About how many tokens a model reads, on the safe side: offline, and for any language."""
    plain = sum(character.isascii() for character in text)
    return math.ceil(plain / 3.5) + len(text) - plain


def _cost(passage: Passage) -> int:
    return _FRAME + tokens(passage.id) + tokens(passage.heading)


def _choose(
    units: Sequence[_Unit], scores: Sequence[float], costs: Sequence[int], budget: int
) -> set[int]:
    """Best first, each if it still fits; the first sentence of a passage pays for its frame."""
    kept: set[int] = set()
    said: set[str] = set()  # neighbouring chunks overlap
    open_passages: set[int] = set()
    left = budget
    for n in sorted(range(len(units)), key=lambda n: -scores[n]):
        unit = units[n]
        if unit.text.strip() in said:
            continue
        price = unit.tokens + (0 if unit.passage in open_passages else costs[unit.passage])
        if price <= left:
            kept.add(n)
            said.add(unit.text.strip())
            open_passages.add(unit.passage)
            left -= price
    return kept


def _term_match(query: str, texts: Sequence[str]) -> list[float]:
    """The share of the query's words that each text has, rare words counting more: 0 to 1."""
    found = [stems(text) for text in texts]
    weights = {
        stem: math.log(1 + len(texts) / count)
        for stem in stems(query)
        if (count := sum(stem in have for have in found))
    }
    total = sum(weights.values()) or 1.0
    return [sum(weights[stem] for stem in have & weights.keys()) / total for have in found]
