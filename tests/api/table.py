"""Every row that must have a scenario."""

from dataclasses import dataclass, field
from typing import Any

from tests.api.api import ABSENT

CHAT = {"messages": [{"role": "user", "content": "hi"}]}
RUN = {"assistant_id": "chat", "input": CHAT}
CRON = {"assistant_id": "chat", "schedule": "0 9 1 1 *", "input": CHAT}


@dataclass(frozen=True)
class Endpoint:
    """One operation: a body that it takes, bodies that it refuses, the statuses it may answer."""

    name: str
    statuses: tuple[int, ...]
    body: Any = None
    refused: tuple[Any, ...] = ()
    public: bool = False
    denied: int = 403
    sample: dict[str, str] = field(default_factory=dict)
    query: str = ""

    @property
    def method(self) -> str:
        return self.name.partition(" ")[0]

    def path(self, **ids: str) -> str:
        """With ids in the place of names; what is not given, nothing has."""
        path = self.name.partition(" ")[2]
        for name in ("assistant", "thread", "run", "cron", "checkpoint"):
            path = path.replace(f"{{{name}}}", ids.get(name, ABSENT))
        for name, value in self.sample.items():
            path = path.replace(f"{{{name}}}", value)
        return path + self.query


_COMMAND = {"id": 1, "method": "run.start", "params": RUN}
_CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
_SENT = {"role": "user", "messageId": "m1", "parts": [{"kind": "text", "text": "hello"}]}
_SEND = {"jsonrpc": "2.0", "id": "1", "method": "message/send", "params": {"message": _SENT}}
_ITEM = {"namespace": ["a"], "key": "k", "value": {"x": 1}}
_PAGE = ({"limit": 0}, {"limit": 1001}, {"offset": -1}, {"select": ["bogus"]})
_BAD_RUN = (
    {"input": {}},
    RUN | {"stream_mode": "bogus"},
    RUN | {"multitask_strategy": "bogus"},
    RUN | {"webhook": "http://127.0.0.1:1/hook"},
    RUN | {"assistant_id": "nope"},
)
_BAD_STATELESS = tuple(body for body in _BAD_RUN if "multitask_strategy" not in body)
_BAD_CRON = (
    {"assistant_id": "chat", "schedule": "bogus"},
    CRON | {"timezone": "Mars/X"},
    {"schedule": "@daily"},
)

