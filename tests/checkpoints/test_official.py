"""Threads written by the official saver read the same from ours once they are imported."""

import asyncio
import json
import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import psycopg
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import TASKS
from langgraph.graph import START, StateGraph, add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Durability, Interrupt, Send, interrupt

from checkpoints import PostgresCheckpointer
from checkpoints.errors import CheckpointError, Unavailable
from checkpoints.official import Report, import_official
from tests.checkpoints.scenarios import ALL, Scenario
from tests.checkpoints.threads import new_id, plain

MESSAGE = HumanMessage("héllo 😀 " + "x" * 500, id="1")


@dataclass(frozen=True)
class Basket:
    items: list[str]
    due: datetime


TYPES = [(Basket.__module__, Basket.__name__)]
SERDE = JsonPlusSerializer(allowed_msgpack_modules=TYPES)


@pytest.fixture
async def official(database_url: str) -> AsyncIterator[AsyncPostgresSaver]:
    async with AsyncPostgresSaver.from_conn_string(database_url, serde=SERDE) as saver:
        await saver.setup()
        yield saver


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[PostgresCheckpointer]:
    async with PostgresCheckpointer.open(url, schema="ours", size=3, **options) as saver:
        yield saver


async def imported(url: str, **options: Any) -> Report:
    """As the command does it: by a process that knows nothing of the types."""
    async with opened(url) as saver:
        report = await import_official(url, saver, **options)
    assert report.failed == {}
    return report


def seen(found: CheckpointTuple | None) -> Any:
    """All of it; JSONB keeps no order of keys, and what is empty may as well be missing."""
    assert found
    checkpoint: dict[str, Any] = {**found.checkpoint}
    known = ("channel_values", "channel_versions", "versions_seen")
    rest = {k: v for k, v in checkpoint.items() if k not in known and v}
    return {**plain(found), "checkpoint": rest, "metadata": found.metadata}


async def everything(saver: BaseCheckpointSaver, thread: str) -> dict[str, Any]:
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    found = [seen(each) async for each in saver.alist(config)]
    return {f"{each['at'][1]}/{each['at'][2]}": each for each in found}


async def threads(url: str) -> list[str]:
    async with await psycopg.AsyncConnection.connect(url) as conn:
        rows = await conn.execute("select distinct thread_id from checkpoints order by 1")
        return [thread for (thread,) in await rows.fetchall()]


async def assert_the_same(official: BaseCheckpointSaver, url: str) -> None:
    async with opened(url, allow=TYPES) as ours:
        for thread in await threads(url):
            expected = await everything(official, thread)
            assert await everything(ours, thread) == expected
            for where in expected.values():
                names = ("thread_id", "checkpoint_ns", "checkpoint_id")
                at: Any = {"configurable": dict(zip(names, where["at"], strict=True))}
                assert seen(await ours.aget_tuple(at)) == where
                channels = sorted(where["versions"])
                mine = await ours.aget_delta_channel_history(config=at, channels=channels)
                theirs = await official.aget_delta_channel_history(config=at, channels=channels)
                for name, history in mine.items():
                    if history.get("seed", "") is not None:  # which the official saver overlooks
                        assert history == theirs[name]


async def stored(url: str) -> dict[str, int]:
    async with await psycopg.AsyncConnection.connect(url) as conn:
        counts = {}
        for table in ("checkpoints", "writes", "elements"):
            cursor = await conn.execute(f"table ours.{table}")
            counts[table] = len(await cursor.fetchall())
        return counts


async def source_rows(url: str) -> list[Any]:
    rows: list[Any] = []
    async with await psycopg.AsyncConnection.connect(url) as conn:
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
            rows += await (await conn.execute(f"table {table} order by 1, 2, 3, 4")).fetchall()
    return rows


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    log: Annotated[list[str], operator.add]
    basket: Basket
    count: int
    share: float
    nothing: None
    fine: bool
    raw: bytes
    tags: set[str]


