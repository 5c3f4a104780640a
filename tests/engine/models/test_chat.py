"""The real OpenAI client against a server that speaks its protocol and fails on command."""

import operator
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import reduce
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import OpenAIEmbeddings
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from engine.errors import ConfigError, Interrupted, Unavailable
from engine.models.chat import ChatWithFallback, open_chat
from engine.models.extractive import ExtractiveChat
from engine.models.openai_chat import HostedChat
from engine.settings import Settings
from tests.fakes.openai import FakeOpenAI, Reply, open_fake_openai

QUESTION = [HumanMessage("Where is my parcel?")]


class Weather(BaseModel):
    """What the weather is like."""

    city: str
    degrees: int


@tool
def look_up(city: str) -> str:
    """Look up the weather of a city."""
    return city


@pytest.fixture(scope="module")
async def _server() -> AsyncIterator[FakeOpenAI]:
    async with open_fake_openai() as fake:
        yield fake


@pytest.fixture
def fake(_server: FakeOpenAI) -> FakeOpenAI:
    """One server for the module, since each new base URL makes clients load certificates."""
    _server.requests.clear()
    _server.replies.clear()
    return _server


def configured(fake: FakeOpenAI | None = None, **values: Any) -> Settings:
    url = {"openai_base_url": fake.url} if fake else {}
    quick = {"model_retries": 0, "model_timeout": 5.0, "openai_api_key": "", **url, **values}
    return Settings(_env_file=None, **quick)


async def streamed(model: Any, messages: Any = QUESTION) -> AIMessageChunk:
    chunks = [chunk async for chunk in model.astream(messages)]
    return reduce(operator.add, chunks)


async def test_it_answers_with_usage(fake: FakeOpenAI) -> None:
    fake.script(Reply("On its way."))
    answer = await open_chat("openai:large", configured(fake)).ainvoke(QUESTION)
    assert answer.text == "On its way."
    assert answer.usage_metadata["output_tokens"] == 4
    assert fake.requests[0].body["model"] == "large"


async def test_a_stream_carries_its_usage_without_being_asked(fake: FakeOpenAI) -> None:
    fake.script(Reply("On its way to you."))
    model = open_chat("openai:large", configured(fake))
    chunks = [chunk async for chunk in model.astream(QUESTION)]
    assert len([chunk for chunk in chunks if chunk.content]) == 5
    whole = reduce(operator.add, chunks)
    assert whole.text == "On its way to you."
    assert whole.usage_metadata["output_tokens"] == 6
    assert whole.response_metadata["finish_reason"] == "stop"


async def test_tools_are_called_in_a_stream_and_their_results_sent_back(fake: FakeOpenAI) -> None:
    fake.script(Reply(tool_calls=({"name": "look_up", "args": {"city": "Oslo"}},)), Reply("Cold."))
    model = open_chat("openai:large", configured(fake)).bind_tools([look_up])
    asked = await streamed(model)
    call = asked.tool_calls[0]
    assert (call["name"], call["args"]) == ("look_up", {"city": "Oslo"})
    turn = [*QUESTION, AIMessage("", tool_calls=[call]), ToolMessage("-4", tool_call_id=call["id"])]
    assert (await model.ainvoke(turn)).text == "Cold."
    sent = fake.requests[0].body["tools"][0]["function"]
    assert sent["parameters"]["properties"]["city"]["type"] == "string"


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
async def test_structured_output_is_parsed(fake: FakeOpenAI, method: Any) -> None:
    args = {"city": "Oslo", "degrees": -4}
    by_tool = Reply(tool_calls=({"name": "Weather", "args": args},))
    fake.script(by_tool if method == "function_calling" else Reply('{"city":"Oslo","degrees":-4}'))
    model = open_chat("openai:small", configured(fake))
    ask = model.with_structured_output(Weather, method=method)
    assert await ask.ainvoke("Weather as JSON, please.") == Weather(city="Oslo", degrees=-4)


async def test_embeddings_travel_as_base64(fake: FakeOpenAI) -> None:
    async with openai.DefaultAsyncHttpxClient() as client:
        embeddings = OpenAIEmbeddings(
            model="fake-embedding",
            base_url=fake.url,
            api_key="any",
            check_embedding_ctx_length=False,
            http_async_client=client,
        )
        first, second = await embeddings.aembed_documents(["a tent", "a tent"])
    assert first == second
    assert len(first) == 256
    assert fake.requests[0].body["encoding_format"] == "base64"


