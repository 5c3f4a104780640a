"""All runs of a thread on one stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from engine.settings import Settings
from server.app import create_app
from tests.fakes.serving import sample_graphs, serving
from tests.sse import Event, whole


class Heard:
    """What a stream has told so far: name, data and id of each event."""

    def __init__(self) -> None:
        self.text = ""

    @property
    def events(self) -> list[Event]:
        return whole(self.text)

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]

    async def until(self, dones: int) -> "Heard":
        """Returns when so many runs have ended."""
        async with asyncio.timeout(10):
            while self.text.count("run_done") < dones:
                await asyncio.sleep(0.01)
        return self


@asynccontextmanager
async def hearing(
    http: httpx.AsyncClient, tid: str, last: str | None = None, **params: Any
) -> AsyncIterator[Heard]:
    heard = Heard()
    headers = {} if last is None else {"last-event-id": last}
    path = f"/threads/{tid}/stream"
    async with http.stream("GET", path, headers=headers, params=params) as response:
        assert response.status_code == 200

        async def read() -> None:
            async for piece in response.aiter_text():
                heard.text += piece

        reading = asyncio.create_task(read())
        yield heard
        reading.cancel()
        await asyncio.wait({reading})


async def test_runs_follow_each_other_each_event_with_an_id(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str
) -> None:
    async with hearing(raw, tid) as heard:
        await asyncio.sleep(0.1)
        await client.runs.wait(tid, "work", input={"mode": "done"})
        await client.runs.wait(tid, "work", input={"mode": "boom"}, raise_error=False)
        await heard.until(2)
    first, second = [run["run_id"] for run in reversed(await client.runs.list(tid))]
    assert heard.names[:5] == ["metadata", "values", "values", "values", "metadata"]
    assert heard.names[5:] == ["metadata", "values", "values", "error", "metadata"]
    assert heard.events[4]["data"] == f'{{"status":"run_done","run_id":"{first}"}}'
    assert heard.events[-1]["data"] == f'{{"status":"run_done","run_id":"{second}"}}'
    ids = [tuple(map(int, event["id"].split("-"))) for event in heard.events]
    assert ids == sorted(set(ids))


async def test_it_goes_on_after_an_event_and_from_the_start(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str
) -> None:
    asked: Any = {"input": {"mode": "done"}, "stream_resumable": True}
    for _ in range(2):
        async for _part in client.runs.stream(tid, "work", **asked):
            pass
    async with hearing(raw, tid, "-") as heard:
        everything = (await heard.until(2)).events
    for start in ("0-0", "0"):
        async with hearing(raw, tid, start) as heard:
            assert (await heard.until(2)).events == everything
    middle = len(everything) // 2
    async with hearing(raw, tid, everything[middle]["id"]) as heard:
        assert (await heard.until(1)).events == everything[middle + 1 :]


async def test_modes_choose_in_both_spellings(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str
) -> None:
    async with (
        hearing(raw, tid, stream_modes="lifecycle") as one,
        hearing(raw, tid, stream_mode="lifecycle") as other,
        hearing(raw, tid, stream_mode=["lifecycle", "run_modes"]) as both,
        hearing(raw, tid, stream_modes="state_update") as none,
    ):
        await asyncio.sleep(0.1)
        await client.runs.wait(tid, "work", input={"mode": "done"})
        for heard in (one, other, both):
            await heard.until(1)
    assert one.names == other.names == ["metadata", "metadata"]
    assert both.names == ["metadata", "values", "values", "values", "metadata"]
    assert none.names == []


@pytest.mark.parametrize(
    ("how", "detail"),
    [
        ({"headers": {"last-event-id": "-1"}}, "must be a valid Redis stream ID"),
        ({"headers": {"last-event-id": "abc"}}, "must be a valid Redis stream ID"),
        ({"headers": {"last-event-id": f"{2**64}-0"}}, "must be a valid Redis stream ID"),
        ({"params": {"stream_modes": "zzz"}}, "Invalid stream mode: zzz"),
        ({"params": {"stream_mode": "zzz"}}, "Invalid stream mode: zzz"),
    ],
    ids=str,
)
async def test_a_cursor_or_mode_that_is_none_is_refused(
    raw: httpx.AsyncClient, tid: str, how: dict[str, Any], detail: str
) -> None:
    response = await raw.get(f"/threads/{tid}/stream", **how)
    assert response.status_code == 422
    assert detail in response.json()["detail"]


async def test_nothing_is_told_of_a_strangers_thread(guarded_api: str) -> None:
    theirs, ours = {"x-api-key": "their-secret"}, {"x-api-key": "back-end-secret"}
    async with httpx.AsyncClient(base_url=guarded_api, timeout=30) as http:
        tid = str(uuid4())
        http.headers.update(theirs)
        async with hearing(http, tid) as strange:
            http.headers.update(ours)
            async with hearing(http, tid) as heard:
                await asyncio.sleep(0.1)
                body = {"assistant_id": "work", "input": {"mode": "done"}}
                await http.post(
                    f"/threads/{tid}/runs/wait", json={**body, "if_not_exists": "create"}
                )
                await heard.until(1)
    assert strange.events == []


async def test_a_run_is_heard_whichever_process_executes_it(
    raw: httpx.AsyncClient, client: LangGraphClient, served_settings: Settings, tid: str
) -> None:
    api = served_settings.model_copy(update={"role": "api"})
    async with (
        serving(create_app(api, sample_graphs)) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as elsewhere,
        hearing(elsewhere, tid) as heard,
    ):
        await asyncio.sleep(0.2)
        await client.runs.wait(tid, "work", input={"mode": "done"})
        await heard.until(1)
    assert heard.names == ["metadata", "values", "values", "values", "metadata"]