def talk(saver: BaseCheckpointSaver) -> CompiledStateGraph:
    """All kinds of values; asks twice; fans out."""

    def ask(state: State) -> State:
        first, second = interrupt("name?"), interrupt("age?")
        return {"messages": [AIMessage(f"{first} {second}")], "log": ["ask"]}

    def work(state: Any) -> State:
        return {"log": [f"work {state}"]}

    def fan(state: State) -> Any:
        return [Send("work", n) for n in range(3)]

    def tally(state: State) -> State:
        return {
            "count": state.get("count", 0) + 1,
            "share": 0.5,
            "nothing": None,
            "fine": True,
            "raw": b"\0\xff",
            "tags": {"a"},
            "basket": Basket(["tea"], datetime(2026, 1, 2, tzinfo=UTC)),
        }

    builder = StateGraph(State)
    for node in (ask, work, tally):
        builder.add_node(node)
    builder.add_edge(START, "tally")
    builder.add_conditional_edges("tally", fan, ["work"])
    builder.add_edge("work", "ask")
    return builder.compile(checkpointer=saver)


@pytest.mark.parametrize("durability", ["sync", "exit"])
@pytest.mark.parametrize("scenario", ALL, ids=lambda one: one.__name__)
async def test_what_real_graphs_wrote_reads_the_same(
    official: AsyncPostgresSaver, database_url: str, scenario: Scenario, durability: Durability
) -> None:
    await scenario(official, "thread", durability)
    await imported(database_url)
    await assert_the_same(official, database_url)


async def test_values_of_every_kind_survive_without_being_opened(
    official: AsyncPostgresSaver, database_url: str
) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": "t", "user_id": "u"}}
    await talk(official).ainvoke({"messages": [MESSAGE]}, config)
    await imported(database_url)
    await assert_the_same(official, database_url)
    async with opened(database_url, allow=TYPES) as ours:
        state = await talk(ours).aget_state(config)
        assert state.values["basket"] == Basket(["tea"], datetime(2026, 1, 2, tzinfo=UTC))
        assert state.metadata
        assert state.metadata["user_id"] == "u"


async def test_an_interrupted_thread_is_resumed_after_the_import(
    official: AsyncPostgresSaver, database_url: str
) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await talk(official).ainvoke({"messages": [MESSAGE]}, config)
    await talk(official).ainvoke(Command(resume="Maya"), config)
    await imported(database_url)
    async with opened(database_url, allow=TYPES) as ours:
        done = await talk(ours).ainvoke(Command(resume=42), config)
        assert done["messages"][-1].content == "Maya 42"
        await talk(ours).ainvoke({"messages": [MESSAGE]}, config)
        head = await ours.aget_tuple(config)
        assert head
        assert all(isinstance(each, str) for each in head.checkpoint["channel_versions"].values())
        assert len([one async for one in talk(ours).aget_state_history(config)]) > 5


async def test_importing_again_changes_nothing(
    official: AsyncPostgresSaver, database_url: str
) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await talk(official).ainvoke({"messages": [MESSAGE]}, config)
    await talk(official).ainvoke(Command(resume="Maya"), config)
    before = await source_rows(database_url)
    first = await imported(database_url)
    assert (first.threads, first.checkpoints) == (1, len(await everything(official, "t")))
    assert first.writes > 5
    once = await stored(database_url)
    again = await imported(database_url)
    assert (again.threads, again.checkpoints, again.writes) == (1, 0, 0)
    assert await stored(database_url) == once
    assert await source_rows(database_url) == before


async def test_an_import_that_was_cut_is_finished_by_the_next(
    official: AsyncPostgresSaver, database_url: str
) -> None:
    for n in range(6):
        config: RunnableConfig = {"configurable": {"thread_id": str(n)}}
        await talk(official).ainvoke({"messages": [MESSAGE]}, config)
    for delay in (0.02, 0.05, 0.1):
        task = asyncio.create_task(imported(database_url))
        await asyncio.sleep(delay)
        task.cancel()
        with suppress(asyncio.CancelledError):  # what is left may be little by now
            await task
    await imported(database_url)
    await assert_the_same(official, database_url)


async def test_what_the_source_wrote_since_comes_with_the_next_import(
    official: AsyncPostgresSaver, database_url: str
) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await talk(official).ainvoke({"messages": [MESSAGE]}, config)
    await imported(database_url)
    await talk(official).ainvoke(Command(resume="Maya"), config)  # only writes, no checkpoint
    assert (await imported(database_url)).checkpoints == 0
    await assert_the_same(official, database_url)
    await talk(official).ainvoke(Command(resume=42), config)
    assert (await imported(database_url)).checkpoints > 0
    await assert_the_same(official, database_url)