@pytest.mark.parametrize("fault", [Reply(status=429, retry_after=0.05), Reply(status=500)])
async def test_a_passing_failure_is_retried(fake: FakeOpenAI, fault: Reply) -> None:
    fake.script(fault, Reply("Here now."))
    model = open_chat("openai:large", configured(fake, model_retries=1))
    assert (await streamed(model)).text == "Here now."
    assert len(fake.requests) == 2


@pytest.mark.parametrize("status", [401, 404, 429, 500])
async def test_a_lasting_failure_is_unavailable_and_says_no_secret(
    fake: FakeOpenAI, status: int
) -> None:
    fake.script(Reply(status=status), Reply(status=status))
    model = open_chat("openai:large", configured(fake, openai_api_key="sk-very-secret"))
    with pytest.raises(Unavailable, match="large is not available") as invoked:
        await model.ainvoke(QUESTION)
    with pytest.raises(Unavailable):
        await streamed(model)
    assert "secret" not in str(invoked.value)


async def test_a_request_that_is_our_mistake_is_not_called_unavailable(fake: FakeOpenAI) -> None:
    orphan = [*QUESTION, ToolMessage("found", tool_call_id="call_9")]
    model = open_chat("openai:large", configured(fake, fallback_model="openai:second"))
    with pytest.raises(openai.BadRequestError):
        await model.ainvoke(orphan)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("after", [0, 1])
async def test_silence_ends_in_a_timeout(fake: FakeOpenAI, after: int) -> None:
    fake.script(Reply("word " * 5, hang=True, after=after))
    model = open_chat("openai:large", configured(fake, model_timeout=0.2))
    with pytest.raises(Unavailable) as raised:
        await streamed(model)
    assert not isinstance(raised.value, Interrupted)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    model = open_chat("openai:large", configured(openai_base_url="http://127.0.0.1:9/v1"))
    with pytest.raises(Unavailable):
        await model.ainvoke(QUESTION)


@pytest.mark.parametrize("cut", ["dropped", "ended"])
@pytest.mark.parametrize("fallback", ["", "openai:second"])
async def test_a_stream_cut_after_it_began_is_interrupted_and_nobody_takes_over(
    fake: FakeOpenAI, cut: Any, fallback: str
) -> None:
    fake.script(Reply("The parcel is lost.", cut=cut, after=3), Reply("All is well."))
    model = open_chat("openai:large", configured(fake, fallback_model=fallback))
    stream = model.astream(QUESTION)
    got = [(await anext(stream)).text for _ in range(3)]
    with pytest.raises(Interrupted):
        await anext(stream)
    assert "".join(got) == "The parcel"
    assert [request.body["model"] for request in fake.requests] == ["large"]


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=500),
        Reply(status=401),
        Reply("x y", cut="dropped", after=0),
        Reply("x y", cut="dropped", after=1),
        Reply("x y", cut="ended", after=1),
        Reply("x y", hang=True, after=1),
    ],
    ids=["500", "401", "no chunk", "empty chunk", "ended", "hangs"],
)
async def test_the_fallback_answers_when_nothing_was_said_yet(
    fake: FakeOpenAI, fault: Reply
) -> None:
    fake.script(fault, Reply("I am the other one."))
    settings = configured(fake, fallback_model="openai:second", model_timeout=1.5)
    whole = await streamed(open_chat("openai:large", settings))
    assert whole.text == "I am the other one."
    assert whole.usage_metadata["output_tokens"] == 6
    assert [request.body["model"] for request in fake.requests] == ["large", "second"]


async def test_a_whole_answer_falls_back_too(fake: FakeOpenAI) -> None:
    fake.script(Reply(status=503), Reply("Second."))
    model = open_chat("openai:large", configured(fake, fallback_model="openai:second"))
    assert (await model.ainvoke(QUESTION)).text == "Second."


