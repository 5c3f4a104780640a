"""Plays scenarios on a server, many at a time."""

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.api import scenarios
from tests.api.api import Api
from tests.api.registry import ALONE, SCENARIOS
from tests.api.servers import Place

__all__ = ["scenarios"]
_AT_ONCE = 12
_SECONDS = 90


@dataclass(frozen=True)
class Outcome:
    """What a scenario recorded, and why it broke off if it did."""

    steps: list[Any]
    failure: str | None = None
    trace: str = ""
    seconds: float = 0.0

    def summary(self) -> str:
        """Its statuses in order, in a few characters."""
        told = [step[1].get("status") for step in self.steps if isinstance(step[1], dict)]
        found = " ".join(str(one) for one in told if isinstance(one, int)) or "as expected"
        return f"{found}, then {self.failure}" if self.failure else found

    def compared(self) -> str:
        return json.dumps([self.steps, self.failure], indent=1, sort_keys=True)


async def play(place: Place, rows: Iterable[str]) -> dict[str, Outcome]:
    """The outcomes by row; scenarios of several rows are played once."""
    with TemporaryDirectory(prefix="frontdesk-gates-") as gates:
        return await _play_all(place, rows, Path(gates))


async def _play_all(place: Place, rows: Iterable[str], gates: Path) -> dict[str, Outcome]:
    gate = asyncio.Semaphore(_AT_ONCE)
    async with _doors(place) as doors:

        async def one(row: str) -> tuple[str, Outcome]:
            async with gate:
                return row, await _play(Api(*doors, place.ours, gates), row)

        found = dict(await asyncio.gather(*(one(row) for row in rows if row not in ALONE)))
        return found | dict([await one(row) for row in rows if row in ALONE])


async def _play(api: Api, row: str) -> Outcome:
    began = perf_counter()
    try:
        async with asyncio.timeout(_SECONDS):
            await SCENARIOS[row](api)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001
        told = " ".join(str(error).split())[:160]
        name = f"{type(error).__name__}: {told}"
        return Outcome(api.steps, name, traceback.format_exc(limit=-4), perf_counter() - began)
    return Outcome(api.steps, seconds=perf_counter() - began)


@asynccontextmanager
async def _doors(place: Place) -> AsyncIterator[tuple[Any, Any, Any]]:
    # No connection is used again: the official server resets one in which it has failed.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(base_url=place.open, timeout=30, limits=limits) as http,
        httpx.AsyncClient(base_url=place.guarded, timeout=30, limits=limits) as guarded,
        httpx.AsyncClient(base_url=place.open, timeout=30, limits=limits) as under,
    ):
        yield http, guarded, LangGraphClient(under)
