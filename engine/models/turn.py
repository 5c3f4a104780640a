"""Read the prompt of the generate step back into what it says: request, facts, passages, turns."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

_REQUEST = re.compile(r"<request\s+([^>]*?)/?>")
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
_PASSAGE = re.compile(r"<passage\s+([^>]*)>\n?(.*?)\n?</passage>", re.DOTALL)


@dataclass(frozen=True)
class Passage:
    """A retrieved piece of a document; `id` is what an answer cites."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Choice:
    """Something a read listed for a later call to pick from.

    `context` holds the arguments of that read and whatever else is known about the choice: the
    order that a line is of, the product that it is a piece of.
    """

    id: str
    label: str
    kind: str = ""
    context: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A tool call with what came of it."""

    call: ToolCall
    message: ToolMessage

    @property
    def failed(self) -> bool:
        """Whether it was refused, declined or withdrawn."""
        return self.message.status == "error"

    @property
    def artifact(self) -> dict[str, Any]:
        """What the runtime attached: data, choices, receipt; empty for a notice of the graph."""
        return self.message.artifact if isinstance(self.message.artifact, dict) else {}


@dataclass(frozen=True)
class Turn:
    """What one prompt of the generate step says."""

    intent: str
    level: str
    confidence: float
    passages: list[Passage]
    summary: str
    rejected: str
    question: str
    """The customer's last message."""
    earlier: list[str]
    """Messages before it, latest first, back to the last change that was carried out."""
    older: list[str]
    """Messages before that change, latest first, and the summary of what is no longer shown."""
    results: list[Outcome]
    """Of this turn, in order."""
    history: list[Outcome]
    """Of the turns before, in order."""

    def done(self, name: str, args: dict[str, Any]) -> bool:
        """Whether this very call was already made in this turn."""
        return any(o.call["name"] == name and o.call["args"] == args for o in self.results)

    def listed(self, kind: str) -> list[list[Choice]]:
        """The choices of a kind, a list for each read, the latest first."""
        found = (list(_choices(each, kind)) for each in reversed([*self.history, *self.results]))
        return [choices for choices in found if choices]


def read(messages: Sequence[BaseMessage]) -> Turn:
    """The turn that `messages` (a system message with blocks, then recent turns) are about."""
    system = "\n".join(m.text for m in messages if isinstance(m, SystemMessage))
    last = max((n for n, m in enumerate(messages) if isinstance(m, HumanMessage)), default=-1)
    before, after = messages[: max(last, 0)], messages[last + 1 :]
    request = dict(_ATTRIBUTE.findall(found[1])) if (found := _REQUEST.search(system)) else {}
    earlier, older = _said(before)
    summary = _block(system, "summary")
    return Turn(
        intent=request.get("intent", "knowledge"),
        level=request.get("level", "anonymous"),
        confidence=_number(request.get("confidence")),
        passages=list(_passages(system)),
        summary=summary,
        rejected=_block(system, "rejected"),
        question=messages[last].text if last >= 0 else "",
        earlier=earlier,
        older=[*older, summary] if summary else older,
        results=list(_outcomes(after)),
        history=list(_outcomes(before)),
    )


def _said(before: Sequence[BaseMessage]) -> tuple[list[str], list[str]]:
    """The customer's earlier messages since the last change, and those before it."""
    said: tuple[list[str], list[str]] = ([], [])
    changed = 0
    for message in reversed(before):
        if isinstance(message, HumanMessage):
            said[changed].append(message.text)
        elif isinstance(message, ToolMessage) and isinstance(message.artifact, dict):
            changed = 1 if message.artifact.get("receipt") else changed
    return said


def _outcomes(messages: Sequence[BaseMessage]) -> Iterator[Outcome]:
    calls: dict[str | None, ToolCall] = {}
    for message in messages:
        if isinstance(message, AIMessage):
            calls |= {call["id"]: call for call in message.tool_calls}
        elif isinstance(message, ToolMessage) and message.tool_call_id in calls:
            yield Outcome(calls[message.tool_call_id], message)


def _choices(outcome: Outcome, kind: str) -> Iterator[Choice]:
    data = outcome.artifact.get("data")
    for listed in outcome.artifact.get("choices", {}).get(kind, ()):
        about = {name: value for name, value in listed.items() if name not in {"id", "label"}}
        context = {**_record_of(data, listed["id"]), **outcome.call["args"], **about}
        yield Choice(listed["id"], listed["label"], kind, context)


def _record_of(data: Any, identifier: str) -> dict[str, Any]:
    """The first record in `data` that holds `identifier`, its plain fields only."""
    if isinstance(data, dict):
        if identifier in data.values():
            return {name: value for name, value in data.items() if isinstance(value, str)}
        data = list(data.values())
    found = (_record_of(each, identifier) for each in data) if isinstance(data, list) else ()
    return next((record for record in found if record), {})


def _passages(system: str) -> Iterator[Passage]:
    for attributes, text in _PASSAGE.findall(_block(system, "passages")):
        given = dict(_ATTRIBUTE.findall(attributes))
        yield Passage(unescape(given.get("id", "")), unescape(given.get("title", "")), text)


def _block(system: str, tag: str) -> str:
    found = re.search(rf"<{tag}>\n?(.*?)\n?</{tag}>", system, re.DOTALL)
    return found[1].strip() if found else ""


def _number(text: str | None) -> float:
    try:
        return float(json.loads(text or "1"))
    except ValueError:
        return 1.0
