"""Fill a tool's arguments from its JSON schema and what the customer said.

What the schema may say, beyond the standard, and how an argument is found:
- `x-choose: kind`: one (or, in an array, several) of the choices that reads listed under `kind`.
  An array that chooses another kind than an array before it holds one successor for each of its
  elements (the new items of an exchange).
- `pattern`: the first match in this message, then in earlier ones, the latest first.
- `enum` or `const`: the value most of whose telling words the customer used, or one of its phrases
  in `x-synonyms: {value: [phrase, ...]}`.
- `x-slot: rest` (or `summary`): the whole message. Other slots: first_name, last_name, postcode,
  address1, address2, city, state, country. A missing `x-slot` is the argument's own name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.models.choose import Picked, name_of, pick_many, pick_one, pick_successor
from engine.models.persons import FINDERS
from engine.models.turn import Choice, Turn
from engine.models.words import stems

Schema = Mapping[str, Any]
_ORIGINAL = re.compile(r"\b(?:original\w*|same|paid (?:with|by)|used to pay)\b", re.I)
_REST = frozenset({"rest", "summary"})


@dataclass(frozen=True)
class Missing:
    """An argument that nothing said so far gives."""

    name: str
    description: str
    kind: str | None = None
    """What a read would have to list."""
    options: list[Choice] = field(default_factory=list)
    """What it was narrowed down to."""
    values: list[str] = field(default_factory=list)
    """What the schema allows."""
    required: bool = True
    about: Mapping[str, Any] = field(default_factory=dict)
    """What is known about the thing that needs it, for the arguments of that read."""


@dataclass
class Filling:
    """The arguments found, the choices behind them, and what is missing."""

    args: dict[str, Any] = field(default_factory=dict)
    picked: dict[str, list[Choice]] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)
    others: dict[str, list[str]] = field(default_factory=dict)
    """Further values that the same message gives for an argument."""

    @property
    def complete(self) -> bool:
        """Whether the call can be made."""
        return not any(each.required for each in self.missing)


def fill(
    turn: Turn,
    name: str,
    schema: Schema,
    known: Mapping[str, Any] | None = None,
    *,
    read: bool = True,
) -> Filling:
    """The arguments of tool `name`; `known` values are taken as they are.

    Stops at the first choice that cannot be made, since later ones may depend on it. As long as
    not everything was `read` that lists choices, the only one is not taken for granted.
    """
    filling = Filling()
    required = set(schema.get("required", ()))
    for argument, raw in schema.get("properties", {}).items():
        spec = _resolved(raw, schema)
        missing = Missing(
            argument,
            spec.get("description") or argument.replace("_", " "),
            kind=spec.get("x-choose") or _items(spec).get("x-choose"),
            values=[str(value) for value in _allowed(spec)],
            required=argument in required,
        )
        if known and argument in known:
            filling.args[argument] = known[argument]
        elif missing.kind:
            _choose(turn, name, filling, missing, spec, read=read)
            if any(each.required and each.kind for each in filling.missing):
                break
        elif values := _said_values(turn, name, argument, spec):
            filling.args[argument], filling.others[argument] = values[0], values[1:]
        elif missing.required:
            filling.missing.append(missing)
    return filling


def _choose(
    turn: Turn, name: str, filling: Filling, missing: Missing, spec: Schema, *, read: bool
) -> None:
    """Pick for one argument, or note what is missing."""
    many = spec.get("type") == "array"
    arrays = [name for name in filling.picked if isinstance(filling.args[name], list)]
    before = arrays[0] if many and arrays else None
    if before and filling.picked[before][0].kind != missing.kind:
        _succeed(turn, filling, missing, before)
        return
    pattern = _items(spec).get("pattern")
    if said := _matches(pattern, [_telling(turn.question, name, pattern)]) if pattern else []:
        filling.args[missing.name] = said if many else said[0]
        filling.others[missing.name] = [] if many else said[1:]
        return
    if many:
        choices = _distinct(_agreeing(turn, missing, filling))
        found = pick_many([turn.question, *turn.earlier], choices)
    else:
        found = _one(turn, filling, missing, pattern, read=read)
    if not found.choices:
        filling.missing.append(replace(missing, options=found.unsure))
        return
    ids = [choice.id for choice in found.choices]
    filling.picked[missing.name] = found.choices
    filling.args[missing.name] = ids if many else ids[0]


def _one(
    turn: Turn,
    filling: Filling,
    missing: Missing,
    pattern: str | None,
    *,
    read: bool,
) -> Picked:
    """A choice by this message's words, an id said before, earlier words, or the only one."""
    before = _matches(pattern, [*turn.earlier, *turn.older, *_called_with(turn)]) if pattern else []
    if not before and not read:
        return Picked()
    agreeing = _agreeing(turn, missing, filling)
    own = [
        [c for c in listed if any(c.context.get(n) == v for n, v in filling.args.items())]
        for listed in agreeing
    ]
    original = any(own) and _ORIGINAL.search(turn.question)
    choices = _distinct(own if original else agreeing)
    found = pick_one([turn.question], choices)
    if not found.choices and before:
        return Picked([Choice(before[0], before[0])])
    if not found.choices and len(found.unsure) == len(choices):
        found = pick_one(turn.earlier, choices)
    if not found.choices and len(choices) == 1 and missing.required:
        return Picked(choices)
    return found


