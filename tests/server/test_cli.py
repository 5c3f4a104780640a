"""The `frontdesk` command, as a process of its own."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, MessagesState, StateGraph

from checkpoints import PostgresCheckpointer
from engine.settings import Settings

CONFIG: Any = {"configurable": {"thread_id": "their thread"}}


async def frontdesk(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FRONTDESK_", "OPENAI_"))}
    env |= {"DATABASE_URL": settings.database_url or "", "FRONTDESK_DATA": str(settings.data)}
    command = [sys.executable, "-m", "server", *words]
    return await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
async def theirs(database_url: str, settings: Settings) -> str:
    """The URL of a database that a LangGraph application with its own saver worked on."""
    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda state: {"messages": [("ai", "hello")]})
    builder.add_edge(START, "answer")
    async with AsyncPostgresSaver.from_conn_string(database_url) as saver:
        await saver.setup()
        graph = builder.compile(checkpointer=saver)
        await graph.ainvoke({"messages": [("human", "hi")]}, CONFIG)
    return database_url


async def test_threads_of_the_official_saver_are_imported_once(
    theirs: str, settings: Settings
) -> None:
    done = await frontdesk(settings, "checkpoints", "import", "--from", theirs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "their thread done (1)",
        "1 threads, new of them: 3 checkpoints, 3 writes",
    ]
    again = await frontdesk(settings, "checkpoints", "import", "--from", theirs)
    assert "0 checkpoints, 0 writes" in again.stdout
    async with PostgresCheckpointer.open(theirs) as ours:
        found = await ours.aget_tuple(CONFIG)
    assert found
    said = [message.content for message in found.checkpoint["channel_values"]["messages"]]
    assert said == ["hi", "hello"]


async def test_an_import_of_tables_that_are_not_there_says_so(
    theirs: str, settings: Settings
) -> None:
    done = await frontdesk(
        settings, "checkpoints", "import", "--from", theirs, "--schema", "elsewhere"
    )
    assert done.returncode == 1
    assert "elsewhere.checkpoints" in done.stderr
    assert "Traceback" not in done.stderr


async def test_an_import_that_leaves_a_thread_behind_says_so(
    theirs: str, settings: Settings, tmp_path: Path
) -> None:
    async with AsyncPostgresSaver.from_conn_string(theirs) as saver:
        await saver.conn.execute("update checkpoint_blobs set type = 'unheard of'")
    command = ("checkpoints", "import", "--from", theirs, "--thread", "their thread")
    done = await frontdesk(settings, *command)
    assert done.returncode == 1
    assert "their thread failed" in done.stdout
    assert "1 threads could not be copied" in done.stderr


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("server.cli", {"fastapi", "openai", "sqlalchemy", "bs4", "watchfiles", "fakeredis"}),
        ("server.hosting.served", {"openai", "sqlalchemy", "bs4", "watchfiles", "fakeredis"}),
        ("server.desk", {"openai", "fakeredis"}),
    ],
)
def test_a_start_imports_only_what_it_needs(module: str, absent: set[str]) -> None:
    code = f"import {module}, sys; print(*sorted({absent} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
