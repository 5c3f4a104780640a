"""The arguments of a tool's `__call__`: their model, and where a message names them."""

import re
from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any, get_type_hints
from uuid import uuid4

from langchain_core.messages import ToolCall
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from tools._contract import Tool


def arguments(name: str, tool: Tool) -> type[BaseModel]:
    """The pydantic model of what the model fills: every argument of `__call__` except `run`."""
    hints = get_type_hints(type(tool).__call__, include_extras=True)
    fields: dict[str, Any] = {
        parameter.name: (
            hints[parameter.name],
            ... if parameter.default is Parameter.empty else parameter.default,
        )
        for parameter in signature(tool).parameters.values()
        if parameter.name != "run"
    }
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)


def complaint(error: ValidationError) -> str:
    """What is wrong with the arguments, in a line that lets the model correct them."""
    problems = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: "
        f"{problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    )
    return f"These arguments cannot be used: {problems}."


def mentioned(
    text: str, tools: Mapping[str, Tool], models: Mapping[str, type[BaseModel]]
) -> list[ToolCall]:
    """Each read whose `mentions` matches in `text`, once, what needs no identity first."""
    calls: list[ToolCall] = []
    for name, tool in sorted(tools.items(), key=lambda item: item[1].level != "anonymous"):
        if not tool.mentions or tool.write:
            continue
        seen: list[dict[str, Any]] = []
        for match in re.finditer(tool.mentions, text):
            args = _valid(models[name], match.groupdict())
            if args is not None and args not in seen:
                seen.append(args)
                calls.append(ToolCall(name=name, args=args, id=uuid4().hex, type="tool_call"))
    return calls


def _valid(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return model.model_validate(values).model_dump(mode="json")
    except ValidationError:
        return None
