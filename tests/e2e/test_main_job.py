"""The main job with real processes: what a newcomer sees after `make serve`."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from engine.embedded import open_servers
from engine.settings import Settings
from tests.folders import reachable_folder
from tools._crm.demo import company

ROOT = Path(__file__).parents[2]
MAYA = {"customer_id": "maya_linden_4821", "channel": "test"}
PENDING = "#W4820011"


class Desk:
    """A served data folder, in a process that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("FRONTDESK_", "OPENAI_"))}
        clean = {k: v for k, v in clean.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
        self.env = clean | {"FRONTDESK_DATA": str(folder), "PORT": self.url.rsplit(":", 1)[1]}
        self.env["FRONTDESK_MAX_LAG_SECONDS"] = "30"  # a busy machine must not refuse what is asked
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds until `/ok` answers 200."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "server", "serve"], env=self.env, cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while self.process.poll() is None and time.monotonic() - began < 200:
            try:
                if httpx.get(f"{self.url}/ok").status_code == 200:
                    return time.monotonic() - began
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"not ready; exit code {self.process.poll()}")

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with reachable_folder() as folder:
        served = Desk(folder)
        served.start()
        yield served
        served.stop()


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=desk.url) as client:
        yield client


async def ask(client: LangGraphClient, thread: str, text: str, context: dict[str, str]) -> dict:
    return await client.runs.wait(
        thread, "support", input={"messages": [{"role": "user", "content": text}]}, context=context
    )


async def test_a_policy_question_is_answered_with_the_right_citation(client) -> None:
    thread = (await client.threads.create())["thread_id"]
    question = "How many days do I have to return something that I do not like?"
    values = await ask(client, thread, question, {"channel": "test"})
    reply = values["messages"][-1]
    assert reply["type"] == "ai"
    assert any("return" in citation["document"] for citation in values["citations"])
    assert reply["additional_kwargs"]["citations"] == values["citations"]
    assert reply["additional_kwargs"]["verdict"]["accepted"] is True
    assert f"[{values['citations'][0]['id']}]" in reply["content"]


async def test_a_known_customer_hears_the_status_of_an_order(client) -> None:
    thread = (await client.threads.create())["thread_id"]
    values = await ask(client, thread, "What is the status of my order #W4820013?", MAYA)
    assert "processed" in values["messages"][-1]["content"].lower()
    assert values["identity"] == {"customer_id": "maya_linden_4821", "level": "verified"}


async def test_an_order_of_somebody_else_stays_unknown(client) -> None:
    thread = (await client.threads.create())["thread_id"]
    values = await ask(client, thread, "What is the status of my order #W3390021?", MAYA)
    assert "delivered" not in str(values["messages"][1:]).lower()


async def test_what_is_none_of_our_business_is_declined(client) -> None:
    thread = (await client.threads.create())["thread_id"]
    values = await ask(client, thread, "Who won the football world cup in 1998?", {})
    assert values["request"]["out_of_scope"] is True
    assert values["citations"] == []


async def test_the_answer_streams_in_sentences_before_the_run_ends(client) -> None:
    thread = (await client.threads.create())["thread_id"]
    question = {"messages": [{"role": "user", "content": "How much is standard shipping?"}]}
    chunks, final = [], {}
    async for part in client.runs.stream(
        thread, "support", input=question, stream_mode=["messages-tuple", "values"]
    ):
        if part.event == "messages" and part.data[0]["type"] == "AIMessageChunk":
            chunks.append(part.data[0])
        elif part.event == "values":
            final = part.data
    assert chunks
    assert {chunk["id"] for chunk in chunks} == {final["messages"][-1]["id"]}
    assert "".join(chunk["content"] for chunk in chunks).strip() == final["messages"][-1]["content"]


async def test_a_cancellation_asks_is_resumed_after_a_kill_and_happens_once(
    desk: Desk, client: LangGraphClient
) -> None:
    thread = (await client.threads.create())["thread_id"]
    await ask(client, thread, "What is the status of my order #W4820013?", MAYA)
    asked = await ask(client, thread, f"Please cancel order {PENDING}, I no longer need it.", MAYA)
    assert (await client.threads.get(thread))["status"] == "interrupted"
    action = asked["__interrupt__"][0]["value"]["actions"][0]
    assert action["tool"] == "cancel_order"
    assert PENDING in action["text"]
    assert await order_status(desk, PENDING) == "pending"
    before = await client.threads.get_history(thread, limit=100)

    desk.kill()
    await asyncio.to_thread(desk.start)

    assert await client.threads.get_history(thread, limit=100) == before
    done = await client.runs.wait(thread, "support", command={"resume": "yes"}, context=MAYA)
    assert [receipt["tool"] for receipt in done["effects"]] == ["cancel_order"]
    assert "__interrupt__" not in done
    assert await order_status(desk, PENDING) == "cancelled"
    assert await effects(desk, thread) == 1
    again = await ask(client, thread, "yes", MAYA)
    assert len(again["effects"]) == 1
    assert await effects(desk, thread) == 1