ENDPOINTS = (
    Endpoint(
        "POST /assistants", (200, 400, 404, 409, 422), {"graph_id": "chat"}, ({}, {"graph_id": 1})
    ),
    Endpoint("POST /assistants/search", (200, 404, 422), {}, (*_PAGE, {"sort_by": "bogus"})),
    Endpoint("POST /assistants/count", (200, 404, 422), {}, ({"metadata": 1},)),
    Endpoint("GET /assistants/{assistant}", (200, 404, 422)),
    Endpoint("PATCH /assistants/{assistant}", (200, 400, 404, 422), {}, ({"metadata": 1},)),
    Endpoint("DELETE /assistants/{assistant}", (204, 404, 422)),
    Endpoint("GET /assistants/{assistant}/graph", (200, 404, 422)),
    Endpoint("GET /assistants/{assistant}/schemas", (200, 404, 422)),
    Endpoint("GET /assistants/{assistant}/subgraphs", (200, 404, 422)),
    Endpoint("GET /assistants/{assistant}/subgraphs/child", (200, 404, 422)),
    Endpoint("POST /assistants/{assistant}/versions", (200, 404, 422), {}, ({"limit": 0},)),
    Endpoint(
        "POST /assistants/{assistant}/latest", (200, 404, 422), {"version": 1}, ({"version": "x"},)
    ),
    Endpoint(
        "POST /threads",
        (200, 201, 409, 422),
        {},
        ({"ttl": 5}, {"metadata": 1}, {"thread_id": "abc"}),
    ),
    Endpoint("POST /threads/search", (200, 400, 422), {}, (*_PAGE, {"extract": {"x": "bogus.x"}})),
    Endpoint("POST /threads/count", (200, 422), {}, ({"status": "bogus"},)),
    Endpoint("POST /threads/prune", (200, 422), {"thread_ids": [ABSENT]}, ({}, {"thread_ids": 1})),
    Endpoint("GET /threads/{thread}", (200, 404, 422)),
    Endpoint("PATCH /threads/{thread}", (200, 204, 404, 422), {"metadata": {}}, ({"metadata": 1},)),
    Endpoint("DELETE /threads/{thread}", (204, 404, 422)),
    Endpoint("POST /threads/{thread}/copy", (200, 409, 422)),
    Endpoint("GET /threads/{thread}/storage", (200, 404, 422)),
    Endpoint("GET /threads/{thread}/state", (200, 404, 422)),
    Endpoint("GET /threads/{thread}/state/{checkpoint}", (200, 404, 422)),
    Endpoint("POST /threads/{thread}/state/checkpoint", (200, 404, 422), {"checkpoint": {}}, ({},)),
    Endpoint(
        "POST /threads/{thread}/state", (200, 400, 404, 409, 422), {"values": {}}, ({"as_node": 1},)
    ),
    Endpoint("PATCH /threads/{thread}/state", (200, 422), {"metadata": {}}, ({"metadata": 1},)),
    Endpoint("GET /threads/{thread}/history", (200, 404, 422)),
    Endpoint(
        "POST /threads/{thread}/history", (200, 404, 422), {}, ({"limit": 0}, {"limit": 1001})
    ),
    Endpoint("GET /threads/{thread}/stream", (200, 422), denied=200),
    Endpoint("POST /threads/{thread}/commands", (200, 400), _COMMAND, denied=200),
    Endpoint(
        "POST /threads/{thread}/stream/events", (200, 400), {"channels": ["values"]}, denied=200
    ),
    Endpoint("GET /threads/{thread}/stream/events", (101, 405), denied=405),
    Endpoint("POST /threads/{thread}/runs", (200, 400, 404, 409, 422), RUN, _BAD_RUN),
    Endpoint("GET /threads/{thread}/runs", (200, 400, 404, 422), query="?limit=5"),
    Endpoint("POST /threads/{thread}/runs/stream", (200, 400, 404, 409, 422), RUN, _BAD_RUN),
    Endpoint("POST /threads/{thread}/runs/wait", (200, 400, 404, 409, 422), RUN, _BAD_RUN),
    Endpoint("GET /threads/{thread}/runs/{run}", (200, 404, 422)),
    Endpoint("DELETE /threads/{thread}/runs/{run}", (204, 404, 422)),
    Endpoint("GET /threads/{thread}/runs/{run}/join", (200, 422)),
    Endpoint("GET /threads/{thread}/runs/{run}/stream", (200, 422), denied=200),
    Endpoint("POST /threads/{thread}/runs/{run}/cancel", (200, 202, 404, 422)),
    Endpoint(
        "POST /runs/cancel",
        (204, 404, 422),
        {"thread_id": ABSENT, "run_ids": [ABSENT]},
        ({}, {"status": "bogus"}),
    ),
    Endpoint("GET /runs/{run}/stream", (200, 422)),
    Endpoint("POST /runs", (200, 400, 404, 422), RUN, _BAD_STATELESS),
    Endpoint("POST /runs/stream", (200, 400, 404, 422), RUN, _BAD_STATELESS),
    Endpoint("POST /runs/wait", (200, 400, 404, 422), RUN, _BAD_STATELESS),
    Endpoint("POST /runs/batch", (200, 404, 422), [RUN], ([], [RUN, {}], {})),
    Endpoint("POST /runs/crons", (200, 404, 422), CRON, _BAD_CRON),
    Endpoint("POST /threads/{thread}/runs/crons", (200, 404, 422), CRON, _BAD_CRON),
    Endpoint("GET /runs/crons/{cron}", (200, 404, 422)),
    Endpoint(
        "PATCH /runs/crons/{cron}", (200, 400, 404, 422), {"enabled": True}, ({"enabled": "x"},)
    ),
    Endpoint("DELETE /runs/crons/{cron}", (204, 404, 422)),
    Endpoint("POST /runs/crons/search", (200, 422), {}, _PAGE),
    Endpoint("POST /runs/crons/count", (200, 422), {}, ({"metadata": 1},)),
    Endpoint("PUT /store/items", (204, 400, 422), _ITEM, ({}, _ITEM | {"value": 1})),
    Endpoint("GET /store/items", (200, 400, 422), query="?namespace=a&key=k"),
    Endpoint("DELETE /store/items", (204, 422), {"namespace": ["a"], "key": "k"}, ({},)),
    Endpoint(
        "POST /store/items/search",
        (200, 400, 422),
        {"namespace_prefix": ["a"]},
        ({"namespace_prefix": 1},),
    ),
    Endpoint("POST /store/namespaces", (200, 422), {}, ({"max_depth": "x"},)),
    Endpoint("GET /", (200,), public=True),
    Endpoint("GET /ok", (200,), public=True),
    Endpoint("GET /info", (200,), public=True),
    Endpoint("GET /metrics", (200,), public=True),
    Endpoint("GET /docs", (200,), public=True),
    Endpoint("GET /openapi.json", (200,), public=True),
    Endpoint("POST /mcp", (200, 202, 400), _CALL),
    Endpoint("GET /mcp", (405,), denied=405),
    Endpoint("DELETE /mcp", (404,), denied=404),
    Endpoint("POST /a2a/{assistant}", (200,), _SEND, denied=200),
    Endpoint(
        "GET /.well-known/agent-card.json", (200, 400), query=f"?assistant_id={ABSENT}", denied=400
    ),
    Endpoint("GET /a2a/{assistant}/.well-known/agent-card.json", (200, 400), denied=400),
    Endpoint("POST /ui/chat", (404,), {"name": "x"}, denied=404),
)

MODES = (
    "values",
    "updates",
    "messages",
    "messages-tuple",
    "custom",
    "events",
    "tasks",
    "checkpoints",
    "debug",
)
STRATEGIES = ("reject", "enqueue", "interrupt", "rollback")
SITUATIONS = ("running", "pending", "interrupted")
TRAPS = range(1, 31)


def rows() -> list[str]:
    """Their names, in order."""
    found = [f"{one.name} {status}" for one in ENDPOINTS for status in one.statuses]
    found += [f"{one.name} open" if one.public else f"{one.name} 401" for one in ENDPOINTS]
    found += [f"{one.name} 403" for one in ENDPOINTS if not one.public]
    found += [f"stream {mode}{tail}" for mode in MODES for tail in ("", " with subgraphs")]
    found += [f"{name} while {when}" for name in STRATEGIES for when in SITUATIONS]
    return found + [f"trap {number}" for number in TRAPS]
