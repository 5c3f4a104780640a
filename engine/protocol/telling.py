"""What one run tells its thread, in the words of the protocol."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from engine.following import Event
from engine.protocol.blocks import Assembly, is_last, is_model_message, slim, snapshot
from engine.serialise import loads

Json = dict[str, Any]
Namespace = tuple[str, ...]

_PHASES = {"success": "completed", "interrupted": "interrupted"}
_COMMAND = {"graph", "update", "resume", "goto"}  # clients know it by another name
_AGAIN = "The run began again: this message goes no further."


@dataclass(frozen=True, slots=True)
class Item:
    """One event before it has a number.

    It is named after the `event` it comes from, or by its `key` among those that the run implies.
    `data` may be a call that makes it.
    """

    method: str
    namespace: Namespace
    data: Any
    event: Event | None = None
    key: str = ""
    node: str | None = None


class RunTelling:
    """Follows one run's stored events, in order. The same events always tell the same.

    `steps` is how far the thread's runs have come, by namespace; they share it.
    """

    def __init__(
        self, run_id: UUID, graph_name: str | None, steps: dict[Namespace, int] | None = None
    ) -> None:
        self.run_id = run_id
        self._steps = {} if steps is None else steps
        self.over = False
        self._graph_name = graph_name
        self._names: dict[Namespace, str] = {}  # of subgraphs that have begun
        self._open: dict[Namespace, str] = {}  # those at work, by the task that runs them
        self._calls: dict[str, str] = {}  # the tool call that a task answers
        self._messages: dict[tuple[Namespace, str], Assembly] = {}
        self._interrupts: dict[str, tuple[Namespace, Any]] = {}
        self._paused = False
        self._error: str | None = None
        self._checkpointed: set[Namespace] = set()
        self._held: dict[Namespace, Event] = {}
        self._tellers: Mapping[str, Callable[[Event, Namespace], Iterator[Item]]] = {
            "metadata": self._metadata,
            "values": self._values,
            "updates": self._updates,
            "messages": self._message,
            "tools": self._tools,
            "tasks": self._tasks,
            "checkpoints": self._checkpoint,
            "custom": self._plain,
            "error": self._failure,
            "end": self._end,
        }

    def begin(self) -> Iterator[Item]:
        yield self._lifecycle((), "running")

    def recall(self, interrupts: Iterable[Mapping[str, Any]]) -> None:
        """Questions that are known to wait."""
        for one in interrupts:
            self._pause({"__interrupt__": [one]}, ())

    def read(self, event: Event) -> Iterator[Item]:
        """What this event of the run tells."""
        if self.over:
            return
        kind, _, rest = event.name.partition("|")
        namespace = tuple(rest.split("|")) if rest else ()
        if kind != "checkpoints":
            yield from self._release(namespace, everything=kind in {"metadata", "error", "end"})
        if tell := self._tellers.get(kind):
            yield from tell(event, namespace)
        yield from self._release(namespace) if kind == "checkpoints" else ()

    def close(self, status: str, error: str | None = None) -> Iterator[Item]:
        """The end of the run, which had this status; nothing when it has been told."""
        if self.over:
            return
        self.over = True
        self._error = self._error or error
        for namespace in list(self._held):
            yield from self._release(namespace)
        phase = _PHASES.get(status, "failed")
        if phase == "completed" and self._paused:
            phase = "interrupted"
            yield from self._ended(phase)
            yield from self._requests()
        else:
            yield from self._ended(phase)
        yield self._lifecycle((), phase)

    def _ended(self, phase: str) -> Iterator[Item]:
        """The ends of what was still open when the run ended."""
        said = {"event": "error", "message": self._error or f"The run is {phase}."}
        for namespace, message_id in self._messages:
            key = f"message|{'|'.join(namespace)}|{message_id}"
            yield Item("messages", namespace, said, key=key)
        self._messages.clear()
        for namespace in sorted(self._open, key=len, reverse=True):
            yield self._lifecycle(namespace, phase)
        self._open.clear()

    def _requests(self) -> Iterator[Item]:
        """Python's SDK reads the question as `value`, the others as `payload`."""
        for interrupt_id, (namespace, value) in self._interrupts.items():
            said = {"interrupt_id": interrupt_id, "payload": value, "value": value}
            key = f"input|{'|'.join(namespace)}|{interrupt_id}"
            yield Item("input.requested", namespace, said, key=key)

    def _metadata(self, event: Event, _: Namespace) -> Iterator[Item]:
        """Another attempt says again, under new ids, what the one before could not finish."""
        for namespace, _id in self._messages:
            yield Item("messages", namespace, {"event": "error", "message": _AGAIN}, event)
        self._messages.clear()

    def _values(self, event: Event, namespace: Namespace) -> Iterator[Item]:
        if b'"__interrupt__"' in event.data:
            self._pause(loads(event.data), namespace)
        if namespace in self._checkpointed:
            self._held[namespace] = event
        else:
            yield _values(event, namespace)

    def _release(self, namespace: Namespace, *, everything: bool = False) -> Iterator[Item]:
        """Values that waited for their checkpoint: clients expect it before them."""
        for one in list(self._held) if everything else [namespace]:
            if held := self._held.pop(one, None):
                yield _values(held, one)

    def _updates(self, event: Event, namespace: Namespace) -> Iterator[Item]:
        data = loads(event.data)
        if not isinstance(data, dict) or "__interrupt__" not in data:
            names = [one for one in data if one != "__metadata__"] if isinstance(data, dict) else []
            node = names[0] if len(names) == 1 else None
            yield Item("updates", namespace, data, event, node=node)
        else:
            self._pause(data, namespace)

    def _pause(self, data: Any, namespace: Namespace) -> None:
        """An interrupt shows in its own graph first and then in those around it."""
        waiting = data.get("__interrupt__") if isinstance(data, dict) else None
        if waiting is None:
            return
        self._paused |= not namespace
        for one in waiting:
            self._interrupts.setdefault(one["id"], (namespace, one["value"]))

    def _message(self, event: Event, namespace: Namespace) -> Iterator[Item]:
        piece, metadata = loads(event.data)
        if not is_model_message(piece):
            return
        key = namespace, piece.get("id") or ""
        assembly = self._messages.setdefault(key, Assembly())
        node = metadata.get("langgraph_node")
        said = [*assembly.add(piece)]
        if is_last(piece):
            said += assembly.finish()
            del self._messages[key]
        for data in said:
            yield Item("messages", namespace, data, event, node=node)

    def _tools(self, event: Event, namespace: Namespace) -> Iterator[Item]:
        data = loads(event.data)
        if isinstance(output := data.get("output"), dict):
            named = {"lg_name": "Command"} if output.keys() == _COMMAND else {}
            data["output"] = {**slim(output), **named}
        yield Item("tools", namespace, data, event)

    def _tasks(self, event: Event, namespace: Namespace) -> Iterator[Item]:
        data = loads(event.data)
        if "result" not in data:
            self._note_call(data)
            if namespace and namespace not in self._names:
                yield self._started(namespace, data.get("metadata") or {})
        yield Item("tasks", namespace, data, event, node=data.get("name"))
        if "result" in data:
            phase = _task_phase(data)
            for inner, task in list(self._open.items()):
                if inner[:-1] == namespace and task == data["id"]:
                    del self._open[inner]
                    yield self._lifecycle(inner, phase, data.get("error"))

    def _note_call(self, task: Json) -> None:
        given = task.get("input")
        call = given.get("tool_call") if isinstance(given, dict) else None
        if isinstance(call, dict) and isinstance(call.get("id"), str):
            self._calls[task["id"]] = call["id"]

    def _started(self, namespace: Namespace, metadata: Json) -> Item:
        """A subgraph begins; an agent that another one called is known by its own name."""
        node, _, task = namespace[-1].partition(":")
        agent = metadata.get("lc_agent_name")
        self._names[namespace] = agent or node
        self._open[namespace] = task
        said: Json = {
            "event": "started",
            "namespace": list(namespace),
            "graph_name": self._names[namespace],
            "trigger_call_id": task,
        }
        if agent and task in self._calls:
            said["cause"] = {"type": "toolCall", "tool_call_id": self._calls[task]}
        return Item("lifecycle", namespace, said, key=_phase_key(namespace, "started"))

    def _checkpoint(self, event: Event, namespace: Namespace) -> Iterator[Item]:
        self._checkpointed.add(namespace)
        data = loads(event.data)
        parent = data.get("parent_config")
        metadata = data.get("metadata") or {}
        said = {
            "id": data["config"]["configurable"]["checkpoint_id"],
            **({"parent_id": parent["configurable"]["checkpoint_id"]} if parent else {}),
            **self._step(namespace, metadata.get("step")),
            "source": metadata.get("source"),
        }
        yield Item("checkpoints", namespace, said, event)

    def _step(self, namespace: Namespace, step: int | None) -> Json:
        """Told only when the thread has not been as far: to clients, values of an earlier step are
        a replay, which takes no message away. A fork goes back and does."""
        if step is None or step <= self._steps.get(namespace, -2):
            return {}
        self._steps[namespace] = step
        return {"step": step}

    def _plain(self, event: Event, namespace: Namespace) -> Iterator[Item]:
        yield Item(event.name.partition("|")[0], namespace, loads(event.data), event)

    def _failure(self, event: Event, _: Namespace) -> Iterator[Item]:
        told = loads(event.data)
        self._error = told.get("message") or told.get("error")
        yield from ()

    def _end(self, event: Event, _: Namespace) -> Iterator[Item]:
        yield from self.close(loads(event.data)["status"])

    def _lifecycle(self, namespace: Namespace, phase: str, error: str | None = None) -> Item:
        name = self._names.get(namespace) if namespace else self._graph_name
        said: Json = {"event": phase, **({"graph_name": name} if name else {})}
        if phase == "failed":
            said["error"] = str(error or self._error or "")
        return Item("lifecycle", namespace, said, key=_phase_key(namespace, phase))


def _values(event: Event, namespace: Namespace) -> Item:
    return Item("values", namespace, partial(snapshot, event.data), event)


def _phase_key(namespace: Namespace, phase: str) -> str:
    return f"lc|{'|'.join(namespace)}|{phase}"


def _task_phase(result: Json) -> str:
    if result.get("interrupts"):
        return "interrupted"
    return "failed" if result.get("error") else "completed"
