"""Pick what the customer means from what a read listed, by the words of the labels.

A label is a name and, in parentheses, its options: `Water Bottle (capacity 1000ml, color blue)`.
A thing is mentioned by the last word of its name ("the bottle"), told from others of that name by
the words around it ("the blue bottle"), and exchanged for what stands behind "for" or "to".
Nothing is guessed: what fits equally well comes back as `unsure`, to be asked about.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from engine.models.turn import Choice
from engine.models.words import stem, stems

_TOKEN = re.compile(r"[a-zà-öø-ÿ]+|\d+(?:[.,]\d+)*|[,;.!?]", re.I)
_SEPARATORS = frozenset({"and", "plus", ",", ";", ".", "!", "?"})
_MARKERS = frozenset({"to", "for", "into", "with"})
_ALL = re.compile(r"\b(?:all|everything|both|entire|whole|each|every)\b", re.I)
_EXCEPT = re.compile(r"\b(?:except|but not|apart from|besides|other than|all but)\b", re.I)
_SEVERAL = frozenset({"both", "all", "two", "three", "2", "3"})
REACH = 8
"""Words before a mention that may describe it."""


@dataclass(frozen=True)
class Picked:
    """The choices that are meant, or those among which only the customer can decide."""

    choices: list[Choice] = field(default_factory=list)
    unsure: list[Choice] = field(default_factory=list)


@dataclass(frozen=True)
class Mention:
    """A place in a text that names choices."""

    names: set[str]
    left: set[str]
    right: set[str]
    """Stems before and behind it that may describe it."""
    target: set[str]
    """Stems that say what it should become: those behind a "to" or "for"."""
    several: bool


def pick_one(texts: Iterable[str], choices: Sequence[Choice]) -> Picked:
    """The one choice that the first telling text means; later texts decide between equals."""
    left = list(choices)
    for text in texts:
        if named := [choice for choice in left if choice.id.lower() in text.lower()]:
            return Picked(named[:1])
        best = _best(stems(text), left, [stems(choice.label) for choice in left])
        left = best or left
        if best and len({choice.id for choice in best}) == 1:
            return Picked(best[:1])
    return Picked(unsure=left)


def pick_many(texts: Sequence[str], choices: Sequence[Choice]) -> Picked:
    """All choices that the first telling text means."""
    names = {name_of(choice) for choice in choices}
    for text in texts:
        named = [choice for choice in choices if choice.id in text]
        if named:
            return Picked(named)
        wanted, unwanted = _parted(text)
        found = mentions(wanted, names)
        if not found and _ALL.search(wanted):
            left_out = [choice for m in mentions(unwanted, names) for choice in _meant(m, choices)]
            return Picked([choice for choice in choices if choice not in left_out])
        groups = [_meant(mention, choices) for mention in found]
        if tied := [
            choice
            for mention, group in zip(found, groups, strict=True)
            if not mention.several and len({each.id for each in group}) > 1
            for choice in group
        ]:
            decided = pick_one(texts, tied)
            return decided if len(found) == 1 else Picked(unsure=tied)
        if groups:
            return Picked(_unrepeated(found, groups))
    one = pick_one(texts[:1], choices)
    return one if one.choices or len(choices) > 1 else Picked(list(choices))


def pick_successor(
    texts: Iterable[str], line: Choice, lines: Sequence[Choice], variants: Sequence[Choice]
) -> Picked:
    """The variant that `line` should become; options nobody mentioned stay as they are."""
    others = [variant for variant in variants if variant.id != line.id]
    described = [_options(each) for each in others]
    common = set[str].intersection(*described or [set()])
    telling = set[str]().union(*described) - (common & _options(line))
    for text in texts:
        if named := [variant for variant in others if variant.id in text]:
            return Picked(named[:1])
        wanted = _wanted(text, line, lines, telling)
        best = _best(wanted, others, described) or (others if wanted & common & telling else [])
        if not best:
            continue
        kept = [len(_parts(line) & _parts(variant)) for variant in best]
        closest = [v for v, shared in zip(best, kept, strict=True) if shared == max(kept)]
        return Picked(closest) if len(closest) == 1 else Picked(unsure=closest)
    return Picked(unsure=others)


def mentions(text: str, names: Collection[str]) -> list[Mention]:
    """Where `text` names one of `names`, in order, each with the words that belong to it."""
    spans = [(match.start(), match.end()) for match in _TOKEN.finditer(text)]
    tokens = [text[start:end].lower() for start, end in spans]
    marked = [stem(token) for token in tokens]
    known = {name: [stem(token.lower()) for token in _TOKEN.findall(name)] for name in names}
    places: list[tuple[int, set[str]]] = []
    fully: set[str] = set()
    for place, token in enumerate(marked):
        same = {name: parts[:-1] for name, parts in known.items() if parts[-1:] == [token]}
        if same:
            near = set(marked[max(0, place - 3) : place])
            hits = {name: len(near & set(parts)) for name, parts in same.items()}
            places.append((place, {name for name in same if hits[name] == max(hits.values())}))
            fully |= {name for name in same if _full(marked, place, known[name])}
    # "the lamp" after "the desk lamp" is the same lamp, "set" in "set type" is none at all
    places = [
        (place, found)
        for place, found in places
        if not found <= fully or any(_full(marked, place, known[name]) for name in found)
    ]
    return _with_words(text, spans, places)


def name_of(choice: Choice) -> str:
    """The label without its options."""
    return choice.label.split("(")[0].strip()


def _full(marked: list[str], place: int, parts: list[str]) -> bool:
    """Whether the whole name stands before `place`, not only its last word there."""
    return set(marked[max(0, place - 3) : place]) >= set(parts[:-1])


def _with_words(
    text: str, spans: Sequence[tuple[int, int]], places: list[tuple[int, set[str]]]
) -> list[Mention]:
    tokens = [text[start:end].lower() for start, end in spans]
    cuts = [0]
    for (before, _), (place, _) in pairwise(places):
        between = [n for n in range(before + 1, place) if tokens[n] in _SEPARATORS]
        cuts.append(between[-1] if between else before + 1)
    cuts.append(len(tokens))

    def said(first: int, end: int) -> set[str]:
        return stems(text[spans[first][0] : spans[end - 1][1]]) if first < end else set()

    found: list[Mention] = []
    for n, (place, names) in enumerate(places):
        first, end = cuts[n], cuts[n + 1]
        if found and first < place and tokens[first] in _MARKERS:
            # "the red mug for a blue mug": the second is what the first should become
            found[-1] = replace(found[-1], target=found[-1].target | said(first, end))
            continue
        turn = next((n for n in range(place + 1, end) if tokens[n] in _MARKERS), end)
        several = tokens[place] != _singular(tokens[place], names)
        several = several or not _SEVERAL.isdisjoint(tokens[first:place])
        left, right = said(max(first, place - REACH), place), said(place + 1, turn)
        found.append(Mention(names, left, right, said(turn, end), several))
    return found


def _singular(token: str, names: set[str]) -> str:
    """The last word of the name as the shop writes it ("Headphones" is one thing)."""
    return next(
        (n.lower().split()[-1] for n in names if stem(n.lower().split()[-1]) == stem(token)), token
    )


def _meant(mention: Mention, choices: Sequence[Choice]) -> list[Choice]:
    """The choices of the mentioned name that its words fit best."""
    group = [choice for choice in choices if name_of(choice) in mention.names]
    described = [_options(choice) for choice in group]
    return _best(mention.left, group, described) or _best(mention.right, group, described) or group


def _unrepeated(found: Sequence[Mention], groups: Sequence[list[Choice]]) -> list[Choice]:
    """One piece for each mention in the singular, all pieces for one in the plural."""
    picked: list[Choice] = []
    for mention, group in zip(found, groups, strict=True):
        new = [choice for choice in group if not any(choice is each for each in picked)]
        picked += new if mention.several else new[:1]
    return picked


def _wanted(text: str, line: Choice, lines: Sequence[Choice], options: Collection[str]) -> set[str]:
    """The stems that say in `text` what `line` should become, as far as `options` know them."""
    found = mentions(text, {name_of(each) for each in lines})
    own = [mention for mention in found if name_of(line) in mention.names]
    if not own:
        return set() if found else stems(text)
    about = max(own, key=lambda mention: len(mention.left & _options(line)))
    if about.target and not about.target.isdisjoint(options):
        return about.target
    # Words that fit the line as it is describe it, and ask for nothing.
    new = set(options) - _options(line)
    told = (
        about.right if about.left & (set(options) - new) else about.right | about.left,
        about.left,
    )
    return next((words for words in told if not words.isdisjoint(new)), set())


def _best(
    words: Collection[str], choices: Sequence[Choice], described: Sequence[set[str]]
) -> list[Choice]:
    """The choices that share most with `words`, rare words counting more; none if none shares."""
    frequency = Counter(word for stems_ in described for word in stems_)
    scores = [
        round(sum(math.log(len(choices) / frequency[word]) for word in stems_ & set(words)), 6)
        for stems_ in described
    ]
    top = max(scores, default=0.0)
    return [c for c, score in zip(choices, scores, strict=True) if score == top] if top else []


def _options(choice: Choice) -> set[str]:
    return stems(choice.label) - stems(name_of(choice))


def _parts(choice: Choice) -> set[str]:
    inside = choice.label.partition("(")[2].rpartition(")")[0]
    return {part.strip() for part in inside.split(",")}


def _parted(text: str) -> tuple[str, str]:
    found = _EXCEPT.search(text)
    if not found:
        return text, ""
    keeps_all = "all" if found[0].lower() == "all but" else ""
    return text[: found.start()] + keeps_all, text[found.end() :]
