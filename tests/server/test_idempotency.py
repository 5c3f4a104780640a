"""A client that repeats a request because it heard no answer."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

BODY = {"assistant_id": "work", "input": {"mode": "done"}}


@pytest.fixture
def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


async def test_the_same_key_answers_with_the_same_run(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str, key: dict[str, str]
) -> None:
    path = f"/threads/{tid}/runs"
    answers = [await raw.post(path, json=BODY, headers=key) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert len(await client.runs.list(tid)) == 1


async def test_of_many_at_once_one_makes_the_run(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str, key: dict[str, str]
) -> None:
    path = f"/threads/{tid}/runs"
    answers = await asyncio.gather(*(raw.post(path, json=BODY, headers=key) for _ in range(8)))
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert len(await client.runs.list(tid)) == 1


@pytest.mark.parametrize("kind", ["wait", "stream"])
async def test_a_repeated_request_gets_what_the_first_got(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str, key: dict[str, str], kind: str
) -> None:
    path = f"/threads/{tid}/runs/{kind}"
    first = await raw.post(path, json=BODY, headers=key)
    again = await raw.post(path, json=BODY, headers=key)
    assert again.text.strip() == first.text.strip()
    assert '"steps"' in first.text
    assert again.headers["content-location"] == first.headers["content-location"]
    state: Any = await client.threads.get_state(tid)
    assert state["values"]["steps"] == ["prep", "done"]


async def test_a_stateless_run_is_not_done_twice(
    raw: httpx.AsyncClient, key: dict[str, str]
) -> None:
    body = {**BODY, "on_completion": "keep"}
    first = await raw.post("/runs", json=body, headers=key)
    again = await raw.post("/runs", json=body, headers=key)
    assert again.json()["run_id"] == first.json()["run_id"]
    assert again.json()["thread_id"] == first.json()["thread_id"]


async def test_a_key_belongs_to_one_request(
    raw: httpx.AsyncClient, tid: str, key: dict[str, str]
) -> None:
    path = f"/threads/{tid}/runs"
    await raw.post(path, json=BODY, headers=key)
    other = await raw.post(path, json={**BODY, "input": {"mode": "boom"}}, headers=key)
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]


async def test_a_key_belongs_to_one_owner(guarded_api: str, key: dict[str, str]) -> None:
    runs = []
    for secret in ("back-end-secret", "their-secret"):
        headers = {**key, "x-api-key": secret}
        async with httpx.AsyncClient(base_url=guarded_api, headers=headers) as theirs:
            answer = await theirs.post("/runs", json={**BODY, "on_completion": "keep"})
            runs.append(answer.json()["run_id"])
    assert runs[0] != runs[1]


async def test_a_run_that_is_gone_is_not_done_again(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str, key: dict[str, str]
) -> None:
    path = f"/threads/{tid}/runs"
    run = (await raw.post(path, json=BODY, headers=key)).json()
    await client.runs.join(tid, run["run_id"])
    await client.runs.delete(tid, run["run_id"])
    again = await raw.post(path, json=BODY, headers=key)
    assert again.status_code == 409
    assert "gone" in again.json()["detail"]
    assert await client.runs.list(tid) == []


async def test_a_request_that_was_refused_leaves_its_key_free(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str, key: dict[str, str]
) -> None:
    path = f"/threads/{tid}/runs"
    await client.runs.create(tid, "work", input={"mode": "slow", "secs": 0.3})
    body = {**BODY, "multitask_strategy": "reject"}
    assert (await raw.post(path, json=body, headers=key)).status_code == 409
    first: Any = (await client.runs.list(tid))[0]
    await client.runs.join(tid, first["run_id"])
    assert (await raw.post(path, json=body, headers=key)).status_code == 200


async def test_a_run_that_makes_its_thread_is_not_done_twice(
    raw: httpx.AsyncClient, key: dict[str, str]
) -> None:
    body = {**BODY, "if_not_exists": "create", "metadata": {"origin": "widget"}}
    path = f"/threads/{uuid.uuid4()}/runs"
    first, again = [await raw.post(path, json=body, headers=key) for _ in range(2)]
    assert again.json()["run_id"] == first.json()["run_id"]
