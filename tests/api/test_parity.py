"""Each scenario on ours and, where it is installed, on the official server: they tell the same."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from bench.peer import PYTHON
from tests.api.differences import listed, play_official, wrong
from tests.api.play import Outcome, play
from tests.api.registry import SCENARIOS
from tests.api.servers import frontdesk
from tests.api.table import rows

Outcomes = Mapping[str, Outcome]


@pytest.fixture(scope="session")
async def outcomes(
    postgres_dsn: str, _redis_server: str | None, tmp_path_factory: Any, request: Any
) -> tuple[Outcomes, Outcomes]:
    """Of the official server, if it is installed, and of ours."""
    chosen = [one.callspec.params["row"] for one in request.session.items if _plays(one)]
    stores = []
    for name in ("parity_open", "parity_guarded"):
        async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as admin:
            await admin.execute(f"create database {name} template frontdesk")
        stores.append(
            {
                "DATABASE_URL": postgres_dsn.replace("/postgres?", f"/{name}?"),
                "REDIS_URL": _redis_server or "",
                "FRONTDESK_DATA": str(tmp_path_factory.mktemp(name)),
            }
        )

    async def theirs() -> Outcomes:
        if not PYTHON.exists():
            return {}
        return await play_official(chosen)

    async def ours() -> Outcomes:
        async with frontdesk(stores) as place:
            return await play(place, chosen)

    return tuple(await asyncio.gather(theirs(), ours()))


def _plays(item: Any) -> bool:
    return "row" in getattr(getattr(item, "callspec", None), "params", {})


def test_every_row_has_a_scenario() -> None:
    assert [row for row in rows() if row not in SCENARIOS] == []


def test_every_listed_difference_is_of_a_row() -> None:
    assert [row for row in listed() if row not in SCENARIOS] == []


def test_the_official_server_is_there_to_compare_with() -> None:
    if not PYTHON.exists():
        reason = f"the official server is not installed: {PYTHON} is missing (make api-parity)"
        assert "FRONTDESK_REQUIRE_ALL" not in os.environ, reason
        pytest.skip(reason)


@pytest.mark.timeout(900)  # the first waits for all, on a machine that may have other work
@pytest.mark.parametrize("row", SCENARIOS)
async def test_both_servers_tell_the_same(row: str, outcomes: tuple[Outcomes, Outcomes]) -> None:
    problem = wrong(*outcomes, row)
    assert problem is None, problem
