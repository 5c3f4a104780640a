"""A server that stops in the middle, and another one at its address: clients notice nothing."""

import asyncio
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from engine.settings import Settings
from server.app import create_app
from tests.fakes.serving import sample_graphs, serving

SLOW = {"mode": "slow", "secs": 1.5}
STEPS = ["prep", "slow", "done"]

pytestmark = pytest.mark.filterwarnings("ignore:Request failed, attempting reconnect")


async def thread(client: LangGraphClient, *, stateless: bool) -> Any:
    return None if stateless else (await client.threads.create())["thread_id"]


async def streamed(client: LangGraphClient, *, stateless: bool) -> list[str]:
    """The nodes that a resumable stream tells of."""
    tid: Any = await thread(client, stateless=stateless)
    parts = client.runs.stream(
        tid, "work", input=SLOW, stream_mode=["updates"], stream_resumable=True
    )
    return [node async for part in parts if part.event == "updates" for node in part.data]


async def waited(client: LangGraphClient, *, stateless: bool) -> list[str]:
    tid: Any = await thread(client, stateless=stateless)
    output: Any = await client.runs.wait(tid, "work", input=SLOW)
    return list(output["steps"])


async def joined(client: LangGraphClient) -> str:
    """How a run is that was joined to its end."""
    tid = await thread(client, stateless=False)
    run = await client.runs.create(tid, "work", input=SLOW)
    await client.runs.join(tid, run["run_id"])
    return str((await client.runs.get(tid, run["run_id"]))["status"])


@pytest.mark.parametrize("role", ["all", "api"])
async def test_whoever_streams_waits_or_joins_gets_all_of_it_once(
    served_settings: Settings, role: str
) -> None:
    first = served_settings.model_copy(update={"role": role})
    async with serving(create_app(first, sample_graphs)) as url:
        client = get_client(url=url)
        follow = [how(client, stateless=one) for how in (streamed, waited) for one in (True, False)]
        asked = asyncio.gather(*follow, joined(client))
        await asyncio.sleep(0.3)  # they have begun, or are just about to
    port = int(url.rpartition(":")[2])
    async with serving(create_app(served_settings, sample_graphs), port), client:
        assert await asked == [STEPS, STEPS, STEPS, STEPS, "success"]
