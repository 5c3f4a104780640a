"""The promise between a tool and the runtime that calls it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Literal

from engine.database import Connection

Level = Literal["anonymous", "claimed", "verified"]


@dataclass
class Context:
    """What a run is told from outside: plain data, honoured as far as the credential allows."""

    customer_id: str | None = None
    locale: str = "en"
    channel: str = "api"


@dataclass(frozen=True)
class Run:
    """For whom a tool works, decided by the runtime and hidden from the model."""

    tenant: str
    thread_id: str
    run_id: str
    call_id: str
    customer_id: str | None = None
    level: Level = "anonymous"
    locale: str = "en"
    connection: Connection | None = None
    """Set for writes to our own tables: the transaction that also holds the effect ledger's row."""
    epoch: int | None = None
    """Of the claim under which this run works: no other may write on its thread."""

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this call: hand it to a remote system."""
        return f"{self.thread_id}:{self.call_id}"


@dataclass(frozen=True)
class Identified:
    """A customer that a lookup found, and the fact that matched."""

    customer_id: str
    fact: Literal["email", "name_postcode"]


@dataclass(frozen=True)
class Result:
    """What a tool found or did.

    `text` is short prose with every fact in it: the model, the customer and the exact-facts check
    read it. `data` is plain JSON for programs. `choices` lists what a later call may pick from, by
    kind (`line`, `variant`, `payment_method`, ...): `[{"id": "...", "label": "..."}]`.
    """

    text: str
    data: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    identified: Identified | None = None


@dataclass(frozen=True)
class Tool(ABC):
    """Base of every tool: its policy as class variables, its work in `__call__`.

    `__call__(self, <arguments filled by the model>, run: Run) -> Result`. Raise `engine.errors.
    Refused` with a sentence for the customer when a rule forbids it. A write runs twice: once in a
    transaction that is rolled back, to list exactly what will happen (`Result.text`, such as
    "cancel order #W1: refund 10.00 to gift card gift_card_1"), and again for real after a yes.
    A write to a remote system, which cannot be rolled back, declares it as `remote`, overrides
    `preview`, and hands `run.idempotency_key` over.
    """

    write: ClassVar[bool] = False
    confirm: ClassVar[bool] = True
    """For writes: whether the customer is asked first. A ticket or a hand-off needs no yes."""
    remote: ClassVar[Literal["", "keyed", "unkeyed"]] = ""
    """For writes to a remote system: whether it does a thing once however often it gets the key.

    After a crash in the middle, a keyed one is sent the same again; an unkeyed one is asked by
    `reconcile`, if the tool has that, else the outcome is left to a colleague. Raise `Refused` only
    when the remote certainly did nothing; any other error is an unknown outcome.
    """
    level: ClassVar[Level] = "anonymous"
    """How sure of the customer the runtime must be before it calls this."""
    timeout: ClassVar[timedelta] = timedelta(seconds=5)
    retries: ClassVar[int] = 1
    """How often a read, or a keyed write, is repeated after it timed out or found no answer."""
    identifies: ClassVar[bool] = False
    """Whether a result may say who is asking (`Result.identified`)."""
    provides: ClassVar[tuple[str, ...]] = ()
    """Kinds of `Result.choices` that a read lists, for arguments marked `x-choose`."""
    examples: ClassVar[tuple[str, ...]] = ()
    """Things customers say when they want this: they train the local classifier."""
    mentions: ClassVar[str] = ""
    """For reads: a regular expression with a named group per argument; each match in a message is
    read at once, beside retrieval, without asking a model."""

    @abstractmethod
    async def __call__(self, *args: Any, **kwargs: Any) -> Result:
        """Do it for `run`."""

    async def preview(self, run: Run, **args: Any) -> Result:
        """List exactly what the write will do, changing nothing that outlives `run.connection`."""
        return await self(**args, run=run)

    async def reconcile(self, run: Run, **args: Any) -> Result | None:
        """Ask the remote what became of `run.idempotency_key`: what was done, or None.

        None only if it was not done and will not be any more. For unkeyed writes that can ask.
        """
        raise NotImplementedError
