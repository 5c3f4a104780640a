import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from engine.settings import Settings
from server.app import create_app
from tests.api.project.graphs import REPLY
from tests.fakes.serving import sample_graphs, serving

SLOW = {"mode": "slow", "secs": 0.6}
STUCK = {"mode": "slow", "secs": 30}
HELLO = {"messages": [{"role": "user", "content": "hi"}]}


async def started(client: LangGraphClient, tid: str, how: dict[str, Any] = STUCK) -> str:
    """The id of a run of `work` that has begun to be slow."""
    run: Any = await client.runs.create(tid, "work", input=how)
    async with asyncio.timeout(10):
        while "slow" not in (await client.threads.get_state(tid))["next"]:
            await asyncio.sleep(0.01)
    return str(run["run_id"])


async def test_a_run_that_interrupts_is_a_success_on_an_interrupted_thread(
    client: LangGraphClient, tid: str
) -> None:
    values = await client.runs.wait(tid, "approval", input={"topic": "cats"})
    (waiting,) = values["__interrupt__"]
    assert waiting["value"] == {"question": "approve?", "draft": "draft about cats"}
    assert waiting["response_schema"] is None
    assert (await client.runs.list(tid))[0]["status"] == "success"
    thread = await client.threads.get(tid)
    assert thread["status"] == "interrupted"
    ((pending,),) = thread["interrupts"].values()
    assert pending == {"id": waiting["id"], "value": waiting["value"]}


async def test_resuming_answers_the_interrupt(client: LangGraphClient, tid: str) -> None:
    await client.runs.wait(tid, "approval", input={"topic": "cats"})
    values = await client.runs.wait(tid, "approval", command={"resume": "yes"})
    assert values["log"] == ["write_draft", "human:yes", "publish"]
    assert (await client.threads.get(tid))["status"] == "idle"


async def test_an_interrupt_can_be_answered_by_its_id(client: LangGraphClient, tid: str) -> None:
    values = await client.runs.wait(tid, "approval", input={"topic": "cats"})
    answer = {values["__interrupt__"][0]["id"]: "no"}
    values = await client.runs.wait(tid, "approval", command={"resume": answer})
    assert values["log"][1] == "human:no"


async def test_a_command_may_update_and_go_elsewhere(client: LangGraphClient, tid: str) -> None:
    await client.runs.wait(tid, "approval", input={"topic": "cats"})
    command: Any = {"update": {"log": ["jumped"]}, "goto": "publish"}
    values = await client.runs.wait(tid, "approval", command=command, input={})
    assert values["log"] == ["write_draft", "jumped", "publish"]
    assert (await client.threads.get(tid))["status"] == "interrupted"


async def test_an_error_is_told_in_a_body_that_says_200(client: LangGraphClient, tid: str) -> None:
    result: Any = await client.runs.wait(tid, "work", input={"mode": "boom"}, raise_error=False)
    error = {"error": "ValueError", "message": "boom: this node always raises"}
    assert result == {"__error__": error}
    thread = await client.threads.get(tid)
    assert (thread["status"], thread["error"]) == ("error", error)
    with pytest.raises(Exception, match="boom"):
        await client.runs.wait(tid, "work", input={"mode": "boom"})


async def test_messages_of_unexpected_errors_are_masked(client: LangGraphClient, tid: str) -> None:
    result: Any = await client.runs.wait(tid, "work", input={"mode": "zero"}, raise_error=False)
    masked = {"error": "ZeroDivisionError", "message": "An internal error occurred"}
    assert result["__error__"] == masked
    (task,) = (await client.threads.get_state(tid))["tasks"]
    assert task["error"] == "ZeroDivisionError('integer division or modulo by zero')"


async def test_a_later_run_clears_the_error(client: LangGraphClient, tid: str) -> None:
    await client.runs.wait(tid, "work", input={"mode": "boom"}, raise_error=False)
    await client.runs.wait(tid, "work", input={"mode": "done"})
    thread = await client.threads.get(tid)
    assert (thread["status"], thread["error"]) == ("idle", None)


