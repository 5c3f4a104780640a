"""The fake speaks the protocol well enough for the real clients, and refuses what OpenAI does."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import openai
import pytest

from tests.fakes.openai import FakeOpenAI, Latency, Reply, open_fake_openai

ROOT = Path(__file__).parents[2]
HELLO = [{"role": "user", "content": "Hello"}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with open_fake_openai() as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeOpenAI) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=fake.url, api_key="any", max_retries=0) as client:
        yield client


async def chat(client: openai.AsyncOpenAI, **body: Any) -> Any:
    return await client.chat.completions.create(**{"model": "m", "messages": HELLO, **body})


async def test_a_scripted_reply_is_said_once_and_the_request_is_recorded(
    fake: FakeOpenAI, client: openai.AsyncOpenAI
) -> None:
    fake.script(Reply("First."))
    said = [(await chat(client)).choices[0].message.content for _ in range(2)]
    assert said == ["First.", "This is a simulated answer."]
    assert fake.requests[0].body["messages"] == HELLO
    assert fake.requests[0].headers["authorization"] == "Bearer any"


async def test_the_default_model_cites_the_first_passage(client: openai.AsyncOpenAI) -> None:
    system = '<passages>\n<passage id="fees#1" title="Fees">\nIt is free. Always.\n</passage>'
    reply = await chat(client, messages=[{"role": "system", "content": system}, *HELLO])
    assert reply.choices[0].message.content == "It is free. [fees#1]"


async def test_a_stream_joins_to_the_reply_and_ends_with_its_usage(
    fake: FakeOpenAI, client: openai.AsyncOpenAI
) -> None:
    fake.script(Reply("Two words,\nand a line."))
    stream = await chat(client, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "Two words,\nand a line."
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 6
    assert {c.usage for c in chunks[:-1]} == {None}
    assert chunks[-2].choices[0].finish_reason == "stop"


async def test_tool_calls_arrive_in_parts(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    args = {"order_id": "#W1234567", "reason": "no longer needed"}
    fake.script(Reply(tool_calls=({"name": "cancel", "args": args},)))
    deltas = [
        chunk.choices[0].delta.tool_calls[0]
        async for chunk in await chat(client, stream=True)
        if chunk.choices[0].delta.tool_calls
    ]
    assert len(deltas) > 3
    assert deltas[0].function.name == "cancel"
    assert json.loads("".join(delta.function.arguments for delta in deltas)) == args


async def test_embeddings_are_the_same_as_numbers_and_as_base64(
    client: openai.AsyncOpenAI,
) -> None:
    texts = ["red tent", "tent red", "blue boat"]
    encoded = await client.embeddings.create(model="e", input=texts)  # base64 is its default
    plain = await client.embeddings.create(model="e", input=texts, encoding_format="float")
    first, second, third = [item.embedding for item in encoded.data]
    assert first == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert first == pytest.approx(second)
    assert first != pytest.approx(third)
    assert len(first) == 256


async def test_models_are_listed(client: openai.AsyncOpenAI) -> None:
    assert "fake-large" in [model.id async for model in client.models.list()]


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([*HELLO, {"role": "tool", "tool_call_id": "call_1", "content": "x"}], "preceeding"),
        ([*HELLO, {"role": "assistant", "content": None, "tool_calls": [CALL]}], "call_1"),
        (
            [
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                *HELLO,
                {"role": "tool", "tool_call_id": "call_1", "content": "late"},
            ],
            "did not have response",
        ),
        ([{"role": "customer", "content": "x"}], "Invalid value"),
        ([], "too short"),
    ],
)
async def test_malformed_messages_are_refused(
    client: openai.AsyncOpenAI, messages: list[Any], complaint: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=complaint):
        await chat(client, messages=messages)


async def test_a_tool_result_right_behind_its_call_is_accepted(
    client: openai.AsyncOpenAI,
) -> None:
    messages = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "found"},
    ]
    assert (await chat(client, messages=messages)).choices[0].finish_reason == "stop"


async def test_json_modes_are_checked_and_a_schema_is_answered_with_a_sample(
    client: openai.AsyncOpenAI,
) -> None:
    with pytest.raises(openai.BadRequestError, match="word 'json'"):
        await chat(client, response_format={"type": "json_object"})
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["a", "b"]}, "sure": {"type": "number"}},
        "required": ["kind", "sure"],
    }
    named: dict[str, Any] = {"name": "Kind", "schema": schema, "strict": True}
    with pytest.raises(openai.BadRequestError, match="additionalProperties"):
        await chat(client, response_format={"type": "json_schema", "json_schema": named})
    named["schema"] = {**schema, "additionalProperties": False}
    reply = await chat(client, response_format={"type": "json_schema", "json_schema": named})
    assert json.loads(reply.choices[0].message.content) == {"kind": "a", "sure": 0.0}


async def test_a_429_says_when_to_come_back(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    fake.script(Reply(status=429, retry_after=7))
    with pytest.raises(openai.RateLimitError) as raised:
        await chat(client)
    assert raised.value.response.headers["retry-after"] == "7"


async def test_a_wrong_key_and_an_unknown_path_are_refused(fake: FakeOpenAI) -> None:
    fake.key = "right"
    async with openai.AsyncOpenAI(base_url=fake.url, api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await chat(client)
    async with httpx.AsyncClient(headers={"authorization": "Bearer right"}) as plain:
        assert (await plain.post(f"{fake.url}/images")).status_code == 404


@pytest.mark.parametrize("cut", ["dropped", "ended"])
async def test_a_cut_stream_has_no_finish(
    fake: FakeOpenAI, client: openai.AsyncOpenAI, cut: Any
) -> None:
    fake.script(Reply("one two three four", cut=cut, after=3))
    got: list[Any] = []
    stream = await chat(client, stream=True)
    try:
        while True:
            got.append((await anext(stream)).choices[0])
    except openai.APIConnectionError:
        assert cut == "dropped"
    except StopAsyncIteration:
        assert cut == "ended"
    assert "".join(choice.delta.content or "" for choice in got) == "one two"
    assert {choice.finish_reason for choice in got} == {None}


async def test_a_hanging_reply_stays_silent_until_the_client_leaves(fake: FakeOpenAI) -> None:
    fake.script(Reply(hang=True))
    async with openai.AsyncOpenAI(
        base_url=fake.url, api_key="any", max_retries=0, timeout=0.2
    ) as client:
        with pytest.raises(openai.APITimeoutError):
            await chat(client)


async def test_latency_is_spent_before_the_first_piece_and_between_pieces(
    fake: FakeOpenAI, client: openai.AsyncOpenAI
) -> None:
    fake.latency = Latency(first=0.1, piece=0.02)
    fake.script(Reply("one two three"))
    began = perf_counter()
    at = [perf_counter() - began async for _ in await chat(client, stream=True)]
    assert at[0] >= 0.1
    assert at[-1] >= 0.16


def test_it_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    script = tmp_path / "replies.jsonl"
    script.write_text('{"text": "From the script."}\n', encoding="utf-8")
    command = [sys.executable, "-m", "tests.fakes.openai", "--script", str(script)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            body = {"model": "m", "messages": HELLO}
            reply = httpx.post(f"{url}/chat/completions", json=body).json()
        finally:
            process.terminate()
    assert reply["choices"][0]["message"]["content"] == "From the script."
