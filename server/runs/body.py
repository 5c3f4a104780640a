"""The body that asks for a run."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from engine.errors import Invalid
from engine.execution import MODES
from engine.ids import parse_uuid
from engine.runs import Strategy
from server.bodies import Body, Checkpoint, Object

Nodes = Literal["*"] | list[str]

_IGNORED = frozenset({"tools", "lifecycle"})  # newer clients ask for them; they need nothing


class Send(Body):
    """A node to go to, with an input of its own."""

    node: str
    input: Any = None


class Command(Body):
    """What to do at an interrupt, or instead of an input."""

    update: Object | list[tuple[str, Any]] | None = None
    resume: Any = None
    goto: str | Send | list[str] | list[Send] | None = None


class Config(Body):
    """The part of a RunnableConfig that a client may set."""

    configurable: Object = Field(default_factory=dict)
    tags: list[str] | None = None
    recursion_limit: Annotated[int, Field(ge=1)] | None = None
    metadata: Object | None = None


class RunBody(Body):
    """What every run can be asked for; see the fields of `RunRequest`."""

    assistant_id: str
    input: Any = None
    command: Command | None = None
    config: Config = Field(default_factory=Config)
    context: Object | None = None
    metadata: Object = Field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None
    stream_mode: str | list[str] = Field("values", validate_default=True)
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    multitask_strategy: Strategy = "enqueue"
    if_not_exists: Literal["reject", "create"] = "reject"
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] = "delete"
    after_seconds: float = 0.0
    durability: Literal["sync", "async", "exit"] | None = None
    checkpoint_during: bool = True
    webhook: Annotated[str, Field(min_length=1)] | None = None
    feedback_keys: list[str] | None = None

    @field_validator("stream_mode")
    @classmethod
    def _modes(cls, value: str | list[str]) -> list[str]:
        modes = [value] if isinstance(value, str) else value
        for mode in modes:
            if mode not in MODES and mode not in _IGNORED:
                raise ValueError(f"stream mode {mode!r} is not one of {', '.join(MODES)}")
        return modes or ["values"]

    def kwargs(self, *, stateless: bool) -> Object:
        """How the graph is to be run, under the names of `RunRequest`."""
        return {
            "input": self.input,
            "command": self.command.model_dump(exclude_none=True) if self.command else None,
            "config": self.config.model_dump(exclude_none=True),
            "context": self.context,
            "stream_mode": self.stream_mode,
            "stream_subgraphs": self.stream_subgraphs,
            "stream_resumable": self.stream_resumable,
            "interrupt_before": self.interrupt_before,
            "interrupt_after": self.interrupt_after,
            "temporary": stateless and self.on_completion == "delete",
            "durability": self.durability or ("async" if self.checkpoint_during else "exit"),
            "webhook": self.webhook,
            "feedback_keys": self.feedback_keys,
        }

    def pointer(self) -> Object | None:
        """Where to go on from; `checkpoint` may be anywhere in a subgraph, so it says more.

        Raises `Invalid`.
        """
        if self.checkpoint_id is not None and parse_uuid(self.checkpoint_id) is None:
            raise Invalid("Invalid checkpoint ID")
        if self.checkpoint and (pointer := self.checkpoint.pointer()):
            return pointer
        return {"checkpoint_id": self.checkpoint_id} if self.checkpoint_id else None