async def test_tools_and_structured_output_reach_the_fallback(fake: FakeOpenAI) -> None:
    call = {"name": "look_up", "args": {"city": "Oslo"}}
    fake.script(Reply(status=500), Reply(tool_calls=(call,)))
    fake.script(Reply(status=500), Reply('{"city":"Oslo","degrees":-4}'))
    model = open_chat("openai:large", configured(fake, fallback_model="openai:second"))
    assert (await streamed(model.bind_tools([look_up]))).tool_calls[0]["name"] == "look_up"
    parsed = await model.with_structured_output(Weather).ainvoke("Weather?")
    assert parsed == Weather(city="Oslo", degrees=-4)
    assert [r.body["model"] for r in fake.requests] == ["large", "second"] * 2


async def test_the_local_model_can_stand_in_but_not_for_structured_output(
    fake: FakeOpenAI,
) -> None:
    fake.script(Reply(status=500), Reply(status=500))
    model = open_chat("openai:large", configured(fake, fallback_model="local:extractive"))
    said = await streamed(model.bind_tools([look_up]))
    assert "hand you over to a human" in said.text
    with pytest.raises(Unavailable):
        await model.with_structured_output(Weather).ainvoke("Weather?")


async def test_both_models_failing_raises_the_first_failure(fake: FakeOpenAI) -> None:
    fake.script(Reply(status=500), Reply(status=429))
    model = open_chat("openai:large", configured(fake, fallback_model="openai:second"))
    with pytest.raises(Unavailable, match="large"):
        await model.ainvoke(QUESTION)


async def test_the_nostream_tag_silences_the_model_and_its_fallback_in_a_graph(
    fake: FakeOpenAI,
) -> None:
    model = open_chat("openai:large", configured(fake, fallback_model="openai:second"))

    def graph(tags: list[str]) -> Any:
        async def say(state: MessagesState) -> dict[str, Any]:
            async with aclosing(model.astream(QUESTION, {"tags": tags})) as chunks:
                return {"answers": [chunk.text async for chunk in chunks]}

        return StateGraph(MessagesState).add_node(say).add_edge(START, "say").compile()

    heard = []
    for tags in ([], ["nostream"]):
        fake.script(Reply(status=500), Reply("A raw draft."))
        stream = graph(tags).astream({"messages": QUESTION}, stream_mode="messages")
        heard.append("".join([message.text async for message, _ in stream]))
    assert heard == ["A raw draft.", ""]


async def test_a_client_of_ours_is_used_and_left_open(fake: FakeOpenAI) -> None:
    async with openai.DefaultAsyncHttpxClient(headers={"x-mine": "yes"}) as client:
        model = open_chat("openai:large", configured(fake), http_client=client)
        await model.ainvoke(QUESTION)
        assert not client.is_closed
    assert fake.requests[0].headers["x-mine"] == "yes"


def test_the_local_model_has_no_fallback_and_needs_no_key() -> None:
    model = open_chat("local:extractive", configured(fallback_model="openai:second"))
    assert isinstance(model, ExtractiveChat)


def test_a_model_is_not_its_own_fallback(fake: FakeOpenAI) -> None:
    same = open_chat("openai:large", configured(fake, fallback_model="openai:large"))
    other = open_chat("openai:large", configured(fake, fallback_model="openai:second"))
    assert isinstance(same, HostedChat)
    assert isinstance(other, ChatWithFallback)


@pytest.mark.parametrize("name", ["", "large", "openai:", "local:intent", "mistral:large"])
def test_an_unknown_model_lists_what_there_is(name: str) -> None:
    with pytest.raises(ConfigError, match=r"local:extractive, or openai:NAME"):
        open_chat(name, configured())


def test_openai_itself_needs_a_key_and_another_server_does_not() -> None:
    for url in (None, "https://api.openai.com/v1/"):
        with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
            open_chat("openai:gpt-5", configured(openai_base_url=url))
    open_chat("openai:gpt-5", configured(openai_base_url="http://127.0.0.1:9/v1"))


def test_opening_a_model_reaches_for_no_network() -> None:
    """With every connection forbidden, import and construction still work."""
    program = """
import socket
def refuse(*args, **kwargs):
    raise SystemExit("a connection was attempted")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from engine.models.chat import open_chat
from engine.settings import Settings
settings = Settings(_env_file=None, openai_api_key="k", fallback_model="openai:b")
open_chat("openai:a", settings).bind_tools([])
"""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
