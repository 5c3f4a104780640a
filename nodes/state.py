"""What flows between the steps of the support graph."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.channels import UntrackedValue
from langgraph.graph.message import add_messages
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from tools import Level, Receipt


class Sealed:
    """A draft on its way from `generate` to `validate`: no stream or log can print it."""

    __slots__ = ("_draft", "_objection")

    def __init__(self, draft: AIMessage, objection: str | None = None) -> None:
        self._draft = draft
        self._objection = objection

    def unseal(self) -> tuple[AIMessage, str | None]:
        """The draft, and the objection that stopped its stream if there was one."""
        return self._draft, self._objection

    def __repr__(self) -> str:
        return "<sealed draft>"

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(repr)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "title": "Sealed", "readOnly": True}


class Request(TypedDict):
    """What the customer wants, as `classify` understood it."""

    intent: str
    confidence: float
    out_of_scope: bool
    knowledge: bool
    language: str


class Identity(TypedDict):
    """Who is asking: a mirror for prompts and people; the binding in the database decides."""

    customer_id: str | None
    level: Level


class Evidence(TypedDict):
    """A retrieved passage, compressed."""

    id: str
    document: str
    title: str
    url: str | None
    text: str


class Citation(TypedDict):
    """A passage that an answer rests on."""

    id: str
    document: str
    title: str
    url: str | None
    quote: str


class Proposal(TypedDict):
    """A write that waits for the customer's yes, and exactly what it will do."""

    call_id: str
    tool: str
    args: dict[str, Any]
    text: str


class Verdict(TypedDict):
    """What validation said: the layers passed, or what failed, and how many drafts it took."""

    accepted: bool
    layers: list[str]
    reason: str | None
    drafts: int


class Action(TypedDict):
    """Something the desk did of its own accord, such as a hand-off with its ticket."""

    kind: str
    reason: str
    receipt: Receipt | None


class Tokens(TypedDict):
    """Tokens that went into and came out of one model."""

    input: int
    output: int


class Usage(TypedDict):
    """What one run cost so far: tokens by model, milliseconds by node."""

    run_id: str
    tokens: dict[str, Tokens]
    ms: dict[str, float]


def add_usage(old: Usage | None, new: Usage | None) -> Usage | None:
    """Sum within a run; a new run starts from nothing."""
    if old is None or new is None or old["run_id"] != new["run_id"]:
        return new or old
    tokens = dict(old["tokens"])
    for model, count in new["tokens"].items():
        before = tokens.get(model, Tokens(input=0, output=0))
        tokens[model] = Tokens(
            input=before["input"] + count["input"], output=before["output"] + count["output"]
        )
    ms = dict(old["ms"])
    for node, spent in new["ms"].items():
        ms[node] = round(ms.get(node, 0.0) + spent, 2)
    return Usage(run_id=old["run_id"], tokens=tokens, ms=ms)


@dataclass(kw_only=True)
class Input:
    """What a caller sends."""

    messages: Annotated[list[AnyMessage], add_messages] = field(default_factory=list)


@dataclass(kw_only=True)
class State(Input):
    """Everything a conversation remembers."""

    refusal: str | None = None
    """Set by `guard` when the message is not processed further."""
    identity: Identity | None = None
    request: Request | None = None
    open_request: Request | None = None
    """What the last turn left unfinished, such as a cancellation that lacks its reason."""
    reads: list[dict[str, Any]] = field(default_factory=list)
    """Tool calls that `classify` planned beside retrieval."""
    passages: list[Evidence] = field(default_factory=list)
    pending: list[Proposal] = field(default_factory=list)
    decision: str | None = None
    """The customer's word on `pending` when it came as a message: yes or no."""
    effects: list[Receipt] = field(default_factory=list)
    """Writes committed on this thread, from the ledger: facts, whatever branch this is."""
    draft: Annotated[Sealed | None, UntrackedValue] = None
    rejections: list[str] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    verdict: Verdict | None = None
    actions: list[Action] = field(default_factory=list)
    usage: Annotated[Usage | None, add_usage] = None
    summary: str = ""
    summarised: int = 0
    """How many of the first messages `summary` stands for."""


@dataclass(kw_only=True)
class Output(Input):
    """What a caller gets back; the reply is the last message."""

    identity: Identity | None = None
    request: Request | None = None
    citations: list[Citation] = field(default_factory=list)
    verdict: Verdict | None = None
    pending: list[Proposal] = field(default_factory=list)
    effects: list[Receipt] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    usage: Annotated[Usage | None, add_usage] = None


Update = dict[str, Any]