async def test_a_long_thread_is_stored_without_its_repetitions(
    official: AsyncPostgresSaver, database_url: str
) -> None:
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    messages: list[Any] = []
    for n in range(40):
        messages.append(HumanMessage(f"{n} " + "x" * 200, id=str(n)))
        version = official.get_next_version(str(n), None)
        checkpoint = {**_old(4), "channel_values": {"messages": messages, "n": n}}
        checkpoint["channel_versions"] = {"messages": version, "n": version}
        made = await official.aput(config, checkpoint, {"step": n}, checkpoint["channel_versions"])
        config = {"configurable": {**made["configurable"], "checkpoint_ns": ""}}
    await imported(database_url)
    await assert_the_same(official, database_url)
    assert await stored(database_url) == {"checkpoints": 40, "writes": 0, "elements": 40}


def _old(v: int, **fields: Any) -> Any:
    return {
        "v": v,
        "id": new_id(),
        "ts": "2024-05-04T06:32:42.235444+00:00",
        "channel_versions": {},
        "versions_seen": {},
        **fields,
    }


class Rows:
    """Rows as older versions of the official saver left them."""

    def __init__(self, conn: psycopg.AsyncConnection) -> None:
        self.conn = conn

    async def checkpoint(self, checkpoint: Any, parent: str | None = None) -> None:
        await self.conn.execute(
            "insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id,"
            " parent_checkpoint_id, type, checkpoint, metadata)"
            " values ('old', '', %s, %s, 'json', %s, %s)",
            [
                checkpoint["id"], parent, json.dumps(checkpoint),
                json.dumps({"source": "loop", "step": 1, "writes": {"node": {"a": [1, None]}}}),
            ],
        )  # fmt: skip

    async def blob(self, channel: str, version: str, typed: tuple[str, bytes | None]) -> None:
        await self.conn.execute(
            "insert into checkpoint_blobs values ('old', '', %s, %s, %s, %s)",
            [channel, version, *typed],
        )

    async def write(
        self, id_: str, task: str, idx: int, channel: str, value: Any, path: str = ""
    ) -> None:
        await self.conn.execute(
            "insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id,"
            " task_path, idx, channel, type, blob) values ('old', '', %s, %s, %s, %s, %s, %s, %s)",
            [id_, task, path, idx, channel, *SERDE.dumps_typed(value)],
        )


@pytest.fixture
async def rows(official: AsyncPostgresSaver, database_url: str) -> AsyncIterator[Rows]:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as conn:
        yield Rows(conn)


@pytest.mark.parametrize("v", [1, 2, 3])
@pytest.mark.parametrize("version", [7, 7.5, f"{7:032}.0.123"])
async def test_old_formats_keep_their_versions_and_their_sends(
    official: AsyncPostgresSaver, rows: Rows, database_url: str, v: int, version: Any
) -> None:
    lc = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"]}
    text = json.dumps([{**lc, "kwargs": {"content": "hi", "id": "1", "type": "human"}}])
    await rows.blob("messages", str(version), ("json", text.encode()))
    await rows.blob("gone", str(version), ("empty", None))
    await rows.blob("none", str(version), ("null", b""))
    versions = dict.fromkeys(("messages", "gone", "none"), version)
    first = _old(v, channel_versions=versions, channel_values=None, pending_sends=[])
    second = _old(
        v, channel_versions=versions, channel_values={}, current_tasks={},
        versions_seen={"__input__": {}, "node": {"messages": version}},
    )  # fmt: skip
    await rows.checkpoint(first)
    await rows.checkpoint(second, first["id"])
    await rows.write(first["id"], "b", 0, TASKS, Send("b", 1), path="~2")
    await rows.write(first["id"], "a", 0, "messages", [MESSAGE], path="~1")
    await rows.write(first["id"], "a", 1, TASKS, Send("a", {"m": MESSAGE}), path="~1")
    await imported(database_url)
    await assert_the_same(official, database_url)
    async with opened(database_url) as ours:
        found = await ours.aget_tuple({"configurable": {"thread_id": "old"}})
    assert found
    assert found.checkpoint["channel_values"][TASKS] == [Send("a", {"m": MESSAGE}), Send("b", 1)]
    assert found.checkpoint["channel_versions"]["messages"] == version


