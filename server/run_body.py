"""The body that asks for a run."""

from typing import Any, Literal
from uuid import UUID

from pydantic import Field, field_validator

from engine.errors import Invalid
from engine.execution import NATIVE
from engine.runs import RunRequest, Strategy
from server.bodies import Body, Object

Nodes = Literal["*"] | list[str]

_IGNORED = frozenset({"tools", "lifecycle"})  # newer clients ask for them; they need nothing


class RunBody(Body):
    """What every run can be asked for; see the fields of `RunRequest`."""

    assistant_id: str
    input: Any = None
    command: Object | None = None
    config: Object = Field(default_factory=dict)
    context: Object | None = None
    metadata: Object = Field(default_factory=dict)
    checkpoint: Object | None = None
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

    def request(self, *, request_id: str, stateless: bool = False) -> RunRequest:
        """Raises `Invalid` for what this server cannot do."""
        if self.webhook is not None:
            raise Invalid("webhook: this server sends none")
        checkpoint = self.checkpoint
        if checkpoint is None and self.checkpoint_id is not None:
            checkpoint = {"checkpoint_id": str(self.checkpoint_id)}
        return RunRequest(
            assistant_id=self.assistant_id,
            input=self.input,
            command=self.command,
            config=self.config,
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
            request_id=request_id,
        )
