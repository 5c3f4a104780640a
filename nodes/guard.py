"""The door: begins a fresh turn, refuses what is too long, masks secrets."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from nodes.resources import Provider
from nodes.state import State, Update
from tools import Context

_CARD = re.compile(r"(?<![\d_#])(?:\d[ -]?){12,18}\d(?!\d)")
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.S
        ),
        "[private key removed]",
    ),
    (
        re.compile(
            r"\b(?:sk|pk|rk)[-_](?:[a-z]+[-_])?[A-Za-z0-9]{16,}\b|\bgh[pousr]_[A-Za-z0-9]{20,}\b"
        ),
        "[key removed]",
    ),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}"), "[key removed]"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]+"), "[token removed]"),
    (
        re.compile(r"(?i)\b(password|passcode|passphrase|pin code|cvv|cvc)(\s*(?:is|:|=)\s*)(\S+)"),
        r"\1\2[removed]",
    ),
)


@dataclass(frozen=True)
class Guard:
    """Refuse or neutralise a message before anything is spent on it."""

    open: Provider

    async def __call__(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        settings = (await self.open()).settings
        fresh: Update = {
            "refusal": None, "request": None, "reads": [], "passages": [], "decision": None,
            "draft": None, "rejections": [], "citations": [], "verdict": None, "actions": [],
        }  # fmt: skip
        last = state.messages[-1] if state.messages else None
        if not isinstance(last, HumanMessage) or not last.text.strip():
            return fresh | {"refusal": "empty"}
        if len(last.text) > settings.max_message_chars:
            clipped = last.model_copy(update={"content": last.text[:200] + " […]"})
            return fresh | {"refusal": "too_long", "messages": [clipped]}
        masked = masked_message(last)
        return fresh | ({"messages": [masked]} if masked is not last else {})


def mask(text: str) -> str:
    """`text` without card numbers (Luhn), keys, tokens and passwords."""
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return _CARD.sub(lambda m: "[card number removed]" if _luhn(m.group()) else m.group(), text)


def masked_message(message: AnyMessage) -> AnyMessage:
    """The same message, or a copy under the same id with its secrets masked."""
    content = _masked(message.content, mask)
    return (
        message if content == message.content else message.model_copy(update={"content": content})
    )


def admitted(value: Any) -> Any:
    """An input or a command as it may be stored: secrets masked, words of the customer only.

    A client that sends messages of the desk or of a tool would put words into their mouths.
    """
    masked = _masked(value, mask)
    if isinstance(masked, dict) and isinstance(masked.get("messages"), list):
        theirs = [message for message in masked["messages"] if _is_customers(message)]
        return masked | {"messages": theirs}
    return masked


def _is_customers(message: Any) -> bool:
    if isinstance(message, dict):
        return (message.get("role") or message.get("type")) in {"user", "human"}
    return isinstance(message, str)


def _masked(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_masked(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _masked(item, change) for key, item in value.items()}
    return value


def _luhn(number: str) -> bool:
    digits = [int(char) for char in number if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
