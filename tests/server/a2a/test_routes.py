"""Assistants as agents: the official client in both generations, and what it never sends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetExtendedAgentCardRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    Task,
    TaskState,
)
from a2a.utils.errors import (
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from google.protobuf.json_format import MessageToDict
from langgraph_sdk import Auth
from langgraph_sdk.client import LangGraphClient

from engine.ids import system_assistant_id
from engine.settings import Settings
from server.app import create_app
from server.auth.authentication import Door
from server.auth.handlers import Handlers
from tests.api.project.graphs import REPLY
from tests.fakes.serving import sample_graphs, serving

OBEDIENT = str(system_assistant_id("obedient"))
GENERATIONS = ("1.0", "0.3")
both = pytest.mark.parametrize("version", GENERATIONS)


@asynccontextmanager
async def agent(
    url: str, version: str, *, streaming: bool = False, polling: bool = False, **headers: str
) -> AsyncIterator[Client]:
    """The official client of the assistant, which speaks this version."""
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        card = await A2ACardResolver(http, f"{url}/a2a/{OBEDIENT}").get_agent_card()
        spoken = [one for one in card.supported_interfaces if one.protocol_version == version]
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(spoken)
        config = ClientConfig(streaming=streaming, polling=polling, httpx_client=http)
        yield ClientFactory(config).create(card)


def message(text: str, context: str = "", task: str = "", **more: Any) -> SendMessageRequest:
    return SendMessageRequest(
        message=Message(
            message_id=str(uuid4()),
            role=Role.ROLE_USER,
            parts=[Part(text=text)],
            context_id=context,
            task_id=task,
        ),
        **more,
    )


async def send(client: Client, request: SendMessageRequest) -> Task:
    [answer] = [one async for one in client.send_message(request)]
    return answer.task


async def rpc(raw: httpx.AsyncClient, method: str, agent_id: str = OBEDIENT, **params: Any) -> Any:
    asked = {"jsonrpc": "2.0", "id": "7", "method": method, "params": params}
    answer = await raw.post(f"/a2a/{agent_id}", json=asked)
    assert answer.status_code == 200
    assert answer.json()["id"] == "7"
    return answer.json()


def said(text: str = "hello", **more: Any) -> dict[str, Any]:
    parts = [{"kind": "text", "text": text}]
    return {"role": "user", "parts": parts, "messageId": str(uuid4()), **more}


def words(task: Task) -> list[tuple[str, str]]:
    return [(Role.Name(one.role), one.parts[0].text) for one in task.history]


@both
async def test_an_agent_answers(api: str, version: str) -> None:
    async with agent(api, version) as client:
        task = await send(client, message("hello"))
        again = await client.get_task(GetTaskRequest(id=task.id))
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert words(task) == [("ROLE_USER", "hello"), ("ROLE_AGENT", REPLY)]
    assert task.id.startswith(f"{task.context_id}:")
    assert task.artifacts[0].name == "Assistant Response"
    assert task.artifacts[0].parts[0].text == REPLY
    assert again == task


@both
async def test_an_answer_is_told_as_it_is_said(api: str, version: str) -> None:
    async with agent(api, version, streaming=True) as client:
        events = [one async for one in client.send_message(message("hello"))]
    first, *working, artifact, last = events
    assert first.task.status.state == TaskState.TASK_STATE_SUBMITTED
    assert words(first.task) == [("ROLE_USER", "hello")]
    told = [one.status_update.status for one in working]
    assert {one.state for one in told} == {TaskState.TASK_STATE_WORKING}
    texts = [one.message.parts[0].text for one in told]
    assert texts[-1] == REPLY
    assert texts == sorted(set(texts), key=len)
    assert artifact.artifact_update.artifact.parts[0].text == REPLY
    assert artifact.artifact_update.last_chunk
    assert last.status_update.status.state == TaskState.TASK_STATE_COMPLETED
    assert last.status_update.task_id == first.task.id


@both
async def test_a_task_that_asks_goes_on_with_the_answer(api: str, version: str) -> None:
    async with agent(api, version) as client:
        asking = await send(client, message("ask"))
        assert asking.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
        assert asking.status.message.parts[0].text == "approve?"
        asked = MessageToDict(asking.artifacts[0].parts[0])["data"]
        assert asked["value"] == {"question": "approve?"}
        answered = await send(client, message("yes", context=asking.context_id))
        seen = await client.get_task(GetTaskRequest(id=asking.id))
    assert answered.id == asking.id
    assert answered.status.state == TaskState.TASK_STATE_COMPLETED
    assert words(answered)[-1] == ("ROLE_AGENT", "they said yes")
    assert seen == answered


@both
async def test_a_question_ends_a_stream_and_the_answer_begins_another(
    api: str, version: str
) -> None:
    async with agent(api, version, streaming=True) as client:
        asking = [one async for one in client.send_message(message("ask"))]
        states = [_state(one) for one in asking]
        assert states == ["TASK_STATE_SUBMITTED", "", "TASK_STATE_INPUT_REQUIRED"]
        task = asking[0].task
        answer = message("no", context=task.context_id, task=task.id)
        answered = [one async for one in client.send_message(answer)]
    assert answered[0].task.id == task.id
    assert answered[-2].artifact_update.artifact.parts[0].text == "they said no"
    assert _state(answered[-1]) == "TASK_STATE_COMPLETED"


def _state(event: StreamResponse) -> str:
    match event.WhichOneof("payload"):
        case "task":
            return TaskState.Name(event.task.status.state)
        case "status_update":
            return TaskState.Name(event.status_update.status.state)
    return ""


@both
async def test_a_failing_graph_is_a_failed_task(api: str, version: str) -> None:
    async with agent(api, version) as client:
        task = await send(client, message("fail"))
    assert task.status.state == TaskState.TASK_STATE_FAILED
    assert task.status.message.parts[0].text.endswith("ValueError: failed as told")
    async with agent(api, version, streaming=True) as client:
        events = [one async for one in client.send_message(message("fail"))]
    assert [_state(one) for one in events] == ["TASK_STATE_SUBMITTED", "TASK_STATE_FAILED"]


@both
async def test_a_task_at_work_is_cancelled(api: str, version: str) -> None:
    async with agent(api, version, polling=True) as client:
        task = await send(client, message("wait"))
        assert task.status.state in {
            TaskState.TASK_STATE_SUBMITTED,
            TaskState.TASK_STATE_WORKING,
        }
        assert words(task) == [("ROLE_USER", "wait")]
        cancelled = await client.cancel_task(CancelTaskRequest(id=task.id))
        assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
        assert words(cancelled) == words(task)
        with pytest.raises(TaskNotCancelableError):
            await client.cancel_task(CancelTaskRequest(id=task.id))
        with pytest.raises(UnsupportedOperationError):
            await send(client, message("go on", task=task.id))
        with pytest.raises(TaskNotFoundError):
            await client.get_task(GetTaskRequest(id=f"{task.context_id}:{uuid4()}"))


@both
async def test_a_cancelled_stream_says_so(api: str, version: str) -> None:
    async with agent(api, version, streaming=True) as client:
        events: list[StreamResponse] = []
        async for event in client.send_message(message("wait")):
            events.append(event)
            if len(events) == 1:
                await client.cancel_task(CancelTaskRequest(id=event.task.id))
    assert [_state(one) for one in events] == ["TASK_STATE_SUBMITTED", "TASK_STATE_CANCELED"]


async def test_turns_of_a_context_are_tasks_of_their_own(api: str) -> None:
    scope = {"LangGraph-A2A-History-Scope": "task"}
    async with agent(api, "1.0") as client:
        first = await send(client, message("one"))
        second = await send(client, message("two", context=first.context_id))
        assert second.id != first.id
        whole = [text for _, text in words(second)]
        assert whole == ["one", REPLY, "two", REPLY]
        owners = [one.task_id for one in second.history]
        assert owners == [first.id, first.id, second.id, second.id]
        assert await client.get_task(GetTaskRequest(id=first.id)) == first
        short = await client.get_task(GetTaskRequest(id=second.id, history_length=1))
        assert words(short) == [("ROLE_AGENT", REPLY)]
        listed = await client.list_tasks(ListTasksRequest(context_id=first.context_id))
        assert [one.id for one in listed.tasks] == [second.id, first.id]
        assert listed.total_size == 2
        assert not listed.tasks[0].artifacts
    async with agent(api, "1.0", **scope) as client:
        own = await client.get_task(GetTaskRequest(id=second.id))
        assert words(own) == [("ROLE_USER", "two"), ("ROLE_AGENT", REPLY)]


async def test_tasks_are_listed_page_by_page(api: str) -> None:
    async with agent(api, "1.0") as client:
        done = await send(client, message("one"))
        asking = await send(client, message("ask"))
        page = await client.list_tasks(ListTasksRequest(page_size=1))
        assert page.tasks[0].id == asking.id
        page = await client.list_tasks(
            ListTasksRequest(page_size=1, page_token=page.next_page_token, include_artifacts=True)
        )
        assert page.tasks[0].id == done.id
        assert page.tasks[0].artifacts[0].parts[0].text == REPLY
        waiting = await client.list_tasks(
            ListTasksRequest(
                context_id=asking.context_id, status=TaskState.TASK_STATE_INPUT_REQUIRED
            )
        )
        assert [one.id for one in waiting.tasks] == [asking.id]


async def test_keys_see_only_what_they_may(api: str, guarded_api: str) -> None:
    async with agent(guarded_api, "1.0", **{"x-api-key": "widget-secret"}) as client:
        task = await send(client, message("hello"))
        with pytest.raises(Exception, match="403"):
            await client.list_tasks(ListTasksRequest())
    async with agent(guarded_api, "1.0", **{"x-api-key": "their-secret"}) as client:
        with pytest.raises(TaskNotFoundError):
            await client.get_task(GetTaskRequest(id=task.id))
        with pytest.raises(Exception, match="not found"):
            await send(client, message("hello", context=task.context_id))
    async with httpx.AsyncClient() as http:
        card = await http.get(f"{guarded_api}/a2a/{OBEDIENT}/.well-known/agent-card.json")
    assert card.status_code == 401


async def test_a_task_outlives_the_client(api: str, raw: httpx.AsyncClient) -> None:
    context = str(uuid4())
    asked = {"jsonrpc": "2.0", "id": 1, "method": "message/stream"}
    params = {"message": said("wait", contextId=context)}
    async with raw.stream("POST", f"/a2a/{OBEDIENT}", json={**asked, "params": params}) as answer:
        assert (await anext(answer.aiter_lines())) == "event: message"
    await asyncio.sleep(0.2)
    [run] = (await raw.get(f"/threads/{context}/runs")).json()
    assert run["status"] in {"pending", "running"}
    told = await rpc(raw, "tasks/cancel", id=f"{context}:{run['run_id']}")
    assert told["result"]["status"]["state"] == "canceled"


async def test_files_and_data_reach_the_graph(
    raw: httpx.AsyncClient, client: LangGraphClient
) -> None:
    file = {"kind": "file", "file": {"uri": "https://example.org/a.png", "mimeType": "image/png"}}
    parts = [{"kind": "text", "text": "see"}, file]
    told = (await rpc(raw, "message/send", message=said(parts=parts)))["result"]
    assert told["history"][0]["parts"] == parts
    modern = await rpc(raw, "GetTask", id=told["id"])
    assert modern["result"]["history"][0]["parts"] == [
        {"text": "see"},
        {"url": "https://example.org/a.png", "mediaType": "image/png"},
    ]
    state: Any = await client.threads.get_state(told["contextId"])
    assert state["values"]["messages"][0]["content"][1]["type"] == "image"
    asking = (await rpc(raw, "message/send", message=said("ask")))["result"]
    data = [{"kind": "data", "data": {"ok": True}}]
    reply = said(parts=data, taskId=asking["id"])
    answered = (await rpc(raw, "message/send", message=reply))["result"]
    assert answered["history"][-1]["parts"][0]["text"] == "they said {'ok': True}"


async def test_what_is_asked_wrongly_is_told(raw: httpx.AsyncClient) -> None:
    approval = str(system_assistant_id("approval"))
    task = (await rpc(raw, "message/send", message=said()))["result"]
    cases: list[tuple[int, str, dict[str, Any]]] = [
        (-32601, "Method not found: bogus", {"method": "bogus"}),
        (-32601, "Method not found: tasks/resubscribe", {"method": "tasks/resubscribe"}),
        (-32602, "Invalid assistant ID", {"agent_id": "obedient"}),
        (-32602, "not found", {"agent_id": str(uuid4())}),
        (-32602, "Available input fields: ['topic'", {"agent_id": approval}),
        (-32602, "Missing or invalid 'message'", {}),
        (-32602, "'messageId'", {"message": said(messageId="")}),
        (-32602, "at least one part", {"message": said(parts=[])}),
        (-32602, "Invalid thread ID", {"message": said(contextId="x")}),
        (-32602, "in this context", {"message": said(taskId=task["id"], contextId=str(uuid4()))}),
        (-32001, "Task not found: x", {"method": "tasks/get", "id": "x"}),
        (-32602, "Missing required parameter", {"method": "tasks/get"}),
        (-32602, "non-negative", {"method": "tasks/get", "id": task["id"], "historyLength": -1}),
        (-32602, "pageToken a token", {"method": "ListTasks", "pageToken": "9" * 5_000}),
        (-32602, "Unknown task state", {"method": "ListTasks", "status": "TASK_STATE_ODD"}),
    ]
    for code, text, asked in cases:
        error = (await rpc(raw, **{"method": "message/send", **asked}))["error"]
        assert error["code"] == code
        assert text in error["message"]


@pytest.mark.parametrize(
    ("body", "code", "message_id"),
    [
        (b"{x", -32700, None),
        (b"[]", -32600, None),
        (b'{"id": 1, "method": "tasks/get"}', -32600, 1),
        (b'{"jsonrpc": "2.0", "id": 1}', -32600, 1),
        (b'{"jsonrpc": "2.0", "method": "tasks/get"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": [1]}', -32602, 1),
    ],
)
async def test_bad_envelopes_are_told_too(
    raw: httpx.AsyncClient, body: bytes, code: int, message_id: int | None
) -> None:
    answer = await raw.post(f"/a2a/{OBEDIENT}", content=body)
    assert answer.status_code == 200
    assert (answer.json()["error"]["code"], answer.json()["id"]) == (code, message_id)


@both
async def test_a_stream_that_cannot_begin_says_why(api: str, version: str) -> None:
    async with agent(api, version, streaming=True) as client:
        with pytest.raises(InvalidParamsError, match="Invalid thread ID"):
            await anext(aiter(client.send_message(message("hello", context="x"))))
    async with httpx.AsyncClient(base_url=api) as raw:
        asked = {"jsonrpc": "2.0", "id": 0, "method": "message/stream", "params": {}}
        headers = {"accept": "text/event-stream"}
        refused = await raw.post(f"/a2a/{OBEDIENT}", json=asked, headers=headers)
        assert refused.headers["content-type"].startswith("text/event-stream")
        assert '"id":0,"error":{"code":-32602' in refused.text
        headers = {"accept": "application/json"}
        assert (await raw.post(f"/a2a/{OBEDIENT}", json=asked, headers=headers)).status_code == 400


async def test_cards_say_how_to_reach_an_agent(raw: httpx.AsyncClient, api: str) -> None:
    path = "/.well-known/agent-card.json"
    card = (await raw.get(path, params={"assistant_id": OBEDIENT})).json()
    assert card["url"] == f"{api}/a2a/{OBEDIENT}"
    assert card["skills"][0]["metadata"]["inputSchema"]["supportsA2A"] is True
    assert (await raw.get(f"/a2a/{OBEDIENT}{path}")).json() == card
    assert (await rpc(raw, "GetExtendedAgentCard"))["result"] == card
    for params in ({}, {"assistant_id": "obedient"}, {"assistant_id": str(uuid4())}):
        refused = await raw.get(path, params=params)
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == -32602
    async with agent(api, "1.0") as client:
        extended = await client.get_extended_agent_card(GetExtendedAgentCardRequest())
    assert extended.name == "obedient"


async def test_a_projects_own_handlers_decide_about_agents_too(
    served_settings: Settings,
) -> None:
    auth = Auth()

    @auth.authenticate
    async def who(authorization: str | None) -> str:
        assert authorization
        return authorization

    @auth.on.threads
    async def only_own(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, str]:
        if ctx.action == "create_run" and "forbidden" in str(value["kwargs"]["input"]):
            raise Auth.exceptions.HTTPException(status_code=403, detail="not that")
        value.setdefault("metadata", {})["whose"] = ctx.user.identity
        return {"whose": ctx.user.identity}

    app = create_app(served_settings, sample_graphs, door=Door(served_settings, Handlers(auth)))
    async with serving(app) as url:
        async with agent(url, "1.0", authorization="ada") as client:
            task = await send(client, message("hello"))
            again = await send(client, message("hello", context=task.context_id))
            assert len(again.history) == 4
            assert len((await client.list_tasks(ListTasksRequest())).tasks) == 2
            with pytest.raises(Exception, match="403"):
                await send(client, message("forbidden"))
        async with agent(url, "1.0", authorization="eve") as client:
            assert not (await client.list_tasks(ListTasksRequest())).tasks
            with pytest.raises(TaskNotFoundError):
                await client.get_task(GetTaskRequest(id=task.id))
            with pytest.raises(InvalidParamsError):
                await send(client, message("hello", context=task.context_id))
