"""What to do next about a request that a tool answers: call something, or say something.

Tools say what they are in their metadata, so that nothing here knows one by name:
`level` (who may call it), `write`, `identifies` (finds out who is asking), `provides` (the kinds
of choices that its result lists).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from engine.models.slots import Filling, Missing, fill
from engine.models.turn import Outcome, Turn

LEVELS = ("anonymous", "claimed", "verified")
SHOWN = 8
"""Options listed in a question; more are no help."""
DEEP = 3
"""Reads that may hang on one another: the order, its line, the line's product."""
NOT_DONE = "Nothing was changed."
_NOTICE = "not done"


@dataclass(frozen=True)
class Call:
    """A tool call to make."""

    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Spec:
    """A bound tool: a `BaseTool`, or anything else that has an OpenAI tool schema."""

    tool: Any

    @cached_property
    def name(self) -> str:
        """The tool's name."""
        if isinstance(self.tool, BaseTool):
            return self.tool.name
        return str(convert_to_openai_tool(self.tool)["function"]["name"])

    @cached_property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of the arguments, with what the tool says beyond the standard."""
        if not isinstance(self.tool, BaseTool):
            return dict(convert_to_openai_tool(self.tool)["function"].get("parameters", {}))
        # A tool's OpenAI schema is derived from a copy of its model that lost such extras.
        given = self.tool.args_schema
        if isinstance(given, dict):
            return given
        if isinstance(given, type) and issubclass(given, BaseModel):
            return given.model_json_schema()
        return {}

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the tool says about itself."""
        return (self.tool.metadata or {}) if isinstance(self.tool, BaseTool) else {}

    def open_to(self, level: str) -> bool:
        """Whether somebody at `level` may call it."""
        return _rank(level) >= _rank(self.metadata.get("level", "anonymous"))


Step = list[Call] | str


def next_step(turn: Turn, specs: Mapping[str, Spec]) -> Step:
    """The calls to make, or the sentences to say, for the tool named by the turn's intent."""
    spec = specs[turn.intent]
    turn = _without_early(turn, specs)
    own = [each for each in turn.results if each.call["name"] == spec.name]
    if answers := [each for each in own if each.artifact or not _is_notice(each)]:
        return report(answers)
    if not spec.open_to(turn.level) and (step := _identify(turn, spec, specs)):
        return step
    step = _fill_or_read(turn, spec, specs)
    if isinstance(step, list):
        step = [call for call in step if not turn.done(call.name, call.args)]
    return step or report(own)


def _without_early(turn: Turn, specs: Mapping[str, Spec]) -> Turn:
    """Without reads refused beside the lookup that has identified the customer: try them again."""

    def early(outcome: Outcome) -> bool:
        spec = specs.get(outcome.call["name"])
        call = Call(outcome.call["name"], outcome.call["args"])
        alike = [each for each in turn.results if _made(each, [call])]
        if len(alike) > 1:
            return outcome is not alike[-1]
        return bool(spec and outcome.failed and not spec.open_to(LEVELS[0]))

    names = {each.call["name"] for each in turn.results if not each.failed}
    if not any(name in specs and specs[name].metadata.get("identifies") for name in names):
        return turn
    reads = [each for each in turn.results if not early(each) or _is_notice(each)]
    return replace(turn, results=reads)


def report(outcomes: Sequence[Outcome]) -> str:
    """What tools said, word for word: a receipt is announced, after a notice nothing changed."""
    said: list[str] = []
    for outcome in outcomes:
        text = outcome.message.text.strip()
        if _is_notice(outcome):
            text = NOT_DONE
        elif outcome.artifact.get("receipt") and not text.lower().startswith("done"):
            text = f"Done: {text}"
        if text and text not in said:
            said.append(text)
    return "\n".join(said)


def withdrawn(turn: Turn) -> bool:
    """Whether a change that waited for a yes was dropped by the customer's message."""
    return any(_is_notice(each) for each in turn.results)


def _is_notice(outcome: Outcome) -> bool:
    """A word of the graph to the model, not of a tool: declined, or withdrawn."""
    text = outcome.message.text.lower()
    return outcome.failed and not outcome.artifact and text.startswith(_NOTICE)


