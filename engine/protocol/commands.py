"""What a client asks of its thread: start a run, answer an interrupt, tell how it stands."""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal, Protocol, cast, get_args
from uuid import UUID, uuid4

from engine.caller import Caller
from engine.errors import BadRequest, NotFound
from engine.ids import parse_uuid
from engine.protocol.channels import is_channel
from engine.protocol.stream import ThreadStreams
from engine.runs import Strategy
from engine.threads import Thread, Threads

Json = dict[str, Any]

Code = Literal[
    "invalid_argument",
    "unknown_command",
    "unknown_error",
    "no_such_run",
    "no_such_subscription",
    "no_such_interrupt",
    "permission_denied",
]

MODES = (
    "values",
    "updates",
    "messages",
    "tools",
    "lifecycle",
    "custom",
    "tasks",
    "checkpoints",
)
"""The stream modes of every run that is started by a command."""

_BUSY_SECONDS = 5.0  # how long a command waits for the run before it
_LOOK_SECONDS = 0.05
_NO_RUN = "No active run is bound to this thread."
_STATUSES = {"pending": "running", "error": "failed", "timeout": "failed", "success": "completed"}


class Refusal(BadRequest):
    """The command cannot be done."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class Door(Protocol):
    """Lets one caller in, or not: everything is asked for as the caller may."""

    async def read(self, thread_id: UUID) -> Caller:
        """As whom to read the thread."""

    async def start(self, thread_id: UUID, asked: Json) -> UUID:
        """The id of a new run on the thread, which is made if it is not there.

        `asked` has fields of the API's request for a run. Raises what the engine raises.
        """


class Commands:
    """Carries out commands, each on one thread."""

    def __init__(self, threads: Threads, streams: ThreadStreams) -> None:
        self._threads = threads
        self._streams = streams

    async def run(self, door: Door, thread_id: UUID, method: str, params: Json) -> Json:
        """The command's result. Raises `Refusal`, or what the engine raises."""
        match method:
            case "run.start":
                return await self._start(door, thread_id, params)
            case "input.respond":
                return await self._respond(door, thread_id, params)
            case "agent.getTree":
                return await self._tree(door, thread_id)
            case "subscription.subscribe":
                check_channels(method, params)
                return {"subscription_id": str(uuid4()), "replayed_events": 0}
            case "subscription.unsubscribe":
                subscription_id = subscription_of(params)
                raise Refusal("no_such_subscription", f"Unknown subscription: {subscription_id}")
            case "subscription.reconnect":
                raise Refusal("no_such_run", _NO_RUN)
        raise Refusal("unknown_command", f"Unknown protocol command: {method}")

    async def _start(self, door: Door, thread_id: UUID, params: Json) -> Json:
        """On an interrupted thread the input is the answer, unless it names a checkpoint."""
        assistant_id, given = params.get("assistant_id"), params.get("input")
        if not isinstance(assistant_id, str) or not assistant_id:
            raise Refusal("invalid_argument", "run.start requires an assistant_id.")
        config, strategy = _config(params), _strategy(params)
        asked = {
            "assistant_id": assistant_id,
            "config": config,
            "metadata": _metadata("run.start", params),
            "multitask_strategy": strategy,
        }
        patience = _BUSY_SECONDS if strategy in {None, "reject"} else 0.0
        thread = await self._at_rest(await door.read(thread_id), thread_id, patience)
        waits = thread is not None and thread.status == "interrupted"
        if waits and given is not None and "checkpoint_id" not in config["configurable"]:
            asked["command"] = {"resume": given}
        else:
            asked["input"] = given
        return {"run_id": str(await door.start(thread_id, asked))}

    async def _respond(self, door: Door, thread_id: UUID, params: Json) -> Json:
        answers = _answers(params)
        thread = await self._at_rest(await door.read(thread_id), thread_id)
        if thread is None or not (latest := await self._streams.latest(thread_id)):
            raise Refusal("no_such_run", "No interrupted run is bound to this thread.")
        waiting = thread.interrupts or {}
        known = {one["id"] for several in waiting.values() for one in several}
        for interrupt_id in answers:
            if interrupt_id not in known:
                message = f"Unknown or already-consumed interrupt: {interrupt_id}"
                raise Refusal("no_such_interrupt", message)
        more = {name: params[name] for name in ("update", "goto") if params.get(name) is not None}
        asked = {
            "assistant_id": str(latest["assistant_id"]),
            "command": {"resume": answers, **more},
            "config": _config(params),
            "metadata": _metadata("input.respond", params),
        }
        await door.start(thread_id, asked)
        return {}

    async def _tree(self, door: Door, thread_id: UUID) -> Json:
        caller = await door.read(thread_id)
        latest = None
        if await self._streams.sees(caller, thread_id):
            latest = await self._streams.latest(thread_id)
        if latest is None:
            raise Refusal("no_such_run", _NO_RUN)
        status = _STATUSES.get(latest["status"], latest["status"])
        if status == "completed":
            thread = await self._threads.get(caller, thread_id)
            status = "interrupted" if thread.status == "interrupted" else status
        return {"tree": {"namespace": [], "status": status, "graph_name": latest["graph_id"]}}

    async def _at_rest(
        self, caller: Caller, thread_id: UUID, patience: float = _BUSY_SECONDS
    ) -> Thread | None:
        """The thread when nothing runs on it, or as it is after that many seconds."""
        clock = asyncio.get_running_loop().time
        until = clock() + patience
        while True:
            try:
                thread = await self._threads.get(caller, thread_id)
            except NotFound:
                return None
            if thread.status != "busy" or clock() >= until:
                return thread
            await asyncio.sleep(_LOOK_SECONDS)