async def test_a_wait_tells_where_to_join_before_it_is_over(
    raw: httpx.AsyncClient, tid: str
) -> None:
    body = {"assistant_id": "work", "input": {"mode": "done"}}
    response = await raw.post(f"/threads/{tid}/runs/wait", json=body)
    location = response.headers["content-location"]
    assert location.startswith(f"/threads/{tid}/runs/")
    assert response.headers["location"] == f"{location}/join"
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"mode": "done", "steps": ["prep", "done"]}


async def test_clients_learn_the_run_id_from_a_header(client: LangGraphClient, tid: str) -> None:
    seen: list[Any] = []
    asked: Any = {"input": HELLO, "on_run_created": seen.append}
    run: Any = await client.runs.create(tid, "chat", **asked)
    await client.runs.wait(tid, "chat", **asked)
    async for _ in client.runs.stream(tid, "chat", **asked):
        pass
    assert seen[0]["run_id"] == run["run_id"]
    assert [one["thread_id"] for one in seen] == [tid] * 3


async def test_joining_a_live_run_returns_its_values(client: LangGraphClient, tid: str) -> None:
    run_id = await started(client, tid, SLOW)
    assert (await client.runs.join(tid, run_id))["steps"] == ["prep", "slow", "done"]


async def test_joining_a_finished_run_returns_what_it_left(
    client: LangGraphClient, tid: str
) -> None:
    run: Any = await client.runs.create(tid, "approval", input={"topic": "x"})
    live = await client.runs.join(tid, run["run_id"])
    late = await client.runs.join(tid, run["run_id"])
    assert set(late) == {"__interrupt__"}
    assert set(late["__interrupt__"][0]) == {"id", "value"}
    assert live["__interrupt__"][0]["id"] == late["__interrupt__"][0]["id"]


async def test_joining_a_missing_run_is_no_http_error(client: LangGraphClient, tid: str) -> None:
    missing = str(uuid4())
    result: Any = await client.runs.join(tid, missing)
    assert result["__error__"] == {"error": "HTTPException", "message": "404: Run not found"}
    (part,) = [part async for part in client.runs.join_stream(tid, missing)]
    assert part.event == "error"
    with pytest.raises(NotFoundError):
        await client.runs.get(tid, missing)


async def test_a_cancelled_run_is_interrupted_and_cannot_be_cancelled_again(
    client: LangGraphClient, tid: str
) -> None:
    run_id = await started(client, tid)
    await client.runs.cancel(tid, run_id, wait=True)
    assert (await client.runs.get(tid, run_id))["status"] == "interrupted"
    thread = await client.threads.get(tid)
    assert thread["status"] == "interrupted"
    assert thread["error"]["error"] == "UserInterrupt"
    with pytest.raises(NotFoundError):
        await client.runs.cancel(tid, run_id)


async def test_cancelling_answers_202_and_ends_streams_in_silence(
    client: LangGraphClient, raw: httpx.AsyncClient, tid: str
) -> None:
    run_id = await started(client, tid)

    async def follow() -> list[str]:
        return [part.event async for part in client.runs.join_stream(tid, run_id)]

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.1)
    response = await raw.post(f"/threads/{tid}/runs/{run_id}/cancel")
    assert (response.status_code, response.content) == (202, b"")
    assert await asyncio.wait_for(following, 30) == []


async def test_rolling_back_removes_the_run_and_what_it_wrote(
    client: LangGraphClient, tid: str
) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"})
    before = await client.threads.get_history(tid)
    run_id = await started(client, tid)
    await client.runs.cancel(tid, run_id, wait=True, action="rollback")
    with pytest.raises(NotFoundError):
        await client.runs.get(tid, run_id)
    assert await client.threads.get_history(tid) == before
    thread = await client.threads.get(tid)
    assert (thread["status"], thread["error"]["error"]) == ("idle", "UserRollback")


async def test_a_pending_run_can_be_cancelled(client: LangGraphClient, tid: str) -> None:
    run: Any = await client.runs.create(tid, "work", input=SLOW, after_seconds=60)
    assert (await client.threads.get(tid))["status"] == "busy"
    await client.runs.cancel(tid, run["run_id"])
    assert (await client.runs.get(tid, run["run_id"]))["status"] == "interrupted"
    assert (await client.threads.get(tid))["status"] == "idle"


async def test_a_delayed_run_starts_when_it_is_due(client: LangGraphClient, tid: str) -> None:
    values = await client.runs.wait(tid, "work", input={"mode": "done"}, after_seconds=1)
    assert values["steps"] == ["prep", "done"]