async def test_sends_of_a_parent_that_is_gone_are_kept(
    official: AsyncPostgresSaver, rows: Rows, database_url: str
) -> None:
    parent = new_id()
    await rows.write(parent, "a", 0, TASKS, Send("a", 1))
    await rows.checkpoint(_old(3, channel_versions={"x": 3}), parent)
    await imported(database_url)
    async with opened(database_url) as ours:
        assert await everything(ours, "old") == await everything(official, "old")


async def test_writes_keep_their_indexes_whatever_these_are(
    official: AsyncPostgresSaver, rows: Rows, database_url: str
) -> None:
    checkpoint = _old(4)
    await rows.checkpoint(checkpoint)
    first, second = Interrupt("one", id="1"), Interrupt("two", id="2")
    for task, idx, channel, value in [
        ("gaps", 0, "a", 1),
        ("gaps", 4, "b", 2),
        ("gaps", 9, "a", 3),
        ("before there were special indexes", 0, "__interrupt__", first),
        ("before there were special indexes", 1, "__interrupt__", second),
        ("special", -4, "__resume__", ["x"]),
        ("special", -3, "__interrupt__", [first]),
        ("special", -1, "__error__", "ValueError()"),
        ("special", 2, "a", None),
        ("00000000-0000-0000-0000-000000000000", -4, "__resume__", "y"),
    ]:
        await rows.write(checkpoint["id"], task, idx, channel, value)
    await imported(database_url)
    await assert_the_same(official, database_url)
    once = await stored(database_url)
    assert (await imported(database_url)).writes == 0
    assert await stored(database_url) == once


async def test_tables_that_have_no_task_paths_are_read(
    official: AsyncPostgresSaver, rows: Rows, database_url: str
) -> None:
    checkpoint = _old(1)
    await rows.checkpoint(checkpoint)
    await rows.write(checkpoint["id"], "a", 0, "x", 1)
    expected = await everything(official, "old")
    await rows.conn.execute("alter table checkpoint_writes drop column task_path")
    await imported(database_url)
    async with opened(database_url) as ours:
        assert await everything(ours, "old") == expected


async def test_only_the_threads_asked_for_are_imported(
    official: AsyncPostgresSaver, database_url: str
) -> None:
    for thread in ("a", "b", "c"):
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        await talk(official).ainvoke({"messages": []}, config)
    seen = []
    report = await imported(
        database_url,
        threads=["b", "nowhere"],
        progress=lambda thread, so_far: seen.append((thread, so_far.threads)),
    )
    assert report.threads == len(seen) == 2
    async with opened(database_url) as ours:
        found = {one.config["configurable"]["thread_id"] async for one in ours.alist(None)}
    assert found == {"b"}


async def test_tables_in_another_schema_are_read(
    official: AsyncPostgresSaver, rows: Rows, database_url: str
) -> None:
    await rows.checkpoint(_old(4))
    expected = await everything(official, "old")
    await rows.conn.execute('create schema "my app"')
    for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
        await rows.conn.execute(f'alter table {table} set schema "my app"')
    await imported(database_url, schema="my app")
    async with opened(database_url) as ours:
        assert await everything(ours, "old") == expected


async def test_a_source_without_the_tables_is_refused(database_url: str) -> None:
    async with opened(database_url) as ours:
        with pytest.raises(CheckpointError, match=r"public\.checkpoint_blobs"):
            await import_official(database_url, ours)


async def test_a_source_that_is_away_is_unavailable(database_url: str) -> None:
    async with opened(database_url) as ours:
        with pytest.raises(Unavailable):
            await import_official("host=/nowhere dbname=x connect_timeout=1", ours)


async def test_a_thread_that_cannot_be_read_is_reported_and_the_others_imported(
    official: AsyncPostgresSaver, rows: Rows, database_url: str
) -> None:
    await rows.blob("x", "1", ("pickle", b"cos\nsystem\n"))
    await rows.checkpoint(_old(1, channel_versions={"x": 1}))
    thread = str(uuid4())
    await talk(official).ainvoke({"messages": []}, {"configurable": {"thread_id": thread}})
    async with opened(database_url) as ours:
        report = await import_official(database_url, ours)
        assert report.failed.keys() == {"old"}
        assert "pickle" in report.failed["old"]
        assert report.threads == 1
        assert await ours.aget_tuple({"configurable": {"thread_id": thread}})