def check_channels(method: str, params: Mapping[str, Any]) -> None:
    """Raises `Refusal` unless there is a list of channels, each of which exists."""
    channels = params.get("channels")
    if not isinstance(channels, list) or not channels:
        raise Refusal("invalid_argument", f"{method} requires a non-empty channels array.")
    if not all(map(is_channel, channels)):
        raise Refusal("invalid_argument", f"{method} received an unsupported channel.")


def subscription_of(params: Mapping[str, Any]) -> str:
    """The subscription to end. Raises `Refusal`."""
    subscription_id = params.get("subscription_id")
    if not isinstance(subscription_id, str) or not subscription_id:
        message = "subscription.unsubscribe requires a subscription_id."
        raise Refusal("invalid_argument", message)
    return subscription_id


def _config(params: Mapping[str, Any]) -> Json:
    """The config, with the checkpoint to fork from under `configurable`. Raises `Refusal`."""
    config = params.get("config")
    config = dict(config) if isinstance(config, dict) else {}
    configurable = config.get("configurable")
    configurable = dict(configurable) if isinstance(configurable, dict) else {}
    if fork := params.get("forkFrom") or params.get("fork_from"):
        configurable["checkpoint_id"] = fork
    if configurable.get("checkpoint_id") is None:
        configurable.pop("checkpoint_id", None)
    elif parse_uuid(str(configurable["checkpoint_id"])) is None:
        wrong = configurable["checkpoint_id"]
        message = f"Invalid config.configurable.checkpoint_id: {wrong!r}."
        raise Refusal("invalid_argument", message)
    return {**config, "configurable": configurable}


def _strategy(params: Mapping[str, Any]) -> Strategy | None:
    """Clients spell it in both ways, and older ones in one."""
    strategy = params.get("multitask_strategy") or params.get("multitaskStrategy")
    return cast("Strategy", strategy) if strategy in get_args(Strategy) else None


def _metadata(method: str, params: Mapping[str, Any]) -> Json:
    metadata = params.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise Refusal("invalid_argument", f"{method} metadata must be an object.")
    return dict(metadata or {})


def _answers(params: Mapping[str, Any]) -> Json:
    """What to answer to which interrupt. Raises `Refusal`."""
    responses = params.get("responses")
    if not isinstance(responses, list):
        interrupt_id = params.get("interrupt_id")
        if not isinstance(interrupt_id, str) or not interrupt_id:
            raise Refusal("invalid_argument", "input.respond requires an interrupt_id.")
        return {interrupt_id: params.get("response")}
    if not responses:
        raise Refusal("invalid_argument", "input.respond requires at least one response.")
    answers = {}
    for one in responses:
        interrupt_id = one.get("interrupt_id") if isinstance(one, dict) else None
        if not isinstance(interrupt_id, str) or not interrupt_id:
            message = "input.respond responses entries require an interrupt_id."
            raise Refusal("invalid_argument", message)
        answers[interrupt_id] = one.get("response")
    return answers
