"""What the API answers with, for its OpenAPI document alone: nothing is checked against it."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

Object = dict[str, Any]
Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Problem(TypedDict):
    """An error: why, in a sentence."""

    detail: str


class ServerSentEvent(TypedDict):
    """One event of a stream; `data` is JSON, and `id` is there where a stream can be resumed."""

    event: str
    data: str
    id: NotRequired[str]


class Assistant(TypedDict):
    """A graph with a configuration."""

    assistant_id: Id
    graph_id: str
    config: Object
    context: Object
    metadata: Object
    name: str
    created_at: Moment
    updated_at: Moment
    version: int
    description: str | None


class AssistantVersion(TypedDict):
    """What an assistant was at a version."""

    assistant_id: Id
    graph_id: str
    config: Object
    context: Object
    metadata: Object
    name: str
    created_at: Moment
    version: int
    description: str | None


class GraphSchemas(TypedDict):
    """JSON Schemas of a graph; null or empty where there is none."""

    graph_id: NotRequired[str]
    input_schema: Object | None
    output_schema: Object | None
    state_schema: Object | None
    config_schema: Object | None
    context_schema: NotRequired[Object | None]


class Node(TypedDict):
    """A node of a drawing."""

    id: str
    type: NotRequired[str]
    data: NotRequired[Any]
    metadata: NotRequired[Any]


class Edge(TypedDict):
    """An edge of a drawing."""

    source: str
    target: str
    data: NotRequired[Any]
    conditional: NotRequired[bool]


class Drawing(TypedDict):
    """A graph's nodes and edges."""

    nodes: list[Node]
    edges: list[Edge]


class Interrupt(TypedDict):
    """What a run asks and waits for."""

    id: NotRequired[str]
    value: Any


class Expiry(TypedDict):
    """When a thread expires, and what then goes."""

    strategy: str | None
    ttl_minutes: float
    expires_at: Moment | None


class Thread(TypedDict):
    """A conversation. `interrupts` are by task."""

    thread_id: Id
    created_at: Moment
    updated_at: Moment
    state_updated_at: Moment
    metadata: Object
    status: Literal["idle", "busy", "interrupted", "error"]
    config: Object
    values: Any
    error: NotRequired[Any]
    interrupts: NotRequired[dict[str, list[Interrupt]]]
    ttl: NotRequired[Expiry | None]
    extracted: NotRequired[Object]


class Pruned(TypedDict):
    """How many threads were pruned."""

    pruned_count: int


class Room(TypedDict):
    """How many there are, and how many bytes they take."""

    count: int
    bytes: int


class Storage(TypedDict):
    """What a thread's checkpoints take."""

    thread_id: Id
    total_bytes: int
    checkpoints: Room
    channel_values: Object
    pending_writes: Room


class CheckpointAddress(TypedDict):
    """A place in a thread's history."""

    thread_id: Id
    checkpoint_ns: NotRequired[str]
    checkpoint_id: NotRequired[str | None]
    checkpoint_map: NotRequired[Object | None]


class Task(TypedDict):
    """A node that is to run, or has run, at a checkpoint."""

    id: str
    name: str
    path: list[Any]
    error: Any
    interrupts: list[Interrupt]
    checkpoint: CheckpointAddress | None
    state: Object | None
    result: Any


class ThreadState(TypedDict):
    """A thread's state at a checkpoint."""

    values: Any
    next: list[str]
    tasks: list[Task]
    metadata: Object | None
    created_at: Moment | None
    checkpoint: CheckpointAddress | None
    parent_checkpoint: CheckpointAddress | None
    interrupts: list[Interrupt]
    checkpoint_id: str | None
    parent_checkpoint_id: str | None


class Written(TypedDict):
    """The checkpoint that an update has made."""

    checkpoint: CheckpointAddress
    configurable: NotRequired[Object]
    checkpoint_id: NotRequired[str]


class Run(TypedDict):
    """One execution of a graph on a thread; `kwargs` is what was asked for."""

    run_id: Id
    thread_id: Id
    assistant_id: Id
    metadata: Object
    status: Literal["pending", "running", "success", "error", "interrupted", "timeout"]
    kwargs: Object
    multitask_strategy: str
    created_at: Moment
    updated_at: Moment
    langsmith_session_name: str | None


class Cron(TypedDict):
    """Runs that are asked for by the clock."""

    cron_id: Id
    assistant_id: Id
    thread_id: Id | None
    user_id: str | None
    end_time: str | None
    schedule: str
    timezone: str | None
    payload: Object
    next_run_date: str | None
    metadata: Object
    on_run_completed: str | None
    enabled: bool
    created_at: Moment
    updated_at: Moment
    last_error: NotRequired[Object]


class Delivery(TypedDict):
    """How far the webhook of a run is."""

    run_id: Id
    thread_id: Id
    url: str
    state: str
    attempts: int
    error: str | None
    created_at: Moment
    delivered_at: Moment | None
    next_attempt_at: Moment | None


class Item(TypedDict):
    """An item of the store."""

    namespace: list[str]
    key: str
    value: Object
    created_at: Moment
    updated_at: Moment


class FoundItem(Item):
    """An item that was found; `score` when it was searched by meaning."""

    score: float | None


class FoundItems(TypedDict):
    """Items of the store."""

    items: list[FoundItem]


class FoundNamespaces(TypedDict):
    """Namespaces of the store."""

    namespaces: list[list[str]]


class Health(TypedDict):
    """That the process is there."""

    ok: bool
    services: Object


class Info(TypedDict):
    """What this server is."""

    version: str
    langgraph_py_version: str
    frontdesk_version: str
    flags: dict[str, bool]
    host: Object


class RpcAnswer(TypedDict):
    """A JSON-RPC response: a `result` or an `error`."""

    jsonrpc: Literal["2.0"]
    id: str | int | None
    result: NotRequired[Any]
    error: NotRequired[Object]


class Refusal(TypedDict):
    """An error, as some operations tell of bad requests."""

    error: Any


class AgentCard(TypedDict):
    """What an A2A agent is and how to reach it."""

    name: str
    description: str
    url: str
    supportedInterfaces: list[Object]
    capabilities: Object
    defaultInputModes: list[str]
    defaultOutputModes: list[str]
    skills: list[Object]
    version: str
