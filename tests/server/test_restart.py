"""A server that stops in the middle, and another one at its address: clients notice nothing."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from engine.settings import Settings
from server.app import create_app
from tests.fakes.serving import sample_graphs, serving

SLOW = {"mode": "slow", "secs": 1.5}
STEPS = ["prep", "slow", "done"]

pytestmark = pytest.mark.filterwarnings("ignore:Request failed, attempting reconnect")


@dataclass(frozen=True)
class Reader:
    """Asks for slow runs, each on a thread of its own, and follows them."""

    client: LangGraphClient
    mark: dict[str, str] = field(default_factory=lambda: {"mark": uuid4().hex})

    async def streamed(self, *, stateless: bool) -> list[str]:
        """The nodes that a resumable stream tells of."""
        parts = self.client.runs.stream(
            await self._thread(stateless=stateless), "work", input=SLOW, metadata=self.mark,
            stream_mode=["updates"], stream_resumable=True,
        )  # fmt: skip
        return [node async for part in parts if part.event == "updates" for node in part.data]

    async def waited(self, *, stateless: bool) -> list[str]:
        tid = await self._thread(stateless=stateless)
        output: Any = await self.client.runs.wait(tid, "work", input=SLOW, metadata=self.mark)
        return list(output["steps"])

    async def until_at_work(self, runs: int) -> None:
        while await self.client.threads.count(metadata=self.mark, status="busy") < runs:
            await asyncio.sleep(0.01)

    async def _thread(self, *, stateless: bool) -> Any:
        if stateless:
            return None
        return (await self.client.threads.create(metadata=self.mark))["thread_id"]


@pytest.mark.parametrize("role", ["all", "api"])
async def test_whoever_streams_or_waits_gets_all_of_it_once(
    served_settings: Settings, role: str
) -> None:
    first = served_settings.model_copy(update={"role": role})
    async with serving(create_app(first, sample_graphs)) as url:
        reader = Reader(get_client(url=url))
        hows = [reader.streamed, reader.waited]
        asked = asyncio.gather(*(how(stateless=one) for how in hows for one in (True, False)))
        await reader.until_at_work(4)
    port = int(url.rpartition(":")[2])
    async with serving(create_app(served_settings, sample_graphs), port), reader.client:
        assert await asked == [STEPS] * 4
