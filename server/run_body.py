"""The body that asks for a run."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, field_validator

from engine.execution import NATIVE
from engine.runs import RunRequest, Strategy
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
    goto: str | Send | list[str | Send] | None = None


class Config(Body):
    """The part of a RunnableConfig that a client may set."""

    configurable: Object = Field(default_factory=dict)
    tags: list[str] | None = None
    recursion_limit: Annotated[int, Field(ge=1)] | None = None


class RunBody(Body):
    """What every run can be asked for; see the fields of `RunRequest`."""

    assistant_id: str
    input: Any = None
    command: Command | None = None
    config: Config = Field(default_factory=Config)
    context: Object | None = None
    metadata: Object = Field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    checkpoint_id: UUID | None = None
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
    webhook: str | None = None

    @field_validator("stream_mode")
    @classmethod
    def _modes(cls, value: str | list[str]) -> list[str]:
        modes = [value] if isinstance(value, str) else value
        for mode in modes:
            if mode not in NATIVE and mode not in _IGNORED:
                raise ValueError(f"stream mode '{mode}' is not one of {', '.join(NATIVE)}")
        return modes or ["values"]

    def request(
        self, *, request_id: str, idempotency_key: str | None = None, stateless: bool = False
    ) -> RunRequest:
        """The same for the engine."""
        checkpoint = self.checkpoint.pointer() if self.checkpoint else None
        if checkpoint is None and self.checkpoint_id is not None:
            checkpoint = {"checkpoint_id": str(self.checkpoint_id)}
        command = self.command.model_dump(exclude_none=True) if self.command else None
        return RunRequest(
            assistant_id=self.assistant_id,
            input=self.input,
            command=command,
            config=self.config.model_dump(exclude_none=True),
            context=self.context,
            metadata=self.metadata,
            checkpoint=checkpoint,
            stream_mode=self.stream_mode,
            stream_subgraphs=self.stream_subgraphs,
            stream_resumable=self.stream_resumable,
            interrupt_before=self.interrupt_before,
            interrupt_after=self.interrupt_after,
            multitask_strategy=self.multitask_strategy,
            create_thread=stateless or self.if_not_exists == "create",
            temporary=stateless and self.on_completion == "delete",
            after_seconds=self.after_seconds,
            durability=self.durability or ("async" if self.checkpoint_during else "exit"),
            webhook=self.webhook,
            request_id=request_id,
            idempotency_key=idempotency_key,
        )
