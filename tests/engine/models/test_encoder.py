import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import httpx2
import numpy as np
import pytest

from engine.errors import ConfigError, Unavailable
from engine.models.batching import BatchingEncoder
from engine.models.encoder import Encoder, EncoderEmbeddings, open_encoder
from engine.models.weights import find_weights
from engine.settings import Settings
from tests.fakes.openai import FakeOpenAI, open_fake_openai


@pytest.fixture(scope="module")
async def encoder() -> Encoder:
    return await open_encoder("local:minilm", Settings(_env_file=None))


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with open_fake_openai() as server:
        yield server


@pytest.fixture(scope="session")
def extra() -> None:
    """Skips without the packages of the extra `fast`, or fails where everything must be there."""
    if find_spec("onnx") and find_spec("onnxruntime"):
        return
    reason = "not installed: onnx and onnxruntime (the extra `fast`)"
    if os.environ.get("FRONTDESK_REQUIRE_ALL"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class Recorder:
    """A model of one dimension that notes its batches, and waits while its gate is shut."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.gate.wait(10)
        self.threads.add(threading.current_thread().name)
        self.batches.append(list(texts))
        if "poison" in texts:
            raise ArithmeticError("poison")
        return np.array([[len(text)] for text in texts], np.float32)


def opened(model: Recorder, threads: int = 1) -> BatchingEncoder:
    return BatchingEncoder("test", 1, lambda: model, threads)


async def test_many_texts_come_back_in_their_order(encoder: Encoder) -> None:
    texts = [f"order number {n} " * (1 + n % 7) for n in range(50)]
    vectors = await encoder.encode(texts)
    assert vectors.shape == (50, encoder.dimensions)
    assert vectors.dtype == np.float32
    alone = np.concatenate([await encoder.encode([text]) for text in texts[:9]])
    assert np.abs(vectors[:9] - alone).max() < 1e-5


async def test_no_texts_give_no_vectors(encoder: Encoder) -> None:
    assert (await encoder.encode([])).shape == (0, encoder.dimensions)


async def test_langchain_gets_lists_of_floats(encoder: Encoder) -> None:
    embeddings = EncoderEmbeddings(encoder)
    query = await embeddings.aembed_query("Where is it?")
    beside = (await embeddings.aembed_documents(["Where is it?", "Hi"]))[0]
    assert query == pytest.approx(beside, abs=1e-5)  # a batch is summed in another order
    with pytest.raises(TypeError):
        embeddings.embed_query("Where is it?")


async def test_the_event_loop_runs_on_while_a_model_works() -> None:
    model = Recorder()
    model.gate.clear()
    waiting = asyncio.create_task(opened(model).encode(["a", "bb"]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    model.gate.set()
    assert (await waiting).tolist() == [[1], [2]]
    assert "MainThread" not in model.threads


async def test_texts_that_wait_are_embedded_together() -> None:
    model = Recorder()
    model.gate.clear()
    encoder = opened(model)
    calls = [asyncio.create_task(encoder.encode([f"text {n}"])) for n in range(10)]
    await asyncio.sleep(0.05)
    model.gate.set()
    await asyncio.gather(*calls)
    assert [len(batch) for batch in model.batches] == [1, 9]


async def test_a_question_waits_for_a_batch_of_a_long_ingest_not_for_all() -> None:
    model = Recorder()
    model.gate.clear()
    encoder = opened(model)
    ingest = asyncio.create_task(encoder.encode([f"passage {n}" for n in range(320)]))
    await asyncio.sleep(0.05)
    question = asyncio.create_task(encoder.encode(["question"]))
    await asyncio.sleep(0.05)
    model.gate.set()
    await question
    position = next(n for n, batch in enumerate(model.batches) if "question" in batch)
    assert position <= 1
    assert (await ingest).shape == (320, 1)


async def test_long_texts_make_small_batches() -> None:
    model = Recorder()
    await opened(model).encode(["x" * 1_500] * 7 + ["y" * 50_000])
    assert [len(batch) for batch in model.batches] == [2, 2, 2, 1, 1]


async def test_a_question_is_embedded_once_and_cannot_be_spoilt() -> None:
    model = Recorder()
    encoder = opened(model)
    first = await encoder.encode(["again"])
    first[:] = 0
    assert (await encoder.encode(["again"])).tolist() == [[5]]
    assert model.batches == [["again"]]


async def test_a_cancelled_question_takes_no_other_with_it() -> None:
    model = Recorder()
    model.gate.clear()
    encoder = opened(model)
    calls = [asyncio.create_task(encoder.encode(["a" * n])) for n in range(1, 5)]
    await asyncio.sleep(0.05)
    calls[0].cancel()
    calls[2].cancel()
    model.gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert isinstance(results[2], asyncio.CancelledError)
    assert [results[1].tolist(), results[3].tolist()] == [[[2]], [[4]]]
    assert model.batches[1] == ["aa", "aaaa"]


async def test_a_model_that_fails_says_so_and_goes_on() -> None:
    encoder = opened(Recorder())
    with pytest.raises(ArithmeticError):
        await encoder.encode(["poison"])
    assert (await encoder.encode(["fine"])).tolist() == [[4]]


async def test_opening_loads_nothing_and_the_first_use_loads_once() -> None:
    loads: list[float] = []

    def load() -> Recorder:
        loads.append(time.monotonic())
        return Recorder()

    encoder = BatchingEncoder("test", 1, load, threads=2)
    assert loads == []
    await asyncio.gather(*(encoder.encode([f"{n}" * 100, "b"]) for n in range(8)))
    assert len(loads) == 1


@pytest.mark.parametrize("name", ["local:bert", "minilm", "openai:", "other:thing", ""])
async def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="local:minilm"):
        await open_encoder(name, Settings(_env_file=None))


async def test_a_hosted_model_tells_its_dimensions_when_it_is_opened(fake: FakeOpenAI) -> None:
    settings = Settings(_env_file=None, openai_base_url=fake.url)
    async with httpx2.AsyncClient() as client:
        encoder = await open_encoder("openai:fake-embedding", settings, http_client=client)
        assert encoder.name == "openai:fake-embedding"
        vectors = await encoder.encode(["one", "two", ""])
        assert (await encoder.encode([])).shape == (0, encoder.dimensions)
    assert vectors.shape == (3, encoder.dimensions)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert fake.requests[-1].body["input"] == ["one", "two", " "]


async def test_a_hosted_model_without_its_key_does_not_open(fake: FakeOpenAI) -> None:
    fake.key = "right"
    settings = Settings(_env_file=None, openai_base_url=fake.url, openai_api_key="wrong")
    async with httpx2.AsyncClient() as client:
        with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
            await open_encoder("openai:fake-embedding", settings, http_client=client)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        await open_encoder("openai:large", Settings(_env_file=None))


async def test_a_hosted_model_that_is_gone_is_unavailable() -> None:
    async with httpx2.AsyncClient() as client:
        async with open_fake_openai() as fake:
            settings = Settings(_env_file=None, openai_base_url=fake.url, model_retries=0)
            encoder = await open_encoder("openai:fake-embedding", settings, http_client=client)
        with pytest.raises(Unavailable):
            await encoder.encode(["Is anybody there?"])
        with pytest.raises(Unavailable):
            await open_encoder("openai:fake-embedding", settings, http_client=client)


async def test_eight_bits_without_the_extra_name_it(tmp_path: Path) -> None:
    if find_spec("onnxruntime"):
        pytest.skip("onnxruntime is installed, so nothing is missing")
    with pytest.raises(ConfigError, match=r"frontdesk\[fast\]"):
        await open_encoder("local:minilm-int8", Settings(_env_file=None, data=tmp_path))


@pytest.mark.usefixtures("extra")
async def test_eight_bits_come_close_to_thirty_two(encoder: Encoder, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data=tmp_path)
    texts = ["Where is my parcel?", "", "Can I return it?", "我的订单在哪里", "long words " * 120]
    small = await open_encoder("local:minilm-int8", settings)
    vectors = await small.encode(texts)
    assert np.sum(vectors * await encoder.encode(texts), axis=1).min() > 0.97
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["minilm-int8-1.onnx"]
    again = await open_encoder("local:minilm-int8", settings)
    assert np.array_equal(await again.encode(texts[:2]), vectors[:2])


@pytest.mark.usefixtures("extra")
async def test_the_graph_of_the_small_model_is_exact_before_it_is_rounded(
    encoder: Encoder, tmp_path: Path
) -> None:
    from engine.models.minilm import Tokens, load_minilm
    from engine.models.minilm_int8 import MiniLMInt8, build_graph

    folder = find_weights()
    (tmp_path / "graph.onnx").write_bytes(build_graph(load_minilm(folder)).SerializeToString())
    exact = MiniLMInt8(Tokens(folder), tmp_path / "graph.onnx")
    texts = ["Where is my parcel?", "", "long words " * 120]
    assert np.abs(exact(texts) - await encoder.encode(texts)).max() < 1e-6
