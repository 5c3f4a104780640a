"""What every operation of the API does, takes and answers with, as its OpenAPI document tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from server.openapi import schemas as told

STREAM = "text/event-stream"
TEXT = "text/plain"
_JSON = "application/json"

_ID = "01a201fa-6ebd-73b4-a712-491e91cab881"
_ASK = {
    "assistant_id": "support",
    "input": {"messages": [{"role": "user", "content": "Where is my order?"}]},
}
_STREAMED = {**_ASK, "stream_mode": ["messages-tuple", "values"]}
_CRON = {**_ASK, "schedule": "0 9 * * 1-5", "timezone": "Europe/Vienna"}
_CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "support", "arguments": {"messages": "Where is my order?"}},
}
_SENT = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "message/send",
    "params": {
        "message": {
            "role": "user",
            "messageId": "m1",
            "parts": [{"kind": "text", "text": "Where is my order?"}],
        }
    },
}


@dataclass(frozen=True)
class Operation:
    """`answer` is the type of a success; None has no body. `selected`: rows may lack fields."""

    summary: str
    answer: Any = None
    status: int = 200
    media: str = _JSON
    example: Any = None
    selected: bool = False
    public: bool = False
    also: Mapping[int, Any] = field(default_factory=dict)


def _stream(summary: str, example: Any = None) -> Operation:
    return Operation(summary, told.ServerSentEvent, media=STREAM, example=example)


_OUTPUT = Any  # a graph's own values, or `__error__`, or `__interrupt__`

OPERATIONS: Mapping[str, Operation] = {
    "GET /": Operation("Tell that the process is there", told.Health, public=True),
    "GET /ok": Operation("Tell that the process is there", told.Health, public=True),
    "GET /info": Operation("Tell which server this is", told.Info, public=True),
    "GET /metrics": Operation(
        "Tell the metrics, for Prometheus or as JSON", str, media=TEXT, public=True
    ),
    "POST /assistants": Operation(
        "Create an assistant",
        told.Assistant,
        example={"graph_id": "support", "name": "Support", "context": {"locale": "en"}},
    ),
    "POST /assistants/search": Operation(
        "Search assistants",
        list[told.Assistant],
        example={"graph_id": "support", "limit": 10},
        selected=True,
    ),
    "POST /assistants/count": Operation(
        "Count assistants", int, example={"metadata": {"created_by": "system"}}
    ),
    "GET /assistants/{assistant_id}": Operation("Get an assistant", told.Assistant),
    "PATCH /assistants/{assistant_id}": Operation(
        "Make a new version of an assistant",
        told.Assistant,
        example={"context": {"locale": "de"}},
    ),
    "DELETE /assistants/{assistant_id}": Operation("Delete an assistant", status=204),
    "POST /assistants/{assistant_id}/versions": Operation(
        "List an assistant's versions", list[told.AssistantVersion], example={"limit": 10}
    ),
    "POST /assistants/{assistant_id}/latest": Operation(
        "Go back to a version", told.Assistant, example={"version": 1}
    ),
    "GET /assistants/{assistant_id}/schemas": Operation(
        "Get the JSON Schemas of an assistant's graph", told.GraphSchemas
    ),
    "GET /assistants/{assistant_id}/graph": Operation("Draw an assistant's graph", told.Drawing),
    "GET /assistants/{assistant_id}/subgraphs": Operation(
        "Get the JSON Schemas of its subgraphs", dict[str, told.GraphSchemas]
    ),
    "GET /assistants/{assistant_id}/subgraphs/{namespace}": Operation(
        "Get the JSON Schemas of one subgraph", dict[str, told.GraphSchemas]
    ),
    "POST /threads": Operation(
        "Create a thread",
        told.Thread,
        example={"metadata": {"graph_id": "support"}},
        also={201: told.Problem},
    ),
    "POST /threads/search": Operation(
        "Search threads",
        list[told.Thread],
        example={"status": "interrupted", "limit": 10},
        selected=True,
    ),
    "POST /threads/count": Operation("Count threads", int, example={"status": "busy"}),
    "POST /threads/prune": Operation(
        "Delete threads, or all but their latest checkpoints",
        told.Pruned,
        example={"thread_ids": [_ID], "strategy": "keep_latest"},
    ),
    "GET /threads/{thread_id}": Operation("Get a thread", told.Thread),
    "PATCH /threads/{thread_id}": Operation(
        "Merge a thread's metadata",
        told.Thread,
        example={"metadata": {"topic": "returns"}},
        also={204: None},
    ),
    "DELETE /threads/{thread_id}": Operation("Delete a thread with its runs", status=204),
    "POST /threads/{thread_id}/copy": Operation("Copy a thread", told.Thread),
    "GET /threads/{thread_id}/storage": Operation("Tell what a thread takes", told.Storage),
    "GET /threads/{thread_id}/state": Operation(
        "Get a thread's state", told.ThreadState, selected=True
    ),
    "POST /threads/{thread_id}/state": Operation(
        "Write a thread's state as a node",
        told.Written,
        example={"values": {"messages": []}, "as_node": "generate"},
    ),
    "PATCH /threads/{thread_id}/state": Operation(
        "Merge the metadata of a thread and of its latest state",
        dict[str, Any],
        example={"metadata": {"topic": "returns"}},
    ),
    "GET /threads/{thread_id}/state/{checkpoint_id}": Operation(
        "Get a thread's state at a checkpoint", told.ThreadState, selected=True
    ),
    "POST /threads/{thread_id}/state/checkpoint": Operation(
        "Get a thread's state at a checkpoint of a subgraph",
        told.ThreadState,
        example={"checkpoint": {"checkpoint_id": "1f1e63f7-648a-6283-8001-89f903e7a41a"}},
        selected=True,
    ),
    "GET /threads/{thread_id}/history": Operation(
        "List a thread's latest states", list[told.ThreadState], selected=True
    ),
    "POST /threads/{thread_id}/history": Operation(
        "List a thread's states", list[told.ThreadState], example={"limit": 10}, selected=True
    ),
    "GET /threads/{thread_id}/stream": _stream("Follow all runs of a thread"),
    "POST /threads/{thread_id}/commands": Operation(
        "Give a thread a command",
        _OUTPUT,
        example={"id": 1, "method": "run.start", "params": _ASK},
        also={400: told.Problem | told.Refusal},
    ),
    "POST /threads/{thread_id}/stream/events": _stream(
        "Follow a thread's events by channel", {"channels": ["values", "lifecycle"]}
    ),
    "POST /threads/{thread_id}/runs": Operation("Start a run", told.Run, example=_ASK),
    "GET /threads/{thread_id}/runs": Operation(
        "List a thread's runs", list[told.Run], selected=True
    ),
    "POST /threads/{thread_id}/runs/stream": _stream("Start a run and follow it", _STREAMED),
    "POST /threads/{thread_id}/runs/wait": Operation(
        "Start a run and wait for what comes out", _OUTPUT, example=_ASK
    ),
    "GET /threads/{thread_id}/runs/{run_id}": Operation("Get a run", told.Run),
    "DELETE /threads/{thread_id}/runs/{run_id}": Operation(
        "Delete a run and what it has written", status=204
    ),
    "POST /threads/{thread_id}/runs/{run_id}/cancel": Operation(
        "Stop a run", status=202, also={200: dict[str, Any]}
    ),
    "GET /threads/{thread_id}/runs/{run_id}/join": Operation(
        "Wait for what comes out of a run", _OUTPUT
    ),
    "GET /threads/{thread_id}/runs/{run_id}/stream": _stream("Follow a run"),
    "POST /runs": Operation("Start a run without a thread", told.Run, example=_ASK),
    "POST /runs/stream": _stream("Start a run without a thread and follow it", _STREAMED),
    "POST /runs/wait": Operation(
        "Start a run without a thread and wait for what comes out", _OUTPUT, example=_ASK
    ),
    "POST /runs/batch": Operation(
        "Start several runs without a thread", list[told.Run], example=[_ASK, _ASK]
    ),
    "POST /runs/cancel": Operation("Stop several runs", status=204, example={"status": "pending"}),
    "GET /runs/{run_id}/stream": _stream("Follow a run without a thread"),
    "POST /runs/crons": Operation(
        "Start runs without a thread by the clock", told.Cron, example=_CRON
    ),
    "POST /threads/{thread_id}/runs/crons": Operation(
        "Start runs of a thread by the clock", told.Cron, example=_CRON
    ),
    "POST /runs/crons/search": Operation(
        "Search crons", list[told.Cron], example={"enabled": True}, selected=True
    ),
    "POST /runs/crons/count": Operation("Count crons", int, example={"enabled": True}),
    "GET /runs/crons/{cron_id}": Operation("Get a cron", told.Cron),
    "PATCH /runs/crons/{cron_id}": Operation(
        "Change a cron", told.Cron, example={"enabled": False}
    ),
    "DELETE /runs/crons/{cron_id}": Operation("Delete a cron", status=204),
    "GET /webhooks": Operation("List how far webhooks are", list[told.Delivery]),
    "GET /threads/{thread_id}/runs/{run_id}/webhooks": Operation(
        "Tell how far the webhook of a run is", list[told.Delivery]
    ),
    "POST /threads/{thread_id}/runs/{run_id}/webhooks/replay": Operation(
        "Try the failed webhook of a run again", told.Delivery
    ),
    "PUT /store/items": Operation(
        "Put an item into the store",
        status=204,
        example={"namespace": ["users", "maya"], "key": "likes", "value": {"text": "tea"}},
    ),
    "GET /store/items": Operation(
        "Get an item of the store",
        told.Item | None,
        also={400: told.Problem | told.Refusal},
    ),
    "DELETE /store/items": Operation(
        "Delete an item of the store",
        status=204,
        example={"namespace": ["users", "maya"], "key": "likes"},
    ),
    "POST /store/items/search": Operation(
        "Search the store",
        told.FoundItems,
        example={"namespace_prefix": ["users"], "query": "drinks"},
    ),
    "POST /store/namespaces": Operation(
        "List the store's namespaces", told.FoundNamespaces, example={"prefix": ["users"]}
    ),
    "GET /mcp": Operation("Refuse: there is no stream from the server", status=405),
    "POST /mcp": Operation(
        "Ask as a client of the Model Context Protocol",
        told.RpcAnswer,
        example=_CALL,
        also={202: None, 400: told.Problem | told.Refusal},
    ),
    "DELETE /mcp": Operation("Refuse: there is no session to end", status=404),
    "POST /a2a/{assistant_id}": Operation(
        "Ask as a client of the Agent2Agent protocol",
        told.RpcAnswer,
        example=_SENT,
        also={400: told.Problem | told.Refusal},
    ),
    "GET /a2a/{assistant_id}": Operation(
        "Get an agent's card", told.AgentCard, also={400: told.Problem | told.Refusal}
    ),
    "GET /a2a/{assistant_id}/.well-known/agent-card.json": Operation(
        "Get an agent's card", told.AgentCard, also={400: told.Problem | told.Refusal}
    ),
    "GET /.well-known/agent-card.json": Operation(
        "Get the card of the agent that is named",
        told.AgentCard,
        also={400: told.Problem | told.Refusal},
    ),
}
"""By method and path."""

RPC = frozenset({"POST /mcp", "POST /a2a/{assistant_id}"})
"""What takes a JSON-RPC request."""
