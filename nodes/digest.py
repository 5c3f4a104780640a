"""What a conversation came to, in a few words for a colleague: no model is asked."""

from collections.abc import Mapping
from typing import Any

from engine.summaries import Digest

_LONGEST = 600
_QUOTE = 200


def digest(values: Mapping[str, Any]) -> Digest | None:
    """Of a support thread's values as JSON; None before anybody has said anything."""
    said = [
        message
        for message in values.get("messages") or []
        if isinstance(message, dict) and message.get("type") == "human"
    ]
    if not said:
        return None
    intent, outcome = (values.get("request") or {}).get("intent"), _outcome(values)
    about = values.get("summary") or f"The customer wrote: {_text(said[0])[:_QUOTE]}"
    done = " ".join(effect["text"] for effect in values.get("effects") or [])
    text = " ".join(part for part in (about, done and f"Done: {done}", f"Now: {outcome}.") if part)
    return Digest(intent, outcome, len(said), text[:_LONGEST])


def _outcome(values: Mapping[str, Any]) -> str:
    if values.get("pending"):
        return "waiting for the customer's yes"
    if values.get("actions"):
        return "handed over"
    if values.get("refusal"):
        return "refused"
    if (values.get("verdict") or {}).get("accepted"):
        return "answered"
    return "open"


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or [] if isinstance(part, dict))