def _succeed(turn: Turn, filling: Filling, missing: Missing, before: str) -> None:
    """One successor for every choice already picked for `before`."""
    lines, found = filling.picked[before], []
    texts = [turn.question, *turn.earlier]
    everything = _distinct(turn.listed(str(missing.kind)))
    for line in lines:
        variants = [each for each in everything if _same_thing(line, each)]
        picked = pick_successor(texts, line, lines, variants)
        if not picked.choices:
            about = {**line.context, "name": name_of(line)}
            filling.missing.append(replace(missing, options=picked.unsure, about=about))
        found += picked.choices[:1]
    if len(found) == len(lines):
        filling.picked[missing.name] = found
        filling.args[missing.name] = [each.id for each in found]


def _same_thing(line: Choice, variant: Choice) -> bool:
    ours, theirs = line.context.get("product_id"), variant.context.get("product_id")
    return ours == theirs if ours and theirs else name_of(line) == name_of(variant)


def _agreeing(turn: Turn, missing: Missing, filling: Filling) -> list[list[Choice]]:
    """The choices that were listed for, or belong to, what the other arguments say."""
    given = filling.args.items()
    return [
        [c for c in listed if all(c.context.get(name, value) == value for name, value in given)]
        for listed in turn.listed(str(missing.kind))
    ]


def _distinct(reads: list[list[Choice]]) -> list[Choice]:
    """All of them, each from the latest read that lists it; a read's own repetitions stay."""
    found: list[Choice] = []
    for listed in reads:
        known = {choice.id for choice in found}
        found += [choice for choice in listed if choice.id not in known]
    return found


def _said_values(turn: Turn, name: str, argument: str, spec: Schema) -> list[Any]:
    """What the customer said for an argument, best first."""
    if allowed := _allowed(spec):
        return _enumerated([turn.question, *turn.earlier], allowed, spec, name)
    slot = spec.get("x-slot", argument)
    if slot in _REST:
        text = " ".join(turn.question.split())
        return [text[: spec.get("maxLength", len(text))]] if text else []
    said = [turn.question, *turn.earlier, *turn.older]
    if pattern := spec.get("pattern"):
        return _matches(pattern, [_telling(turn.question, name, pattern)]) or _matches(
            pattern, [*said, *_called_with(turn)]
        )
    finder = FINDERS.get(slot)
    found = next((value for text in said if finder and (value := finder(text))), None)
    return [found] if found else []


def _telling(text: str, name: str, pattern: str) -> str:
    """The sentences that say what the tool is called and match, or else the whole text."""
    parts = re.split(r"(?<=[.!?;])\s+|\n", text)
    about = [
        part
        for part in parts
        if stems(part) & stems(name.replace("_", " ")) - {"order"} and _matches(pattern, [part])
    ]
    return " ".join(about) or text


def _matches(pattern: str, texts: Iterable[str]) -> list[str]:
    """The distinct longest matches in the first text that has any; `#` and case may be missing."""
    plain = pattern.removeprefix("^").removesuffix("$")
    loose = re.compile(rf"(?<!\w)(?:{re.sub('^#', '#?', plain)})(?!\w)", re.I)
    for text in texts:
        found = [_exact(plain, match[0].strip()) for match in loose.finditer(text)]
        kept = dict.fromkeys(value for value in found if value and re.search(r"\w", value))
        longest = max(map(len, kept), default=0)
        if kept:
            return [value for value in kept if len(value) == longest]
    return []


def _exact(pattern: str, value: str) -> str | None:
    forms = (value, value.upper(), f"#{value}", f"#{value.upper()}")
    return next((form for form in forms if re.fullmatch(pattern, form)), None)


def _called_with(turn: Turn) -> list[str]:
    """Arguments of earlier calls, the latest first."""
    return [" ".join(map(str, o.call["args"].values())) for o in reversed(turn.history)]


def _enumerated(texts: list[str], allowed: list[Any], spec: Schema, tool: str) -> list[Any]:
    """The value that the customer's words fit, if they fit one alone."""
    own = stems(tool.replace("_", " "))
    telling = {value: stems(str(value)) - own for value in allowed}
    shared = set.intersection(*telling.values()) if len(telling) > 1 else set()
    for text in texts:
        flat = " ".join(re.sub(r"[^\w\s]", "", text.lower()).split())
        said = stems(text)
        scores = {
            value: max(
                len(words - shared & said) / (len(words - shared) or 1),
                float(any(_flat(phrase) in flat for phrase in _phrases(spec, value))),
            )
            for value, words in telling.items()
        }
        best = [value for value in allowed if scores[value] == max(scores.values()) > 0.5]
        if len(best) == 1:
            return best
    return []


def _phrases(spec: Schema, value: Any) -> list[str]:
    return [str(value), *spec.get("x-synonyms", {}).get(value, ())]


def _flat(phrase: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", "", phrase.lower()).split())


def _allowed(spec: Schema) -> list[Any]:
    return list(spec.get("enum", ())) or ([spec["const"]] if "const" in spec else [])


def _items(spec: Schema) -> Schema:
    items: Schema = spec.get("items", spec) if spec.get("type") == "array" else spec
    return items


def _resolved(spec: Schema, schema: Schema) -> Schema:
    """Without `$ref`, and the first variant of `X | None`."""
    if "$ref" in spec:
        spec = {**schema["$defs"][spec["$ref"].rpartition("/")[2]], **spec}
    options = [each for each in spec.get("anyOf", ()) if each.get("type") != "null"]
    return {**_resolved(options[0], schema), **spec} if options else spec
