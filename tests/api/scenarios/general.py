"""Rows that the table itself describes: bad ids, bodies that are refused, absent objects, keys."""

from functools import partial

from tests.api.api import NOTHING, Api
from tests.api.registry import SCENARIOS, add
from tests.api.table import ENDPOINTS, Endpoint

_IDS = ("assistant", "thread", "run", "cron")


async def refuses(api: Api, endpoint: Endpoint) -> None:
    """Ids that are none, no JSON, and each body of the table."""
    for name in _IDS:
        if f"{{{name}}}" in endpoint.name and _must_be_uuid(endpoint, name):
            path = endpoint.path(**{name: "abc"})
            answer = await api.call(endpoint.method, path, _body(endpoint))
            answer.must(422)
            assert isinstance(answer.detail, str)
    if endpoint.body is None:
        return
    headers = {"content-type": "application/json"}
    answer = await api.call(endpoint.method, endpoint.path(), content=b"{", headers=headers)
    assert (answer.status, answer.detail) == (422, "Invalid JSON in request body")
    for body in endpoint.refused:
        answer = await api.call(endpoint.method, endpoint.path(), body)
        answer.must(422)
        assert answer.headers["content-type"] == "application/json", answer
        assert isinstance(answer.detail, str)


def _must_be_uuid(endpoint: Endpoint, name: str) -> bool:
    return not (name == "assistant" and endpoint.name.endswith("/graph"))


def _body(endpoint: Endpoint) -> object:
    return NOTHING if endpoint.body is None else endpoint.body


async def misses(api: Api, endpoint: Endpoint) -> None:
    """Nothing has the ids of the path."""
    answer = await api.call(endpoint.method, endpoint.path(), _body(endpoint))
    answer.must(404)
    assert endpoint.name == "DELETE /mcp" or isinstance(answer.detail, str)


async def guards(api: Api, endpoint: Endpoint) -> None:
    """Nobody may ask the guarded project."""
    kwargs = {"headers": {"accept": "application/json"}} if "mcp" in endpoint.name else {}
    path = endpoint.path()
    answer = await api.call(endpoint.method, path, _body(endpoint), user="", **kwargs)
    answer.must(401)


async def opens(api: Api, endpoint: Endpoint) -> None:
    """Anybody may ask."""
    (await api.ask(endpoint.method, endpoint.path(), user="")).must(200)


async def forbids(api: Api, endpoint: Endpoint) -> None:
    """`denied` may do nothing; what tells errors in band does so here too."""
    kwargs = {"headers": {"accept": "application/json"}} if "mcp" in endpoint.name else {}
    path, body = endpoint.path(), _body(endpoint)
    answer = await api.call(endpoint.method, path, body, user="denied", **kwargs)
    answer.must(403 if answer.status == 403 else endpoint.denied)


def register() -> None:
    """Whatever has no scenario of its own yet."""
    for endpoint in ENDPOINTS:
        for status in endpoint.statuses:
            if status in {404, 422} and f"{endpoint.name} {status}" not in SCENARIOS:
                play = partial(misses if status == 404 else refuses, endpoint=endpoint)
                add(play, [f"{endpoint.name} {status}"])
        if endpoint.public:
            add(partial(opens, endpoint=endpoint), [f"{endpoint.name} open"])
            continue
        add(partial(guards, endpoint=endpoint), [f"{endpoint.name} 401"])
        add(partial(forbids, endpoint=endpoint), [f"{endpoint.name} 403"])
