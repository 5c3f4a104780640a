import httpx
import pytest
from fastapi import FastAPI
from psycopg import OperationalError

from checkpoints.errors import InvalidCheckpoint, Torn, Unavailable
from engine.settings import Settings
from server import errors
from server.app import create_app
from tests.fakes.serving import sample_graphs, serving


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (Unavailable("at 10.0.0.1"), 503, "A part that this needs cannot be reached right now"),
        (
            OperationalError("at 10.0.0.1"),
            503,
            "A part that this needs cannot be reached right now",
        ),
        (InvalidCheckpoint("no such id"), 422, "no such id"),
        (Torn(), 500, "Internal Server Error"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_the_stores_raise_becomes_an_answer(
    error: Exception, status: int, detail: str
) -> None:
    app = FastAPI()
    errors.install(app)

    @app.get("/")
    async def ask() -> None:
        raise error

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get("/")
    assert response.status_code == status
    assert detail in response.text
    assert "10.0.0.1" not in response.text


async def test_a_page_of_another_site_reads_that_something_failed(
    served_settings: Settings,
) -> None:
    app = create_app(served_settings, sample_graphs)

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("a secret")

    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        response = await client.get("/broken", headers={"origin": "https://example.org"})
        counted = (await client.get("/metrics")).text
    assert response.status_code == 500
    assert response.json() == {"detail": "Internal Server Error"}
    assert response.headers["access-control-allow-origin"] == "*"
    assert 'path="/broken",status="500"' in counted


async def test_head_is_answered_like_get_without_the_body(raw: httpx.AsyncClient, tid: str) -> None:
    for path in ("/ok", "/info", f"/threads/{tid}", f"/threads/{tid}/runs", "/docs"):
        response = await raw.head(path)
        assert (response.status_code, response.content) == (200, b"")
    assert (await raw.head("/threads/abc")).status_code == 422
    stream = await raw.head(f"/threads/{tid}/stream")  # which never ends
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_every_refusal_is_one_sentence(raw: httpx.AsyncClient, tid: str) -> None:
    runs = f"/threads/{tid}/runs"
    answers = {
        ("PUT", "/threads"): (405, "Method Not Allowed"),
        ("GET", "/runs/batch"): (405, "Method Not Allowed"),
        ("GET", "/nowhere"): (404, "Not Found"),
        ("GET", f"{runs}/abc"): (422, "Invalid run ID: must be a UUID"),
        ("GET", "/threads/abc/stream"): (422, "Invalid thread ID: must be a UUID"),
        ("GET", f"{runs}?limit=abc"): (400, "invalid literal for int() with base 10: 'abc'"),
    }
    for (method, path), (status, detail) in answers.items():
        response = await raw.request(method, path)
        assert (response.status_code, response.json()) == (status, {"detail": detail})
    assert (await raw.put("/threads")).headers["allow"] == "POST"
    response = await raw.get(f"{runs}/")
    assert (response.status_code, response.next_request and response.next_request.url.path) == (
        307,
        runs,
    )


@pytest.mark.parametrize("value", [b'"\xff"', b"NaN", b"[-Infinity]"])
async def test_what_only_looks_like_json_is_none(
    raw: httpx.AsyncClient, tid: str, value: bytes
) -> None:
    content = b'{"assistant_id":"work","input":' + value + b"}"
    response = await raw.post(f"/threads/{tid}/runs", content=content)
    assert response.status_code == 422
    assert response.json() == {"detail": "Invalid JSON in request body"}


async def test_what_is_nested_too_deeply_is_not_read(raw: httpx.AsyncClient) -> None:
    content = b'{"metadata":{"NaN":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    response = await raw.post("/threads", content=content)
    assert response.status_code == 422
    assert response.json() == {"detail": "Invalid JSON in request body"}


async def test_what_the_database_refuses_is_told_without_the_statement(
    raw: httpx.AsyncClient, tid: str
) -> None:
    body = {"assistant_id": "work", "after_seconds": 1e300}
    response = await raw.post(f"/threads/{tid}/runs", json=body)
    assert response.status_code == 422
    assert response.json() == {"detail": "The database cannot hold this: interval out of range"}


async def test_a_text_may_speak_of_nan(raw: httpx.AsyncClient) -> None:
    response = await raw.post("/threads", json={"metadata": {"said": "NaN or Infinity"}})
    assert response.json()["metadata"] == {"said": "NaN or Infinity"}
