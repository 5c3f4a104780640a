import httpx
import pytest
from fastapi import FastAPI
from psycopg import OperationalError

from checkpoints.errors import InvalidCheckpoint, Torn, Unavailable
from server import errors


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