async def test_a_second_run_waits_for_the_first(client: LangGraphClient, tid: str) -> None:
    await started(client, tid, SLOW)
    values = await client.runs.wait(tid, "work", input={"mode": "done"})
    assert values["steps"] == ["prep", "slow", "done", "prep", "done"]
    assert [run["status"] for run in await client.runs.list(tid)] == ["success", "success"]


async def test_a_second_run_may_be_rejected(client: LangGraphClient, tid: str) -> None:
    run_id = await started(client, tid)
    with pytest.raises(ConflictError, match="already running a task"):
        await client.runs.create(tid, "work", input=SLOW, multitask_strategy="reject")
    await client.runs.cancel(tid, run_id)


async def test_a_second_run_may_interrupt_the_first(client: LangGraphClient, tid: str) -> None:
    first = await started(client, tid)
    asked: Any = {"input": {"mode": "done"}, "multitask_strategy": "interrupt"}
    run: Any = await client.runs.create(tid, "work", **asked)
    assert (await client.runs.get(tid, first))["status"] == "interrupted"
    values = await client.runs.join(tid, run["run_id"])
    assert values["steps"] == ["prep", "prep", "done"]


async def test_a_second_run_may_roll_the_first_back(client: LangGraphClient, tid: str) -> None:
    first = await started(client, tid)
    asked: Any = {"input": {"mode": "done"}, "multitask_strategy": "rollback"}
    run: Any = await client.runs.create(tid, "work", **asked)
    with pytest.raises(NotFoundError):
        await client.runs.get(tid, first)
    values = await client.runs.join(tid, run["run_id"])
    assert values["steps"] == ["prep", "done"]
    assert len(await client.runs.list(tid)) == 1
    history = await client.threads.get_history(tid, limit=50)
    assert {state["metadata"]["run_id"] for state in history} == {run["run_id"]}


async def test_values_of_a_thread_appear_when_its_run_ends(
    client: LangGraphClient, tid: str
) -> None:
    run_id = await started(client, tid, SLOW)
    thread = await client.threads.get(tid)
    assert (thread["status"], thread["values"]) == ("busy", None)
    await client.runs.join(tid, run_id)
    thread = await client.threads.get(tid)
    assert thread["values"]["steps"] == ["prep", "slow", "done"]


async def test_a_run_may_make_its_thread(client: LangGraphClient) -> None:
    tid = str(uuid4())
    with pytest.raises(NotFoundError, match="Thread or assistant not found"):
        await client.runs.create(tid, "work", input={})
    await client.runs.wait(tid, "work", input={"mode": "done"}, if_not_exists="create")
    assert (await client.threads.get(tid))["metadata"]["graph_id"] == "work"


async def test_unknown_graphs_and_assistants_differ(client: LangGraphClient, tid: str) -> None:
    with pytest.raises(UnprocessableEntityError, match="Invalid assistant: 'nope'"):
        await client.runs.create(tid, "nope", input={})
    with pytest.raises(NotFoundError, match="Thread or assistant not found"):
        await client.runs.create(tid, str(uuid4()), input={})


@pytest.mark.parametrize(
    "wrong",
    [
        {"stream_mode": "bogus"},
        {"stream_mode": ["values", "bogus"]},
        {"multitask_strategy": "bogus"},
        {"checkpoint_id": "abc"},
        {"config": 1},
        {"config": {"configurable": 1}},
        {"config": {"recursion_limit": 0}},
        {"checkpoint": {"checkpoint_id": 1}},
        {"command": {"goto": {"input": 1}}},
        {"command": {"goto": [{"node": "done", "input": {}}, "done"]}},
        {"feedback_keys": "useful"},
        {"after_seconds": 1e300},
        {"webhook": "/hook"},
        {"webhook": "ftp://example.com/hook"},
        {"webhook": "http://127.0.0.1:1/hook"},
        {"webhook": "http://[::ffff:10.0.0.1]/hook"},
        {"assistant_id": None},
        {"context": {"pace": "quick"}},
    ],
    ids=str,
)
async def test_a_wrong_request_changes_nothing(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str, wrong: dict[str, Any]
) -> None:
    run: Any = await client.runs.create(tid, "work", input=SLOW, after_seconds=60)
    body = {"assistant_id": "work", "input": {}, "multitask_strategy": "rollback", **wrong}
    response = await raw.post(f"/threads/{tid}/runs", json=body)
    assert response.status_code == 422
    assert isinstance(response.json()["detail"], str)
    assert await client.runs.list(tid) == [run]


