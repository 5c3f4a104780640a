"""What LangGraph is given: an input, or a command instead."""

from collections.abc import Mapping
from typing import Any

from langgraph.types import Command, Send


def given(asked: Mapping[str, Any]) -> Any:
    """A command wins over an input."""
    return command(asked["command"]) if asked["command"] else asked["input"]


def command(asked: Mapping[str, Any]) -> Command[Any]:
    """Of its JSON: `update`, `resume`, `goto`, each of which may be missing."""
    update = asked.get("update")
    if isinstance(update, list):
        update = [tuple(pair) for pair in update]
    return Command(update=update, resume=asked.get("resume"), goto=_goto(asked.get("goto")))


def _goto(goto: Any) -> Any:
    if isinstance(goto, list):
        return [_goto(one) for one in goto]
    if isinstance(goto, dict):
        return Send(goto["node"], goto.get("input"))
    return goto or ()
