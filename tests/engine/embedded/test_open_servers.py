"""Everything a process needs to store into, opened at once."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from blockbuster import blockbuster_ctx

from engine.embedded import Servers, open_servers
from engine.errors import ConfigError
from engine.settings import Settings


def embedded(folder: Path) -> Settings:
    return Settings(_env_file=None, data=folder)


async def one(url: str, statement: str) -> Any:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        row = await (await connection.execute(statement)).fetchone()
        return row[0] if row else None


async def test_a_process_without_settings_gets_a_database_and_a_redis(
    folder: Path, processes: Any
) -> None:
    async with open_servers(embedded(folder)) as servers:
        assert await one(servers.database_url, "select '[1,2]'::vector <-> '[1,2]'") == 0
        assert await one(servers.database_url, "show fsync") == "on"
        assert await one(servers.database_url, "show listen_addresses") == ""
        assert await one(servers.database_url, "select current_database()") == "frontdesk"
        assert await servers.redis.set("known", "yes")
        assert await servers.redis.get("known") == b"yes"


async def test_full_text_search_knows_punctuation_and_letters_of_every_script(
    database_url: str,
) -> None:
    found = await one(database_url, "select to_tsvector('simple', '“Größe” – ¿qué?')::text")
    assert found == "'größe':1 'qué':2"


async def test_servers_of_the_users_own_are_taken_as_they_are(
    settings: Settings, tmp_path: Path
) -> None:
    async with open_servers(settings) as servers:
        assert servers.database_url == settings.database_url
        assert servers.redis_url == settings.redis_url
    assert not settings.data.exists()


async def test_a_redis_url_that_is_none_is_named(settings: Settings) -> None:
    wrong = settings.model_copy(update={"redis_url": "localhost:6379"})
    with pytest.raises(ConfigError, match="REDIS_URL"):
        async with open_servers(wrong):
            pass


async def test_opening_never_blocks_the_loop(folder: Path) -> None:
    with blockbuster_ctx():
        async with open_servers(embedded(folder)) as servers:
            assert await servers.redis.ping()


async def test_a_start_that_is_cancelled_leaves_nothing_running(
    folder: Path, processes: Any, eventually: Callable[..., None]
) -> None:
    async def opened() -> Servers:
        async with open_servers(embedded(folder)) as servers:
            return servers

    task = asyncio.create_task(opened())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    eventually(lambda: processes.all() == [])
