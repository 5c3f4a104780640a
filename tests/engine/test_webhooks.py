import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.caller import Caller
from engine.embedded import Servers
from engine.errors import Invalid, Permanent, Unavailable
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from engine.webhooks import Webhooks
from tests.engine.test_jobs import until
from tests.fakes.graphs import GRAPHS
from tests.fakes.remote import Remote, Request, open_remote

SECRET = "shared"  # noqa: S105 - of this test


@pytest.fixture
async def receiver() -> AsyncIterator[Remote]:
    async with open_remote(Remote()) as remote:
        yield remote


@pytest.fixture
async def engine(settings: Settings, servers: Servers, migrated: Any) -> AsyncIterator[Engine]:
    values = {
        "job_retry_seconds": 0.05,
        "job_attempts": 3,
        "webhook_private": True,
        "webhook_secret": type(settings.webhook_secret)(SECRET),
    }
    ours = settings.model_copy(update=values)
    async with open_engine(ours, servers, migrated, GRAPHS) as engine:
        yield engine


async def asked(engine: Engine, me: Caller, url: str, **how: Any) -> str:
    thread = await engine.threads.create(me)
    request = RunRequest("work", webhook=url, **{"input": {"mode": "done"}, **how})
    return str((await engine.runs.create(me, thread.thread_id, request)).run_id)


async def posted(receiver: Remote, times: int) -> list[Request]:
    async def enough() -> list[Request]:
        return receiver.requests if len(receiver.requests) >= times else []

    return await until(enough)


async def test_the_run_and_its_values_are_posted_signed(
    engine: Engine, me: Caller, receiver: Remote
) -> None:
    run_id = await asked(engine, me, f"{receiver.url}/do")
    [request] = await posted(receiver, 1)
    body = json.loads(request.body)
    assert (body["run_id"], body["status"]) == (run_id, "success")
    assert body["values"]["steps"] == ["prep", "done"]
    assert body["run_started_at"] <= body["run_ended_at"]
    assert "langgraph_auth_user" not in request.body.decode()
    key, now = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert key == request.headers["idempotency-key"] == f"{run_id}:webhook"
    signed = f"{key}.{now}.".encode() + request.body
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


async def test_a_failed_run_says_how(engine: Engine, me: Caller, receiver: Remote) -> None:
    await asked(engine, me, f"{receiver.url}/do", input={"mode": "boom"})
    [request] = await posted(receiver, 1)
    body = json.loads(request.body)
    assert (body["status"], body["error"]["error"]) == ("error", "ValueError")


async def test_it_is_delivered_again_under_its_key_until_it_is_taken(
    engine: Engine, me: Caller, receiver: Remote
) -> None:
    receiver.script = ["fail", "drop before"]
    run_id = await asked(engine, me, f"{receiver.url}/do")
    keys = {request.headers["idempotency-key"] for request in await posted(receiver, 3)}
    assert keys == {f"{run_id}:webhook"}
    assert receiver.done == [f"{run_id}:webhook"]


async def test_what_the_receiver_will_not_have_is_a_dead_letter(
    engine: Engine, me: Caller, receiver: Remote
) -> None:
    receiver.script = ["refuse"]
    await asked(engine, me, f"{receiver.url}/do")
    [letter] = await until(engine.jobs.dead)
    assert (letter.kind, letter.attempts) == ("webhook", 1)
    assert letter.error == "Permanent: the receiver answered 409"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://10.1.2.3/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://2130706433/",
    ],
)
async def test_our_own_network_is_not_posted_to(url: str) -> None:
    webhooks = Webhooks("", private=False, seconds=1)
    with pytest.raises(Invalid, match="private or loopback"):
        await webhooks.check(url)
    with pytest.raises(Permanent, match="private or loopback"):
        await webhooks.deliver(key="k", url=url, body={}, started_at=None, ended_at="")


@pytest.mark.parametrize("url", ["/hook", "ftp://example.com", "http://", "http://[", "mailto:a"])
async def test_nonsense_is_not_an_address(url: str) -> None:
    with pytest.raises(Invalid):
        await Webhooks("", private=True, seconds=1).check(url)


async def test_nobody_listening_is_worth_another_try() -> None:
    webhooks = Webhooks("", private=True, seconds=1)
    with pytest.raises(Exception, match="connect") as caught:
        await webhooks.deliver(
            key="k", url="http://127.0.0.1:1/", body={}, started_at=None, ended_at=""
        )
    assert not isinstance(caught.value, (Permanent, Unavailable))