async def test_an_api_without_slots_and_a_worker_answer_together(desk: Desk) -> None:
    await asyncio.to_thread(desk.stop)
    desk.env["FRONTDESK_ROLE"] = "api"
    worker = subprocess.Popen(
        [sys.executable, "-m", "server", "worker"], env=desk.env, cwd=desk.folder
    )
    try:
        await asyncio.to_thread(desk.start)
        async with get_client(url=desk.url, timeout=60) as client:
            thread = (await client.threads.create())["thread_id"]
            values = await ask(client, thread, "What is the status of my order #W4820013?", MAYA)
        assert "processed" in values["messages"][-1]["content"].lower()
    finally:
        worker.terminate()
        worker.wait(30)
        desk.env["FRONTDESK_ROLE"] = "all"
        await asyncio.to_thread(desk.stop)
        await asyncio.to_thread(desk.start)


async def test_production_refuses_unsafe_defaults_and_a_request_without_a_key(
    desk: Desk, tmp_path: Path
) -> None:
    production = Desk(tmp_path)
    production.env |= {"FRONTDESK_ENV": "production"}
    refused = subprocess.run(
        [sys.executable, "-m", "server", "serve"], env=production.env, cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert refused.returncode == 1
    for variable in ("DATABASE_URL", "REDIS_URL", "FRONTDESK_DEMO"):
        assert variable in refused.stderr

    settings = Settings(_env_file=None, data=desk.folder)
    async with open_servers(settings) as servers:
        if servers.redis_url is None:
            pytest.skip("no redis-server: production needs one")
        production.env |= {
            "DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url,
            "FRONTDESK_DEMO": "false", "FRONTDESK_API_KEYS": "acme:trusted:s3cret-s3cret",
        }  # fmt: skip
        await asyncio.to_thread(production.start)
        try:
            async with httpx.AsyncClient(base_url=production.url) as http:
                body: dict[str, object] = {}
                assert (await http.post("/threads", json=body)).status_code == 401
                wrong = {"x-api-key": "guess"}
                assert (await http.post("/threads", json=body, headers=wrong)).status_code == 401
                right = {"authorization": "Bearer s3cret-s3cret"}
                assert (await http.post("/threads", json=body, headers=right)).status_code == 200
        finally:
            await asyncio.to_thread(production.stop)


def command(desk: Desk, *args: str, answer: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "server", *args], env=desk.env | {"FRONTDESK_URL": desk.url},
        cwd=desk.folder, input=answer, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


async def test_the_command_line_streams_cites_and_asks_before_a_change(desk: Desk) -> None:
    said = await asyncio.to_thread(command, desk, "ask", "How much is standard shipping?")
    assert "[shipping" in said
    cancel = "Please cancel order #W1943071, I ordered it by mistake."
    speaking_for = ("--customer", "amara_diallo_1943")
    said = await asyncio.to_thread(command, desk, "ask", *speaking_for, cancel, answer="yes\n")
    assert "Please confirm" in said
    assert "Done" in said
    assert await order_status(desk, "#W1943071") == "cancelled"


async def test_own_documents_and_customers_are_loaded_beside_a_running_server(
    desk: Desk, client: LangGraphClient, tmp_path: Path
) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    text = "# Lending umbrellas\n\nWe lend umbrellas at the door; the deposit for one is $77.50.\n"
    (folder / "lending-umbrellas.md").write_text(text)
    (folder / "broken.pdf").write_bytes(b"not a pdf")
    said = await asyncio.to_thread(command, desk, "ingest", str(folder))
    assert "broken.pdf" in said
    thread = (await client.threads.create())["thread_id"]
    values = await ask(
        client, thread, "How does lending umbrellas work, and what is the deposit?", {}
    )
    assert "77.50" in values["messages"][-1]["content"]

    new = company(seed=3)
    user = next(iter(new["users"].values()))
    (tmp_path / "shop.json").write_text(json.dumps(new))
    await asyncio.to_thread(command, desk, "crm", "import", str(tmp_path / "shop.json"))
    query = "select count(*) from crm.customers where id = %s"
    assert (await row(desk, query, user["user_id"]))[0] == 1


def test_without_a_server_the_command_says_what_to_do(desk: Desk) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server", "ask", "hi", "--url", "http://127.0.0.1:9"],
        env=desk.env, cwd=desk.folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "make serve" in done.stderr
    assert "Traceback" not in done.stderr


async def order_status(desk: Desk, order_id: str) -> str:
    return (await row(desk, "select status from crm.orders where id = %s", order_id))[0]


async def effects(desk: Desk, thread: str) -> int:
    query = "select count(*) from frontdesk.effects where thread_id = %s"
    return (await row(desk, query, thread))[0]


async def row(desk: Desk, query: str, *values: object) -> tuple:
    async with (
        open_servers(Settings(_env_file=None, data=desk.folder)) as servers,
        await psycopg.AsyncConnection.connect(servers.database_url) as conn,
    ):
        found = await (await conn.execute(query, values)).fetchone()
        assert found is not None
        return found
