"""The prompt of a bounded size: instructions, facts, summary, passages, recent turns."""

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from nodes.state import State


def instructions(name: str) -> str:
    """The text of `nodes/<name>.md`."""
    return files("nodes").joinpath(f"{name}.md").read_text(encoding="utf-8").strip()


def tokens(text: str) -> int:
    """An estimate on the safe side (3 characters a token: 1.3 times the true count of English)."""
    return len(text) // 3 + 1


def compose(state: State, brief: str, budget: int) -> list[BaseMessage]:
    """System message and the newest whole turns that fit into `budget` tokens.

    The current turn is always whole; what is left out is what `summary` stands for.
    """
    system = "\n\n".join([brief, *_blocks(state)])
    left = budget - tokens(system)
    kept: list[list[BaseMessage]] = []
    for turn in reversed(turns(state.messages)):
        cost = sum(tokens(_weight(message)) for message in turn)
        if kept and cost > left:
            break
        left -= cost
        kept.insert(0, turn)
    return [SystemMessage(system), *(message for turn in kept for message in turn)]


def turns(messages: Sequence[AnyMessage]) -> list[list[BaseMessage]]:
    """Messages in groups that begin with a customer's; every tool result right after its call.

    A call is moved down to its result: a model API takes no call whose answer comes later, and a
    call that still waits for the customer's yes has none.
    """
    calls = {
        call["id"]: call
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }
    groups: list[list[BaseMessage]] = []
    for message in _in_order(messages, calls):
        if isinstance(message, HumanMessage) or not groups:
            groups.append([])
        groups[-1].append(message)
    return groups


def this_turn(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """What came after the customer's last message."""
    last = max((i for i, m in enumerate(messages) if isinstance(m, HumanMessage)), default=-1)
    return list(messages[last + 1 :])


def _in_order(
    messages: Sequence[AnyMessage], calls: dict[str | None, ToolCall]
) -> Iterator[BaseMessage]:
    for message in messages:
        if isinstance(message, ToolMessage):
            if call := calls.get(message.tool_call_id):
                yield AIMessage("", tool_calls=[call])
                yield message
        elif not (isinstance(message, AIMessage) and message.tool_calls):
            yield message


def _blocks(state: State) -> Iterator[str]:
    request, identity = state.request, state.identity
    level = identity["level"] if identity else "anonymous"
    if request:
        yield (
            f'<request intent="{request["intent"]}" confidence="{request["confidence"]:.2f}" '
            f'level="{level}" language="{escape(request["language"])}"/>'
        )
    facts = [f"- Done in this conversation: {receipt['text']}" for receipt in state.effects]
    if facts:
        yield "<facts>\n" + "\n".join(facts) + "\n</facts>"
    if state.summary:
        yield f"<summary>\n{state.summary}\n</summary>"
    if state.passages:
        parts = [
            f'<passage id="{p["id"]}" title="{escape(p["title"])}">\n{p["text"]}\n</passage>'
            for p in state.passages
        ]
        yield "<passages>\n" + "\n".join(parts) + "\n</passages>"
    if state.rejections:
        yield f"<rejected>{state.rejections[-1]}</rejected>"


def _weight(message: BaseMessage) -> str:
    return message.text + (str(message.tool_calls) if isinstance(message, AIMessage) else "")