async def test_nulls_and_unknown_fields_are_accepted(raw: httpx.AsyncClient, tid: str) -> None:
    body = {
        "assistant_id": "work",
        "input": {"mode": "done"},
        "stream_mode": None,
        "multitask_strategy": None,
        "checkpoint": None,
        "config": None,
        "surprise": 1,
    }
    response = await raw.post(f"/threads/{tid}/runs/wait", json=body)
    assert response.json()["steps"] == ["prep", "done"]


async def test_context_and_configurable_mirror_each_other(
    client: LangGraphClient, raw: httpx.AsyncClient, tid: str
) -> None:
    body = {"assistant_id": "work", "context": {"pace": 3}, "config": {"configurable": {"a": 1}}}
    response = await raw.post(f"/threads/{tid}/runs", json=body)
    assert response.status_code == 400
    asked: Any = {"config": {"configurable": {"pace": 3}, "recursion_limit": 9}}
    run: Any = await client.runs.create(tid, "work", input={"mode": "done"}, **asked)
    assert run["kwargs"]["context"] == {"pace": 3}
    assert run["kwargs"]["config"]["recursion_limit"] == 9
    run = await client.runs.create(tid, "work", input={"mode": "done"}, context={"pace": 4})
    assert run["kwargs"]["config"]["configurable"]["pace"] == 4


async def test_a_command_may_send_an_input_to_a_node(client: LangGraphClient, tid: str) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"})
    command: Any = {"goto": [{"node": "done", "input": {}}], "update": [["mode", "child"]]}
    values: Any = await client.runs.wait(tid, "work", command=command)
    assert values == {"mode": "child", "steps": ["prep", "done", "done"]}
    command = {"goto": ["done", "prep"], "update": {"mode": "done"}}
    values = await client.runs.wait(tid, "work", command=command)
    assert sorted(values["steps"][3:]) == ["done", "done", "prep"]


async def test_a_run_stops_before_and_after_nodes(client: LangGraphClient, tid: str) -> None:
    asked: Any = {"input": {"mode": "child"}, "interrupt_before": ["child"]}
    assert "__interrupt__" not in await client.runs.wait(tid, "work", **asked)
    thread = await client.threads.get(tid)
    assert (thread["status"], thread["interrupts"]) == ("interrupted", {})
    values = await client.runs.wait(tid, "work", input=None, interrupt_after="*")
    assert values["steps"][-1] == "sub_b"
    values = await client.runs.wait(tid, "work", input=None)
    assert values["steps"][-1] == "done"


async def test_nothing_to_continue_is_the_runs_error(client: LangGraphClient, tid: str) -> None:
    result: Any = await client.runs.wait(tid, "work", input=None, raise_error=False)
    assert result["__error__"]["error"] == "EmptyInputError"


async def test_exit_durability_stores_the_last_checkpoint_only(
    client: LangGraphClient, tid: str
) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"}, durability="exit")
    assert len(await client.threads.get_history(tid)) == 1


async def test_a_run_goes_on_from_an_older_checkpoint(client: LangGraphClient, tid: str) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"})
    prepared: Any = next(
        state for state in await client.threads.get_history(tid) if state["next"] == ["done"]
    )
    asked: Any = {"input": None, "checkpoint": prepared["checkpoint"]}
    values = await client.runs.wait(tid, "work", **asked)
    assert values["steps"] == ["prep", "done"]
    (head,) = await client.threads.get_history(tid, limit=1)
    assert head["parent_checkpoint"] is not None
    asked = {"input": None, "checkpoint_id": prepared["checkpoint"]["checkpoint_id"]}
    assert (await client.runs.wait(tid, "work", **asked))["steps"] == ["prep", "done"]


