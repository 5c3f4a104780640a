"""Our `langgraph.json` in the official development server, with no environment of ours."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client

from bench.peer import DEV, PYTHON
from checkpoints import PostgresCheckpointer
from engine.embedded import open_servers
from engine.settings import Settings
from tests.folders import reachable_folder

pytestmark = pytest.mark.requires(str(PYTHON))

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    # The project as a newcomer has it: its files and a data folder of its own.
    for name in ("graphs", "nodes", "tools", "engine", "checkpoints", "server"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("langgraph.json", "pyproject.toml", "README.md"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {"PATH": f"{PYTHON.parent}:/usr/bin:/bin", "HOME": str(folder)}
    url, log = f"http://127.0.0.1:{port}", folder / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*DEV, "--port", str(port)], cwd=folder, env=env, stdout=out, stderr=out
        )
    try:
        wait_until_ready(url, process, log)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert "Task was destroyed" not in log.read_text()


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    began = time.monotonic()
    while time.monotonic() - began < 120:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/ok").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


async def test_it_tells_its_schemas_and_the_status_of_an_order(url: str) -> None:
    async with get_client(url=url, timeout=120) as client:
        assistant = (await client.assistants.search(graph_id="support"))[0]
        schemas = await client.assistants.get_schemas(assistant["assistant_id"])
        assert "messages" in schemas["input_schema"]["properties"]
        assert set(schemas["context_schema"]["properties"]) == {"customer_id", "locale", "channel"}
        thread = await client.threads.create()
        values = await client.runs.wait(
            thread["thread_id"],
            "support",
            input={"messages": [{"role": "user", "content": "Status of order #W4820013?"}]},
            context={"customer_id": "maya_linden_4821"},
        )
    assert "processed" in values["messages"][-1]["content"].lower()


async def test_its_checkpoints_are_in_our_postgres(url: str, folder: Path) -> None:
    settings = Settings(_env_file=None, data=folder / ".frontdesk")
    async with (
        open_servers(settings) as servers,
        PostgresCheckpointer.open(servers.database_url) as saver,
        get_client(url=url, timeout=120) as client,
    ):
        thread = await client.threads.create()
        for said in ("Hello!", "Thank you!"):
            asked = {"messages": [{"role": "user", "content": said}]}
            run = await client.runs.create(thread["thread_id"], "support", input=asked)
            await client.runs.join(thread["thread_id"], run["run_id"])
        state = await client.threads.get_state(thread["thread_id"])
        config: Any = {"configurable": {"thread_id": thread["thread_id"], "checkpoint_ns": ""}}
        found = [one async for one in saver.alist(config)]
        assert found[0].config["configurable"]["checkpoint_id"] == state["checkpoint_id"]
        assert len(found[0].checkpoint["channel_values"]["messages"]) == 4
        assert {one.metadata["run_id"] for one in found} >= {run["run_id"]}
        assert len({one.metadata["run_id"] for one in found}) == 2
        await client.threads.delete(thread["thread_id"])
        assert await saver.aget_tuple(config) is None
