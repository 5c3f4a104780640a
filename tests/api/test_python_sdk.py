"""Every public method of the Python SDK's client, and its effect as another call reads it back."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

from engine.settings import Settings
from server.app import create_app
from tests.api.serving import project_graphs
from tests.fakes.serving import serving

CHAT = {"messages": [{"role": "user", "content": "hi"}]}
ANSWER = "Hello there dear user"
SYSTEM = "eb6db400-e3c8-5d06-a834-015cb89efe69"
NEVER = "0 9 1 1 *"
EXERCISED: set[str] = set()

Test = Callable[..., Awaitable[None]]


def exercises(*names: str) -> Callable[[Test], Test]:
    """The test asserts what these methods did, as another call tells it."""

    def register(test: Test) -> Test:
        EXERCISED.update(names)
        return test

    return register


@pytest.fixture(scope="session")
async def sdk_url(
    postgres_dsn: str, _redis_server: str | None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as admin:
        await admin.execute("create database sdk template frontdesk")
    settings = Settings(
        _env_file=None,
        database_url=postgres_dsn.replace("/postgres?", "/sdk?"),
        redis_url=_redis_server,
        data=tmp_path_factory.mktemp("sdk"),
        max_lag_seconds=30.0,
    )
    async with serving(create_app(settings, project_graphs)) as url:
        yield url


@pytest.fixture
async def client(sdk_url: str) -> AsyncIterator[Any]:
    async with get_client(url=sdk_url, timeout=30) as client:
        yield client


async def new_thread(client: Any, **fields: Any) -> str:
    return str((await client.threads.create(**fields))["thread_id"])


async def has_settled(client: Any, thread: str, run: str) -> None:
    async with asyncio.timeout(30):
        while (await client.runs.get(thread, run))["status"] in {"pending", "running"}:
            await asyncio.sleep(0.05)


def methods(part: Any) -> set[str]:
    found = inspect.getmembers(type(part), callable)
    return {name for name, _ in found if not name.startswith("_")}


def test_every_public_method_is_exercised() -> None:
    client = get_client(url="http://nowhere")
    public = {
        f"{part}.{name}"
        for part in ("assistants", "threads", "runs", "crons", "store")
        for name in methods(getattr(client, part))
    }
    assert {name for name in vars(LangGraphClient) if not name.startswith("_")} == {"aclose"}
    assert public - EXERCISED == set()
    stream = client.threads.stream(assistant_id="chat")
    told = {name for name in dir(stream) if not name.startswith("_")}
    handle = {f"stream.{name}" for name in told - {"run", "agent", "thread_id", "assistant_id"}}
    handle |= {f"stream.run.{name}" for name in methods(stream.run)}
    handle |= {f"stream.agent.{name}" for name in methods(stream.agent)}
    assert handle - EXERCISED == set()
    assert EXERCISED - public - handle == set()


@exercises("assistants.create", "assistants.get", "assistants.search", "assistants.count")
async def test_assistants_are_made_and_found(client: Any) -> None:
    tag = {"tag": str(uuid4())}
    made = await client.assistants.create(
        "chat", context={"reply": "yes"}, metadata=tag, name="One"
    )
    assert await client.assistants.get(made["assistant_id"]) == made
    assert await client.assistants.search(metadata=tag, name="on") == [made]
    page = await client.assistants.search(metadata=tag, response_format="object")
    assert (page["assistants"], page["next"]) == ([made], None)
    assert await client.assistants.count(metadata=tag, graph_id="chat") == 1
    said = await client.runs.wait(None, made["assistant_id"], input=CHAT)
    assert said["messages"][-1]["content"] == "yes"


@exercises("assistants.update", "assistants.get_versions", "assistants.set_latest")
async def test_assistants_have_versions(client: Any) -> None:
    made = (await client.assistants.create("chat", context={"reply": "one"}))["assistant_id"]
    await client.assistants.update(made, context={"reply": "two"}, name="Two")
    versions = await client.assistants.get_versions(made)
    assert [(one["version"], one["context"]["reply"]) for one in versions] == [
        (2, "two"),
        (1, "one"),
    ]
    await client.assistants.set_latest(made, 1)
    now = await client.assistants.get(made)
    assert (now["version"], now["context"], now["name"]) == (1, {"reply": "one"}, "Untitled")


@exercises("assistants.delete")
async def test_assistants_are_deleted(client: Any) -> None:
    made = (await client.assistants.create("chat"))["assistant_id"]
    thread = await new_thread(client)
    await client.runs.wait(thread, made, input=CHAT)
    await client.assistants.delete(made, delete_threads=True)
    for look in (client.assistants.get(made), client.threads.get(thread)):
        with pytest.raises(NotFoundError):
            await look


@exercises("assistants.get_graph", "assistants.get_schemas", "assistants.get_subgraphs")
async def test_assistants_are_drawn(client: Any) -> None:
    drawn = await client.assistants.get_graph("work", xray=True)
    assert {"prep", "child:sub_a"} <= {node["id"] for node in drawn["nodes"]}
    [work] = await client.assistants.search(graph_id="work", metadata={"created_by": "system"})
    schemas = await client.assistants.get_schemas(work["assistant_id"])
    assert "mode" in schemas["input_schema"]["properties"]
    inside = await client.assistants.get_subgraphs(work["assistant_id"], namespace="child")
    assert inside["child"]["state_schema"]["properties"].keys() >= {"steps"}


@exercises("threads.create", "threads.get", "threads.search", "threads.count", "threads.update")
async def test_threads_are_made_found_and_changed(client: Any) -> None:
    tag = str(uuid4())
    steps = [{"updates": [{"values": {"topic": "x"}, "as_node": "__input__"}]}]
    made = await client.threads.create(
        metadata={"tag": tag}, graph_id="approval", supersteps=steps, ttl=60
    )
    state = await client.threads.get_state(made["thread_id"])
    assert state["next"] == ["__start__"]
    kept = await client.threads.create(thread_id=made["thread_id"], if_exists="do_nothing")
    assert kept["thread_id"] == made["thread_id"]
    await client.threads.update(made["thread_id"], metadata={"more": 1})
    found = await client.threads.get(made["thread_id"], include=["ttl"])
    assert found["metadata"].items() >= {"tag": tag, "more": 1}.items()
    assert found["ttl"]["strategy"] == "delete"
    search = await client.threads.search(metadata={"tag": tag, "more": 1}, select=["thread_id"])
    assert search == [{"thread_id": made["thread_id"]}]
    assert await client.threads.count(metadata={"tag": tag}) == 1
    assert await client.threads.count(metadata={"tag": tag}, status="busy") == 0


@exercises("threads.delete", "threads.prune")
async def test_threads_are_deleted(client: Any) -> None:
    first, second = await new_thread(client), await new_thread(client)
    await client.threads.delete(first)
    assert await client.threads.prune([first, second]) == {"pruned_count": 1}
    for gone in (first, second):
        with pytest.raises(NotFoundError):
            await client.threads.get(gone)


@exercises("threads.copy")
async def test_threads_are_copied(client: Any) -> None:
    thread = await new_thread(client)
    await client.runs.wait(thread, "approval", input={"topic": "x"})
    copied = await client.threads.copy(thread)
    done = await client.runs.wait(copied["thread_id"], "approval", command={"resume": "yes"})
    assert done["log"] == ["write_draft", "human:yes", "publish"]
    assert (await client.threads.get_state(thread))["next"] == ["ask_human"]


@exercises("threads.get_state", "threads.update_state", "threads.get_history")
async def test_states_are_read_and_written(client: Any) -> None:
    thread = await new_thread(client)
    await client.runs.wait(thread, "approval", input={"topic": "x"})
    wrote = await client.threads.update_state(thread, {"draft": "mine"}, as_node="write_draft")
    head = await client.threads.get_state(thread)
    assert head["checkpoint"] == wrote["checkpoint"]
    assert head["values"]["draft"] == "mine"
    history = await client.threads.get_history(thread, limit=2)
    assert history[0]["checkpoint"] == wrote["checkpoint"]
    earlier = await client.threads.get_state(thread, checkpoint=history[1]["checkpoint"])
    assert earlier["values"]["draft"] == "draft about x"
    again = await client.threads.get_history(thread, before=history[0]["checkpoint"])
    assert again[0]["checkpoint"] == history[1]["checkpoint"]


@exercises("threads.join_stream")
async def test_threads_are_followed(client: Any) -> None:
    thread = await new_thread(client)
    run = await client.runs.create(thread, "chat", input=CHAT, stream_resumable=True)
    seen = []
    async for part in await client.threads.join_stream(thread, last_event_id="-"):
        seen.append(part)
        if part.event == "metadata" and part.data.get("status") == "run_done":
            break
    assert seen[-1].data["run_id"] == run["run_id"]
    assert (await client.runs.get(thread, run["run_id"]))["status"] == "success"
    [last] = [part.data for part in seen if part.event == "values"][-1:]
    assert last == (await client.threads.get_state(thread))["values"]


@exercises("runs.create", "runs.get", "runs.list", "runs.join")
async def test_runs_are_made_and_joined(client: Any) -> None:
    thread, told = await new_thread(client), []
    run = await client.runs.create(
        thread, "chat", input=CHAT, metadata={"m": 1}, on_run_created=told.append
    )
    assert told == [{"run_id": run["run_id"], "thread_id": thread}]
    values = await client.runs.join(thread, run["run_id"])
    assert values == (await client.threads.get_state(thread))["values"]
    found = await client.runs.get(thread, run["run_id"])
    assert (found["status"], found["metadata"]["m"]) == ("success", 1)
    assert await client.runs.list(thread, status="success") == [found]


@exercises("runs.create_batch")
async def test_runs_are_made_in_batches(client: Any) -> None:
    asked = {"assistant_id": "chat", "input": CHAT, "on_completion": "keep"}
    made = await client.runs.create_batch([asked, asked])
    assert len({run["thread_id"] for run in made}) == 2
    for run in made:
        await has_settled(client, run["thread_id"], run["run_id"])
        state = await client.threads.get_state(run["thread_id"])
        assert state["values"]["messages"][-1]["content"] == ANSWER


@exercises("runs.stream", "runs.join_stream")
async def test_runs_are_streamed_and_joined(client: Any) -> None:
    thread = await new_thread(client)
    modes = ["values", "messages-tuple"]
    live = [
        part
        async for part in client.runs.stream(
            thread, "chat", input=CHAT, stream_mode=modes, stream_resumable=True
        )
    ]
    tokens = [part.data[0]["content"] for part in live if part.event == "messages"]
    assert "".join(tokens) == ANSWER
    [run] = await client.runs.list(thread)
    joined = client.runs.join_stream(thread, run["run_id"], last_event_id="-1")
    assert [(part.event, part.id) async for part in joined] == [(one.event, one.id) for one in live]


@exercises("runs.wait")
async def test_runs_are_waited_for(client: Any) -> None:
    thread = await new_thread(client)
    values = await client.runs.wait(thread, "approval", input={"topic": "x"})
    state = await client.threads.get_state(thread)
    assert values.pop("__interrupt__")[0]["id"] == state["interrupts"][0]["id"]
    assert values == state["values"]
    with pytest.raises(Exception, match="ValueError: boom"):
        await client.runs.wait(thread, "work", input={"mode": "boom"})
    assert (await client.threads.get(thread))["status"] == "error"


@exercises("runs.cancel", "runs.cancel_many")
async def test_runs_are_cancelled(client: Any) -> None:
    for cancel in (
        lambda thread, run: client.runs.cancel(thread, run, wait=True),
        lambda thread, run: client.runs.cancel_many(thread_id=thread, run_ids=[run]),
    ):
        thread = await new_thread(client)
        run = await client.runs.create(thread, "work", input={"mode": "slow", "secs": 60})
        await cancel(thread, run["run_id"])
        await has_settled(client, thread, run["run_id"])
        assert (await client.runs.get(thread, run["run_id"]))["status"] == "interrupted"


@exercises("runs.delete")
async def test_runs_are_deleted(client: Any) -> None:
    thread = await new_thread(client)
    await client.runs.wait(thread, "chat", input=CHAT)
    [run] = await client.runs.list(thread)
    await client.runs.delete(thread, run["run_id"])
    assert await client.runs.list(thread) == []
    assert await client.threads.get_history(thread) == []


@exercises("crons.create", "crons.create_for_thread", "crons.search", "crons.count")
async def test_crons_are_made_and_found(client: Any) -> None:
    tag, thread = {"tag": str(uuid4())}, await new_thread(client)
    made = await client.crons.create("chat", schedule=NEVER, input=CHAT, metadata=tag)
    other = await client.crons.create_for_thread(
        thread, "chat", schedule=NEVER, input=CHAT, metadata=tag
    )
    found = await client.crons.search(metadata=tag, sort_by="created_at", sort_order="asc")
    assert found == [made, other]
    assert await client.crons.search(thread_id=thread) == [other]
    assert await client.crons.count(metadata=tag) == 2


@exercises("crons.update", "crons.delete")
async def test_crons_are_changed_and_deleted(client: Any) -> None:
    thread = await new_thread(client)
    made = await client.crons.create_for_thread(thread, "chat", schedule=NEVER, input=CHAT)
    await client.crons.update(made["cron_id"], schedule="* * * * * *")
    async with asyncio.timeout(30):
        while not (runs := await client.runs.list(thread)):
            await asyncio.sleep(0.1)
    assert runs[0]["assistant_id"] == SYSTEM
    await client.crons.delete(made["cron_id"])
    assert await client.crons.search(thread_id=thread) == []


@exercises("store.put_item", "store.get_item", "store.delete_item")
async def test_items_are_put_and_deleted(client: Any) -> None:
    root = str(uuid4())
    await client.store.put_item([root, "a"], "k", {"x": 1})
    item = await client.store.get_item([root, "a"], "k")
    assert (item["namespace"], item["value"]) == ([root, "a"], {"x": 1})
    await client.store.delete_item([root, "a"], "k")
    assert await client.store.get_item([root, "a"], "k") is None


@exercises("store.search_items", "store.list_namespaces")
async def test_items_are_searched(client: Any) -> None:
    root = str(uuid4())
    for name in ("a", "b"):
        await client.store.put_item([root, name], "k", {"name": name})
    found = await client.store.search_items([root], filter={"name": "b"})
    assert [one["value"] for one in found["items"]] == [{"name": "b"}]
    spaces = await client.store.list_namespaces([root])
    assert spaces["namespaces"] == [[root, "a"], [root, "b"]]


@exercises("stream.run.start", "stream.values", "stream.output", "stream.run.respond")
@exercises("threads.stream", "stream.interrupted", "stream.interrupts")
async def test_a_thread_stream_stops_at_an_interrupt_and_goes_on(client: Any) -> None:
    async with client.threads.stream(assistant_id="approval") as thread:
        await thread.run.start(input={"topic": "x"})
        seen = [values async for values in thread.values]
        assert seen[-1]["draft"] == "draft about x"
        assert thread.interrupted
        [waiting] = thread.interrupts
        state = await client.threads.get_state(thread.thread_id)
        assert waiting["interrupt_id"] == state["interrupts"][0]["id"]
        assert waiting["value"] == {"question": "approve?", "draft": "draft about x"}
        await thread.run.respond("yes")
        output = await thread.output
    state = await client.threads.get_state(thread.thread_id)
    assert output["log"] == state["values"]["log"] == ["write_draft", "human:yes", "publish"]


@exercises("stream.messages")
async def test_a_thread_stream_tells_messages(client: Any) -> None:
    async with client.threads.stream(assistant_id="chat") as thread:
        await thread.run.start(input=CHAT)
        messages = [message async for message in thread.messages]
        texts = ["".join([piece async for piece in message.text]) for message in messages]
    state = await client.threads.get_state(thread.thread_id)
    assert texts == [ANSWER] == [state["values"]["messages"][-1]["content"]]


@exercises("stream.tool_calls")
async def test_a_thread_stream_tells_tool_calls(client: Any) -> None:
    async with client.threads.stream(assistant_id="toolagent") as thread:
        await thread.run.start(input=CHAT)
        calls = [call async for call in thread.tool_calls]
    assert [(call.name, call.input) for call in calls] == [("add", {"a": 1, "b": 2})]
    state = await client.threads.get_state(thread.thread_id)
    assert state["values"]["messages"][2]["tool_call_id"] == calls[0].tool_call_id


@exercises("stream.subgraphs", "stream.subagents")
async def test_a_thread_stream_tells_subgraphs(client: Any) -> None:
    for name in ("subgraphs", "subagents"):
        async with client.threads.stream(assistant_id="work") as thread:
            await thread.run.start(input={"mode": "child"})
            found = [one async for one in getattr(thread, name)]
        assert [one.path[0].partition(":")[0] for one in found] == ["child"]
        state = await client.threads.get_state(thread.thread_id)
        assert "sub_a" in state["values"]["steps"]


@exercises("stream.events", "stream.subscribe", "stream.close")
async def test_a_thread_stream_tells_events(client: Any) -> None:
    async with client.threads.stream(assistant_id="chat") as thread:
        run = await thread.run.start(input=CHAT)
        await thread.output
        seen = []
        async for event in thread.events:
            seen.append(event)
            if event["params"]["data"].get("event") == "completed":
                break
        chosen = []
        async for event in thread.subscribe(["lifecycle"], namespaces=[[]], depth=0):
            chosen.append(event)
            if event["params"]["data"]["event"] == "completed":
                break
        told = [one["event_id"] for one in seen if one["method"] == "lifecycle"]
        assert [one["event_id"] for one in chosen] == told
        await thread.close()
        with pytest.raises(RuntimeError):
            await thread.agent.get_tree()
    assert (await client.runs.get(thread.thread_id, run["run_id"]))["status"] == "success"


@exercises("stream.interleave_projections")
async def test_a_thread_stream_interleaves(client: Any) -> None:
    async with client.threads.stream(assistant_id="chat") as thread:
        await thread.run.start(input=CHAT)
        channels = ["values", "messages"]
        found = [name async for name, _ in thread.interleave_projections(channels)]
    assert found.count("messages") == 1
    assert found.index("values") < found.index("messages") < len(found) - 1
    assert len((await client.threads.get_state(thread.thread_id))["values"]["messages"]) == 2


@exercises("stream.extensions")
async def test_a_thread_stream_tells_what_graphs_name(client: Any) -> None:
    async with client.threads.stream(assistant_id="work") as thread:
        progress = thread.extensions["progress"]
        await thread.run.start(input={"mode": "named"})
        assert [told async for told in progress] == [
            {"name": "progress", "payload": {"percent": 50}}
        ]
    state = await client.threads.get_state(thread.thread_id)
    assert state["values"]["steps"] == ["prep", "named", "done"]


@exercises("stream.agent.get_tree")
async def test_a_thread_stream_draws_its_graph(client: Any) -> None:
    async with client.threads.stream(assistant_id="work") as thread:
        tree = await thread.agent.get_tree()
    assert tree == await client.assistants.get_graph("work")


@exercises("stream.observe_applied_through_seq")
async def test_a_thread_stream_goes_on_after_a_number(client: Any) -> None:
    thread_id = str(uuid4())
    async with client.threads.stream(thread_id, assistant_id="chat") as thread:
        await thread.run.start(input=CHAT)
        await thread.output
        last = [event["seq"] async for event in _until_completed(thread.events)][-1]
    async with client.threads.stream(thread_id, assistant_id="chat") as thread:
        thread.observe_applied_through_seq(last)
        await thread.run.start(input=CHAT)
        await thread.output
        numbers = [event["seq"] async for event in _until_completed(thread.events, times=2)]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > last
    assert len((await client.threads.get_state(thread_id))["values"]["messages"]) == 4


async def _until_completed(events: Any, times: int = 1) -> AsyncIterator[Any]:
    async for event in events:
        yield event
        told = event["params"]
        if event["method"] == "lifecycle" and told["data"]["event"] == "completed":
            times -= not told["namespace"]
            if not times:
                return