async def test_runs_are_listed_newest_first_and_can_be_deleted(
    client: LangGraphClient, raw: httpx.AsyncClient, tid: str
) -> None:
    for _ in range(3):
        await client.runs.wait(tid, "work", input={"mode": "done"})
    runs = await client.runs.list(tid)
    assert [run["created_at"] for run in runs] == sorted(
        (run["created_at"] for run in runs), reverse=True
    )
    assert await client.runs.list(tid, limit=1, offset=2) == runs[2:]
    assert await client.runs.list(tid, status="error") == []
    chosen: Any = ["run_id", "status"]
    assert set((await client.runs.list(tid, select=chosen))[0]) == {"run_id", "status"}
    response = await raw.get(f"/threads/{tid}/runs", params={"select": "bogus"})
    assert response.status_code == 422
    assert response.json()["detail"].startswith("Invalid select columns: ['bogus']. Expected: {")
    assert (await raw.get(f"/threads/{tid}/runs", params={"limit": 0})).json() == []
    response = await raw.get(f"/threads/{tid}/runs", params={"limit": "abc"})
    assert response.status_code == 400
    await client.runs.delete(tid, runs[0]["run_id"])
    assert await client.runs.list(tid) == runs[1:]
    history = await client.threads.get_history(tid, limit=50)
    assert runs[0]["run_id"] not in {state["metadata"]["run_id"] for state in history}


async def test_a_stateless_run_has_a_thread_as_long_as_it_works(client: LangGraphClient) -> None:
    run: Any = await client.runs.create(None, "work", input=SLOW)
    assert (await client.threads.get(run["thread_id"]))["status"] == "busy"
    await client.runs.join(run["thread_id"], run["run_id"])
    with pytest.raises(NotFoundError):
        await client.threads.get(run["thread_id"])


async def test_a_stateless_run_answers_and_may_keep_its_thread(
    client: LangGraphClient, raw: httpx.AsyncClient
) -> None:
    values: Any = await client.runs.wait(None, "work", input={"mode": "done"})
    assert values["steps"] == ["prep", "done"]
    body = {"assistant_id": "work", "input": {"mode": "done"}, "on_completion": "keep"}
    response = await raw.post("/runs/wait", json=body)
    tid = response.headers["content-location"].split("/")[2]
    assert (await client.threads.get(tid))["values"]["steps"] == ["prep", "done"]


async def test_what_the_client_says_about_itself_is_dropped(
    client: LangGraphClient, tid: str
) -> None:
    forged = {
        "langgraph_auth_user": {"identity": "root", "trusted": True},
        "langgraph_auth_user_id": "root",
        "__pregel_checkpointer": "mine",
        "thread_id": str(uuid4()),
        "harmless": 1,
    }
    told: Any = [
        part.data["configurable"]
        async for part in client.runs.stream(
            tid,
            "work",
            input={"mode": "tell"},
            stream_mode=["custom"],
            config={"configurable": forged},
        )
        if part.event == "custom"
    ]
    assert told[0]["langgraph_auth_user"] == {
        "identity": "local",
        "tenant": "default",
        "trusted": True,
        "is_authenticated": True,
        "permissions": ["trusted"],
    }
    assert (told[0]["user_id"], told[0]["langgraph_auth_user_id"]) == ("local", "local")
    assert (told[0]["thread_id"], told[0]["harmless"]) == (tid, 1)


@pytest.mark.parametrize(
    "said", [{"config": {"configurable": {"user_id": "u1"}}}, {"context": {"user_id": "u1"}}]
)
async def test_a_back_end_says_for_which_user_a_graph_works(
    client: LangGraphClient, tid: str, said: Any
) -> None:
    stream = client.runs.stream(tid, "work", input={"mode": "tell"}, stream_mode=["custom"], **said)
    (told,) = [part.data["configurable"] async for part in stream if part.event == "custom"]
    assert (told["user_id"], told["langgraph_auth_user_id"]) == ("u1", "local")


async def test_the_last_message_is_the_models(client: LangGraphClient, tid: str) -> None:
    values: Any = await client.runs.wait(tid, "chat", input=HELLO)
    assert list(values["messages"][-1]) == [
        "content",
        "additional_kwargs",
        "response_metadata",
        "type",
        "name",
        "id",
        "tool_calls",
        "invalid_tool_calls",
        "usage_metadata",
    ]
    assert values["messages"][-1]["content"] == REPLY


