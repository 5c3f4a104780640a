import base64
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis.asyncio
from fakeredis import FakeAsyncRedis
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import SecretStr

from checkpoints import (
    CheckpointError,
    PostgresCheckpointer,
    RedisCheckpointer,
    TieredCheckpointer,
)
from engine.checkpointing import cipher, kind, open_checkpointer
from engine.embedded import Servers
from engine.errors import ConfigError
from engine.settings import Settings

KEY, OTHER = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
WORDS = "the customer's words"


@pytest.fixture
def stand_in(database_url: str) -> Servers:
    return Servers(database_url, FakeAsyncRedis(), None)


def echo() -> StateGraph[MessagesState, None, MessagesState, MessagesState]:
    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [("ai", "heard")]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph


async def said(settings: Settings, servers: Servers, thread: str, *words: str) -> list[str]:
    """What the thread remembers after these words."""
    config: Any = {"configurable": {"thread_id": thread}}
    async with open_checkpointer(settings, servers) as saver:
        graph = echo().compile(checkpointer=saver)
        for word in words:
            await graph.ainvoke({"messages": [("user", word)]}, config)
        state = await graph.aget_state(config)
    return [message.content for message in state.values["messages"]]


@pytest.mark.parametrize(
    ("chosen", "opened"),
    [
        (None, TieredCheckpointer),
        ("tiered", TieredCheckpointer),
        ("postgres", PostgresCheckpointer),
        ("redis", RedisCheckpointer),
    ],
)
async def test_with_a_real_redis_every_checkpointer_can_be_had(
    settings: Settings, servers: Servers, chosen: Any, opened: type
) -> None:
    settings = settings.model_copy(update={"checkpointer": chosen})
    async with open_checkpointer(settings, servers) as saver:
        assert type(saver) is opened


async def test_without_a_real_redis_checkpoints_are_in_postgres(
    settings: Settings, stand_in: Servers
) -> None:
    async with open_checkpointer(settings, stand_in) as saver:
        assert type(saver) is PostgresCheckpointer
    for chosen in ("tiered", "redis"):
        with pytest.raises(ConfigError, match=f"{chosen} needs a real Redis: set REDIS_URL"):
            kind(settings.model_copy(update={"checkpointer": chosen}), stand_in)


async def test_a_redis_that_is_away_is_named(settings: Settings, unused_tcp_port: int) -> None:
    url = f"redis://127.0.0.1:{unused_tcp_port}"
    client = redis.asyncio.Redis.from_url(url)
    settings = settings.model_copy(update={"checkpointer": "redis"})
    with pytest.raises(ConfigError, match="checkpointer `redis` cannot be opened"):
        async with open_checkpointer(settings, Servers("", client, url)):
            pass
    await client.aclose()


async def test_schema_and_prefix_can_be_chosen(settings: Settings, servers: Servers) -> None:
    changes = {"checkpoint_schema": "Talk %s", "checkpoint_prefix": "talk"}
    settings = settings.model_copy(update=changes)
    thread = str(uuid4())
    assert await said(settings, servers, thread, "hi") == ["hi", "heard"]
    assert [key async for key in servers.redis.scan_iter("talk:*")]
    async with await psycopg.AsyncConnection.connect(servers.database_url) as conn:
        cursor = await conn.execute('select thread_id from "Talk %s".threads')
        assert await cursor.fetchall() == [(thread,)]


async def test_a_thread_leaves_redis_when_its_time_is_over(
    settings: Settings, servers: Servers
) -> None:
    await said(settings, servers, str(uuid4()), "hi")
    keys = [key async for key in servers.redis.scan_iter("checkpoints:*")]
    lives = {key: await servers.redis.ttl(key) for key in keys}
    assert lives
    assert all(3500 < seconds <= 3600 for seconds in lives.values()), lives


async def test_redis_alone_forgets_idle_threads_only_when_told_to(
    settings: Settings, servers: Servers
) -> None:
    alone = settings.model_copy(update={"checkpointer": "redis"})
    await said(alone, servers, str(uuid4()), "hi")
    keys = [key async for key in servers.redis.scan_iter("checkpoints:{*")]
    assert {await servers.redis.ttl(key) for key in keys} == {-1}
    idle = alone.model_copy(update={"checkpoint_idle_seconds": 60.0})
    await servers.redis.flushall()
    await said(idle, servers, str(uuid4()), "hi")
    keys = [key async for key in servers.redis.scan_iter("checkpoints:{*")]
    assert all([0 < await servers.redis.ttl(key) <= 60 for key in keys])
    latest = idle.model_copy(update={"checkpoint_idle_strategy": "keep_latest"})
    with pytest.raises(ConfigError, match="keep_latest needs checkpoints in PostgreSQL"):
        await said(latest, servers, str(uuid4()))


def test_the_first_key_seals(settings: Settings) -> None:
    assert cipher(settings) is None
    keys = SecretStr(f"new:{OTHER}, old:{KEY}")
    found = cipher(settings.model_copy(update={"checkpoint_keys": keys}))
    assert found is not None
    assert (found.active, found.keys) == ("new", {"new": b"\2" * 32, "old": b"\1" * 32})


@pytest.mark.parametrize(
    "keys",
    [
        KEY,
        f":{KEY}",
        f"a:{KEY}!",
        "a:",
        f"a:{KEY[:-8]}",
        f"a:{KEY},a:{OTHER}",
        f"{'a' * 256}:{KEY}",
    ],
)
def test_malformed_keys_are_refused_and_not_shown(settings: Settings, keys: str) -> None:
    malformed = settings.model_copy(update={"checkpoint_keys": SecretStr(keys)})
    with pytest.raises(ConfigError, match=r"FRONTDESK_CHECKPOINT_KEYS: part \d is not") as refusal:
        cipher(malformed)
    assert KEY[:8] not in str(refusal.value)
    assert refusal.value.__context__ is None


async def test_with_keys_checkpoints_are_unreadable_without_them(
    settings: Settings, servers: Servers
) -> None:
    thread = str(uuid4())
    old = settings.model_copy(update={"checkpoint_keys": SecretStr(f"old:{KEY}")})
    both = settings.model_copy(update={"checkpoint_keys": SecretStr(f"new:{OTHER},old:{KEY}")})
    await said(old, servers, thread, WORDS)
    assert await said(both, servers, thread, "more") == [WORDS, "heard", "more", "heard"]
    with pytest.raises(CheckpointError, match="encrypted"):
        await said(settings, servers, thread)
