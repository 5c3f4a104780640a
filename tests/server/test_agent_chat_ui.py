"""Agent Chat UI: what it asks for besides what its `useStream` does."""

from typing import Any
from uuid import uuid4

import httpx
from langgraph_sdk.client import LangGraphClient

AS_IT_STREAMS = {
    "stream_mode": ["values"],
    "stream_subgraphs": True,
    "stream_resumable": True,
    "on_disconnect": "continue",
}


async def test_it_finds_the_server(raw: httpx.AsyncClient) -> None:
    assert (await raw.get("/info", headers={"x-api-key": ""})).is_success


async def test_its_list_names_threads_by_their_first_words(raw: httpx.AsyncClient) -> None:
    """Whether it was told a graph's name or an assistant's id: the run stamped both."""
    thread = (await raw.post("/threads", json={"thread_id": str(uuid4())})).json()
    tid = thread["thread_id"]
    said = {"id": str(uuid4()), "type": "human", "content": [{"type": "text", "text": "hi"}]}
    body = {"assistant_id": "chat", "input": {"messages": [said], "context": None}}
    stream = await raw.post(f"/threads/{tid}/runs/stream", json=body | AS_IT_STREAMS)
    assert stream.status_code == 200
    stamped: Any = (await raw.get(f"/threads/{tid}")).json()["metadata"]
    for name in ("graph_id", "assistant_id"):
        search = {"metadata": {name: stamped[name]}, "limit": 100}
        found = (await raw.post("/threads/search", json=search)).json()
        [row] = [row for row in found if row["thread_id"] == tid]
        assert row["values"]["messages"][0]["content"] == said["content"]


async def test_marking_as_resolved_goes_to_the_end(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str
) -> None:
    """A way to the end beside the question, which still stands."""
    await client.runs.wait(tid, "approval", input={"topic": "cats"})
    body = {"assistant_id": "approval", "input": {}, "command": {"goto": "__end__"}}
    stream = await raw.post(f"/threads/{tid}/runs/stream", json=body | AS_IT_STREAMS)
    assert "event: values" in stream.text
    assert "event: error" not in stream.text
    history: Any = await client.threads.get_history(tid)
    assert history[0]["next"] == ["ask_human"]
    values: Any = await client.runs.wait(tid, "approval", command={"resume": "yes"})
    assert values["log"] == ["write_draft", "human:yes", "publish"]