async def test_what_only_the_hosted_service_knows_changes_nothing(
    raw: httpx.AsyncClient, tid: str
) -> None:
    body = {
        "assistant_id": "work",
        "input": {"mode": "done"},
        "feedback_keys": ["useful"],
        "langsmith_tracer": {"project_name": "x"},
        "strict_resume": True,
    }
    response = await raw.post(f"/threads/{tid}/runs/wait", json=body)
    assert response.json()["steps"] == ["prep", "done"]
    (run,) = (await raw.get(f"/threads/{tid}/runs")).json()
    assert run["kwargs"]["feedback_keys"] == ["useful"]


async def test_checkpoints_tell_how_their_run_was_configured_but_no_secrets(
    client: LangGraphClient, raw: httpx.AsyncClient, tid: str
) -> None:
    configurable = {"colour": "red", "n": 3, "api_key": "k-123", "nested": {"x": 1}}
    body = {
        "assistant_id": "work",
        "input": {"mode": "child"},
        "metadata": {"own": 1},
        "config": {"configurable": configurable, "metadata": {"more": 2}},
    }
    sent = {"x-request-id": "request-7"}
    await raw.post(f"/threads/{tid}/runs/wait", json=body, headers=sent)
    metadata: Any = (await client.threads.get_state(tid))["metadata"]
    assert {key: metadata[key] for key in ("colour", "n", "own", "more")} == {
        "colour": "red",
        "n": 3,
        "own": 1,
        "more": 2,
    }
    assert metadata["langgraph_request_id"] == "request-7"
    assert not {"api_key", "nested", "__metadata_keys"} & set(metadata)


async def test_a_thread_that_a_run_makes_has_the_runs_metadata(client: LangGraphClient) -> None:
    tid = str(uuid4())
    asked: Any = {"input": {"mode": "done"}, "metadata": {"origin": "widget"}}
    await client.runs.wait(tid, "work", if_not_exists="create", **asked)
    await client.runs.wait(tid, "work", if_not_exists="create", input={}, metadata={"origin": "x"})
    metadata = (await client.threads.get(tid))["metadata"] or {}
    assert metadata["origin"] == "widget"


async def test_a_missing_run_is_told_apart_from_a_missing_thread(
    raw: httpx.AsyncClient, tid: str
) -> None:
    other = str(uuid4())
    answers = {
        f"/threads/{tid}/runs/{other}": "Not Found",
        f"/threads/{other}/runs/{tid}": f"Thread with ID {other} not found",
    }
    for path, detail in answers.items():
        response = await raw.get(path)
        assert (response.status_code, response.json()) == (404, {"detail": detail})
    for path in (f"/threads/{tid}/runs/{other}", f"/threads/{other}/runs/{tid}"):
        response = await raw.post(f"{path}/cancel")
        assert (response.status_code, response.json()["detail"]) == (
            404,
            "No runs found to cancel.",
        )
    response = await raw.delete(f"/threads/{tid}/runs/{other}")
    assert (response.status_code, response.json()) == (404, {"detail": "Run not found"})


async def test_a_cancel_that_waits_says_where_to_join(
    client: LangGraphClient, raw: httpx.AsyncClient, tid: str
) -> None:
    run_id = await started(client, tid)
    path = f"/threads/{tid}/runs/{run_id}"
    response = await raw.post(f"{path}/cancel", params={"wait": "1", "reason": "impatience"})
    assert (response.status_code, response.json()) == (200, {})
    assert response.headers["location"] == f"{path}/join"
    assert response.headers["content-location"] == path


async def test_a_run_that_takes_too_long_ends_as_timeout(
    served_settings: Settings,
) -> None:
    settings = served_settings.model_copy(update={"run_seconds": 0.3})
    async with serving(create_app(settings, sample_graphs)) as url, get_client(url=url) as client:
        thread: Any = await client.threads.create()
        tid = thread["thread_id"]
        parts = [part async for part in client.runs.stream(tid, "work", input=STUCK)]
        assert {part.event for part in parts} == {"metadata", "values"}
        assert [run["status"] for run in await client.runs.list(tid)] == ["timeout"]
        thread = await client.threads.get(tid)
    assert (thread["status"], thread["error"]) == (
        "error",
        {"error": "TimeoutError", "message": ""},
    )
    assert thread["values"]["steps"] == ["prep"]
