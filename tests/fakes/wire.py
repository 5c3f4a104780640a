"""OpenAI's chat and embedding messages, as plain data: what is refused, and what is answered."""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

JSON = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What the model says to one request, or how it fails."""

    text: str = ""
    tool_calls: tuple[JSON, ...] = ()
    """`{"name": "get_order", "args": {...}}` each."""
    finish_reason: str | None = None
    status: int = 200
    retry_after: float | None = None
    """Seconds, sent with a status of 429 or 5xx."""
    cut: Literal["", "dropped", "ended"] = ""
    """A stream's connection is dropped, or its body ends politely, without a finish."""
    hang: bool = False
    """Says nothing more until the client leaves."""
    after: int = 0
    """Pieces sent before the cut or the hang."""


class Rejected(Exception):
    """The request is malformed in a way that the real API refuses."""

    def __init__(self, message: str, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def cite_first_passage(body: JSON) -> Reply:
    """The default model: a JSON sample, or the first passage's first sentence with its citation."""
    response_format = body.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        return Reply(json.dumps(sample(response_format["json_schema"]["schema"])))
    system = next((m["content"] for m in body["messages"] if m["role"] == "system"), "")
    found = re.search(r'<passage id="([^"]+)"[^>]*>\s*(.+?[.!?])(?=\s|<)', str(system), re.DOTALL)
    return Reply(f"{found[2]} [{found[1]}]" if found else "This is a simulated answer.")


def sample(schema: JSON, root: JSON | None = None) -> Any:
    """The smallest value of a JSON schema: first choices, zeros and empty strings."""
    root = root or schema
    if "$ref" in schema:
        return sample(root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], root)
    if "enum" in schema or "const" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return sample(options[0], root)
    if schema.get("type") == "object":
        return {name: sample(value, root) for name, value in schema.get("properties", {}).items()}
    empty: JSON = {"array": [], "string": "", "boolean": False, "integer": 0, "number": 0.0}
    return empty.get(schema.get("type", ""))


def check_chat(body: JSON) -> None:
    """Raise `Rejected` for what the real API refuses, in its words."""
    if not body.get("model"):
        raise Rejected("you must provide a model parameter")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Rejected("[] is too short - 'messages'")
    check_tool_messages(messages)
    response_format = body.get("response_format") or {"type": "text"}
    if response_format["type"] == "json_object" and "json" not in json.dumps(messages).lower():
        raise Rejected("'messages' must contain the word 'json' in some form")
    if response_format["type"] == "json_schema":
        named = response_format["json_schema"]
        if named.get("strict") and named["schema"].get("additionalProperties") is not False:
            raise Rejected(
                f"Invalid schema for response_format '{named.get('name')}': In context=(), "
                "'additionalProperties' is required to be supplied and to be false."
            )


def check_tool_messages(messages: list[JSON]) -> None:
    """Every tool call is answered, directly behind the message that made it."""
    open_calls: set[str] = set()
    for message in messages:
        role = message.get("role")
        if role not in {"system", "developer", "user", "assistant", "tool"}:
            raise Rejected(f"Invalid value: '{role}'. Supported values are: 'system', ...")
        if role == "tool":
            if message.get("tool_call_id") not in open_calls:
                raise Rejected(
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceeding message with 'tool_calls'."
                )
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            break
        open_calls = {call["id"] for call in message.get("tool_calls") or ()}
    if open_calls:
        raise Rejected(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(sorted(open_calls))
        )


def pieces(reply: Reply) -> Iterator[JSON]:
    """The deltas of a reply, as the real API cuts them: a role, then words or argument parts."""
    yield {"role": "assistant", "content": None if reply.tool_calls else ""}
    for word in re.findall(r"\s*\S+\s*$|\s*\S+", reply.text):
        yield {"content": word}
    for index, call in enumerate(reply.tool_calls):
        function = {"name": call["name"], "arguments": ""}
        start = {"index": index, "id": f"call_{index}_{id(reply):x}", "type": "function"}
        yield {"tool_calls": [{**start, "function": function}]}
        for part in re.findall(r".{1,12}", json.dumps(call["args"])):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


def whole(reply: Reply) -> JSON:
    """The same reply as one message."""
    calls = [
        {
            "id": f"call_{index}_{id(reply):x}",
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
        }
        for index, call in enumerate(reply.tool_calls)
    ]
    message: JSON = {"role": "assistant", "content": reply.text or None, "refusal": None}
    return {**message, "tool_calls": calls} if calls else message


def vector(text: str, dimensions: int) -> list[float]:
    """A bag of hashed words of length 1: the same words give the same direction."""
    values = [0.0] * dimensions
    for word in re.findall(r"\w+", str(text).lower()) or [""]:
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        values[int.from_bytes(digest[:4], "big") % dimensions] += 1.0 if digest[4] % 2 else -1.0
    norm = math.sqrt(sum(value * value for value in values)) or 1.0
    return [value / norm for value in values]
