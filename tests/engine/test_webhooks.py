import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from engine.caller import Caller
from engine.database import Pool
from engine.embedded import Servers
from engine.errors import Conflict, NotFound, Permanent, Unavailable
from engine.project.manifest import Project
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from engine.targets import Targets
from engine.webhooks import Delivery, Webhooks
from tests.fakes.graphs import GRAPHS
from tests.fakes.remote import Remote, Request, open_remote
from tests.waiting import until

SECRET, FORMER = "shared", "shared before"
ENDED = "2026-01-02T03:04:05.16+00:00"  # as JSON of PostgreSQL has it


@pytest.fixture
async def receiver() -> AsyncIterator[Remote]:
    async with open_remote(Remote()) as remote:
        yield remote


@pytest.fixture
async def engine(
    settings: Settings, servers: Servers, migrated: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Engine]:
    values = {
        "job_retry_seconds": 0.05,
        "job_attempts": 3,
        "webhook_private": True,
        "webhook_secret": type(settings.webhook_secret)(f"new:{SECRET},old:{FORMER}"),
    }
    ours = settings.model_copy(update=values)
    headers = {"webhooks": {"headers": {"X-Api-Key": "${{ env.LG_WEBHOOK_KEY }}"}}}
    project = Project.model_validate(headers)
    monkeypatch.setenv("LG_WEBHOOK_KEY", "theirs")
    async with open_engine(ours, servers, migrated, GRAPHS, project=project) as engine:
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
    assert body["created_at"] <= body["run_started_at"] <= body["run_ended_at"]
    assert body["updated_at"] == body["run_ended_at"] <= body["webhook_sent_at"]
    assert "langgraph_auth_user" not in request.body.decode()
    key, now = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert key == request.headers["idempotency-key"] == f"{run_id}:webhook"
    signed = f"{key}.{now}.".encode() + request.body
    digests = [hmac.digest(secret.encode(), signed, "sha256") for secret in (SECRET, FORMER)]
    signatures = ["v1," + base64.b64encode(digest).decode() for digest in digests]
    assert request.headers["webhook-signature"] == " ".join(signatures)
    assert request.headers["webhook-key-id"] == "new old"
    assert request.headers["x-api-key"] == "theirs"


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


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_run_that_never_began_says_so(
    engine: Engine, me: Caller, receiver: Remote, action: Any
) -> None:
    thread = await engine.threads.create(me)
    request = RunRequest("work", webhook=f"{receiver.url}/do", after_seconds=60)
    run = await engine.runs.create(me, thread.thread_id, request)
    await engine.runs.cancel(me, run.thread_id, run.run_id, action)
    [told] = await posted(receiver, 1)
    body = json.loads(told.body)
    status = "rollback" if action == "rollback" else "interrupted"
    assert (body["run_id"], body["status"]) == (str(run.run_id), status)
    assert (body["run_started_at"], body["values"]) == (None, None)


async def test_a_run_that_a_newer_one_replaces_says_so(
    engine: Engine, me: Caller, receiver: Remote
) -> None:
    thread = await engine.threads.create(me)
    request = RunRequest("work", webhook=f"{receiver.url}/do", after_seconds=60)
    run = await engine.runs.create(me, thread.thread_id, request)
    newer = RunRequest("work", input={"mode": "done"}, multitask_strategy="rollback")
    await engine.runs.create(me, thread.thread_id, newer)
    [told] = await posted(receiver, 1)
    body = json.loads(told.body)
    assert (body["run_id"], body["status"]) == (str(run.run_id), "rollback")


async def test_a_delivery_is_seen_from_the_first_failure_to_the_end(
    engine: Engine, me: Caller, receiver: Remote
) -> None:
    receiver.script = ["refuse"]
    run_id = UUID(await asked(engine, me, f"{receiver.url}/do"))

    async def seen(state: str) -> list[Delivery]:
        found = await engine.deliveries.listed(me, run_ids=[run_id])
        return [one for one in found if one.state == state]

    [failed] = await until(lambda: seen("failed"))
    assert (failed.attempts, failed.error) == (1, "Permanent: the receiver answered 409")
    assert await engine.deliveries.listed(me, state="delivered") == []
    stranger = replace(me, tenant="elsewhere")
    assert await engine.deliveries.of_run(stranger, failed.thread_id, run_id) == []
    with pytest.raises(NotFound):
        await engine.deliveries.replay(stranger, failed.thread_id, run_id)
    await engine.deliveries.replay(me, failed.thread_id, run_id)
    [delivered] = await until(lambda: seen("delivered"))
    assert (delivered.attempts, delivered.error) == (1, None)
    assert delivered.delivered_at is not None
    with pytest.raises(Conflict, match="is delivered"):
        await engine.deliveries.replay(me, failed.thread_id, run_id)
    assert len(receiver.done) == 1


async def test_headers_of_a_project_do_not_double_ours(pool: Pool, receiver: Remote) -> None:
    theirs = {"host": "elsewhere.example", "content-type": "text/plain", "x-theirs": "1"}
    webhooks = Webhooks(pool, Targets(private=True), headers=theirs)
    url = f"{receiver.url}/do"
    await webhooks.post(key="k", url=url, body={}, started_at=None, ended_at=ENDED)
    [request] = receiver.requests
    assert json.loads(request.body)["run_ended_at"] == "2026-01-02T03:04:05.160000+00:00"
    assert request.headers["x-theirs"] == "1"
    assert [value for name, value in request.lines if name == "host"] == [url.split("/")[2]]
    assert [value for name, value in request.lines if name == "content-type"] == [
        "application/json"
    ]


async def test_nobody_listening_is_worth_another_try(pool: Pool) -> None:
    webhooks = Webhooks(pool, Targets(private=True), seconds=1)
    with pytest.raises(Exception, match="connect") as caught:
        await webhooks.post(
            key="k", url="http://127.0.0.1:1/", body={}, started_at=None, ended_at=ENDED
        )
    assert not isinstance(caught.value, (Permanent, Unavailable))


async def test_what_was_an_address_when_it_was_asked_for_may_be_none_any_more(pool: Pool) -> None:
    with pytest.raises(Permanent, match="loopback IP range"):
        await Webhooks(pool, Targets()).post(
            key="k", url="http://127.0.0.1/", body={}, started_at=None, ended_at=ENDED
        )


@asynccontextmanager
async def talking(head: bytes) -> AsyncIterator[str]:
    """A receiver that says this and then never stops talking."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(head)
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        server.close()
        if hasattr(server, "close_clients"):
            server.close_clients()


async def test_an_answer_without_an_end_is_enough(pool: Pool) -> None:
    webhooks = Webhooks(pool, Targets(private=True), seconds=30)
    async with talking(b"HTTP/1.1 200 OK\r\n\r\n") as url, asyncio.timeout(10):
        await webhooks.post(key="k", url=url, body={}, started_at=None, ended_at=ENDED)


async def test_whoever_answers_too_slowly_has_not_answered(pool: Pool) -> None:
    webhooks = Webhooks(pool, Targets(private=True), seconds=0.3)
    async with talking(b"HTTP/1.1 200 OK\r\nx: ") as url, asyncio.timeout(10):
        with pytest.raises(TimeoutError):
            await webhooks.post(key="k", url=url, body={}, started_at=None, ended_at=ENDED)