def _identify(turn: Turn, wanted: Spec, specs: Mapping[str, Spec]) -> Step:
    """Look the customer up by what they said, or ask for what is missing."""
    finders = [spec for spec in specs.values() if spec.metadata.get("identifies")]
    tried = [each for each in turn.results if each.call["name"] in {f.name for f in finders}]
    found = {each.call["name"] for each in [*turn.history, *turn.results] if not each.failed}
    left = [spec for spec in finders if spec.name not in found]
    fillings = {spec.name: fill(turn, spec.name, spec.schema) for spec in left}
    calls = [
        Call(name, filling.args)
        for name, filling in fillings.items()
        if filling.complete and not turn.done(name, filling.args)
    ]
    if calls or not left:
        return calls
    if failed := [each for each in tried if each.failed]:
        return report(failed)
    needs = [_listed([_noun(m.description) for m in f.missing]) for f in fillings.values()]
    both = "and" if wanted.metadata.get("level") == LEVELS[-1] else "or"
    return f"I first need to know who you are: please give me {_joined(needs, f', {both} ')}."


def _fill_or_read(
    turn: Turn, spec: Spec, specs: Mapping[str, Spec], known: Mapping[str, Any] | None = None,
    depth: int = DEEP,
) -> Step:  # fmt: skip
    refused: list[Outcome] = []
    for read in (False, True):
        filling = fill(turn, spec.name, spec.schema, known, read=read)
        lacking = [missing for missing in filling.missing if missing.kind]
        if depth:
            calls, refused = _reads(turn, lacking, filling, specs, depth)
            if calls:
                return calls
    if not filling.complete:
        needed = [missing for missing in filling.missing if missing.required]
        return report(refused) if refused else question(needed)
    calls = [Call(spec.name, filling.args)]
    for argument, values in filling.others.items():
        calls += [Call(spec.name, {**filling.args, argument: value}) for value in values]
    return calls


def _reads(
    turn: Turn, lacking: Sequence[Missing], filling: Filling, specs: Mapping[str, Spec], depth: int
) -> tuple[list[Call], list[Outcome]]:
    """Reads, not made yet, that list what is lacking; and those that were refused in this turn."""
    calls: list[Call] = []
    refused: list[Outcome] = []
    for missing in lacking:
        for spec in _providers(turn, str(missing.kind), filling, specs):
            takes = spec.schema.get("properties", {})
            known = {n: v for n, v in {**missing.about, **filling.args}.items() if n in takes}
            step = _fill_or_read(turn, spec, specs, known, depth - 1)
            if isinstance(step, list):
                calls += [c for c in step if c not in calls and not _read_before(turn, c)]
                refused += [each for each in turn.results if each.failed and _made(each, step)]
    return calls, refused


def _providers(turn: Turn, kind: str, filling: Filling, specs: Mapping[str, Spec]) -> list[Spec]:
    """Reads that list `kind`, those first that the known arguments narrow down."""
    able = [
        spec
        for spec in specs.values()
        if kind in spec.metadata.get("provides", ()) and spec.open_to(turn.level)
    ]
    return sorted(able, key=lambda s: -len(set(s.schema.get("properties", {})) & set(filling.args)))


def _read_before(turn: Turn, call: Call) -> bool:
    return any(_made(each, [call]) for each in turn.results) or any(
        _made(each, [call]) and not each.failed for each in turn.history
    )


def _made(outcome: Outcome, calls: Sequence[Call]) -> bool:
    return any(
        outcome.call["name"] == call.name and outcome.call["args"] == call.args for call in calls
    )


def question(missing: Sequence[Missing]) -> str:
    """One sentence that asks for exactly what is missing."""
    first = missing[0]
    name = str(first.about.get("name", ""))
    labels = list(dict.fromkeys(choice.label for choice in first.options))
    asked = f"Which {name} would you like instead" if name else "Which of these do you mean"
    if first.kind and 1 < len(labels) <= SHOWN:
        return f"{asked}: {_joined(labels, ' or ', '; ')}?"
    if name:
        return f"{asked}?"
    if first.values:
        return f"Please tell me {_noun(first.description)}: {_joined(first.values, ' or ')}."
    return f"I still need {_listed([_noun(each.description) for each in missing])}."


def _noun(description: str) -> str:
    """A description's first clause as part of a sentence, without its example (an invented id)."""
    text = re.sub(r"\d+$| of the customer\b", "", description)
    text = text.replace("the customer's", "your").replace("of the account", "of your account")
    for end in (", such as", ", for example", ", e.g.", ";", ":", " (", ". ", ", all at once", ","):
        text = text.partition(end)[0]
    text = text.strip().rstrip(".")
    text = text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == "-" else text
    articles = ("the ", "a ", "an ", "your ", "one ", "which ", "whether ", "what ", "why")
    return text if text.startswith(articles) else f"the {text}"


def _listed(parts: Sequence[str]) -> str:
    return _joined(parts, " and ")


def _joined(parts: Sequence[str], last: str, between: str = ", ") -> str:
    return last.join(filter(None, [between.join(parts[:-1]), parts[-1]])) if parts else ""


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else 0
