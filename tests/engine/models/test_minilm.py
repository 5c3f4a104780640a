import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from engine.errors import ConfigError
from engine.models.minilm import MiniLM, load_minilm
from engine.models.weights import check_weights, find_weights

ODD = [
    "",
    " ",
    "😀 👩‍👩‍👧",
    "我的订单在哪里",
    "Wo ist die Größe?",
    "x" * 3_000,
    "half \ud83d a pair",
    "\x00",
]


@pytest.fixture(scope="module")
def folder() -> Path:
    return find_weights()


@pytest.fixture(scope="module")
def model(folder: Path) -> MiniLM:
    return load_minilm(folder)


def test_cosines_are_those_that_sentence_transformers_publishes(model: MiniLM) -> None:
    vectors = model(
        ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    )
    # The figures in the readme of sentence-transformers for this model.
    published = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    assert np.abs(vectors @ vectors.T - published).max() < 1e-4


def test_vectors_equal_a_plain_implementation_in_double_precision(
    model: MiniLM, folder: Path
) -> None:
    texts = ["Where is my parcel?", "Größe 42, bitte: naïve café!", "", "refund " * 40]
    expected = np.stack([plain(folder, text) for text in texts])
    assert np.abs(model(texts) - expected).max() < 1e-6


def test_a_vector_does_not_depend_on_the_texts_beside_it(model: MiniLM) -> None:
    texts = ["Hi", "Can I return shoes that I wore once?", *ODD, "word " * 100, "Hi"]
    together = model(texts)
    alone = np.concatenate([model([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-6


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_every_text_has_a_vector_of_length_one(model: MiniLM, text: str) -> None:
    (vector,) = model([text])
    assert vector.dtype == np.float32
    assert vector.shape == (384,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_no_text_has_no_vector(model: MiniLM) -> None:
    assert model([]).shape == (0, 384)


def test_what_lies_behind_the_256th_token_is_not_read(model: MiniLM) -> None:
    start = "shoe " * 254
    same, other = model([start + "one end", start + "quite another end"])
    assert np.abs(same - other).max() < 1e-6


def test_near_meanings_lie_nearer_than_far_ones(model: MiniLM) -> None:
    vectors = model(
        ["I want my money back", "Please give me a refund", "How do I wash a wool sweater?"]
    )
    assert vectors[0] @ vectors[1] > 0.6 > 0.2 > vectors[0] @ vectors[2]


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
@pytest.mark.parametrize("damage", [lambda path: path.write_text("{}"), Path.unlink])
def test_files_that_are_not_the_known_ones_are_refused(
    folder: Path, tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    for file in ("tokenizer.json", "config.json"):
        shutil.copyfile(folder / file, tmp_path / file)
    assert check_weights(tmp_path) == tmp_path
    damage(tmp_path / name)
    with pytest.raises(ConfigError, match=name):
        check_weights(tmp_path)


def plain(folder: Path, text: str) -> np.ndarray:
    """BERT as the paper draws it: one text, head by head, float64, the erf of the C library."""
    weights = {
        name: tensor.astype(np.float64)
        for name, tensor in load_file(folder / "model.safetensors").items()
        if tensor.dtype == np.float32
    }
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    ids = tokenizer.encode(text).ids

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return np.einsum("ti,oi->to", x, weights[f"{name}.weight"]) + weights[f"{name}.bias"]

    def normed(name: str, x: np.ndarray) -> np.ndarray:
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-12)
        return x * weights[f"{name}.LayerNorm.weight"] + weights[f"{name}.LayerNorm.bias"]

    def embedded(kind: str, rows: list[int]) -> np.ndarray:
        return weights[f"embeddings.{kind}_embeddings.weight"][rows]

    x = embedded("word", ids) + embedded("position", list(range(len(ids))))
    x = normed("embeddings", x + embedded("token_type", [0] * len(ids)))
    erf = np.vectorize(math.erf)
    for layer in (f"encoder.layer.{n}" for n in range(6)):
        query, key, value = (
            linear(f"{layer}.attention.self.{part}", x) for part in ("query", "key", "value")
        )
        heads = []
        for head in (slice(start, start + 32) for start in range(0, 384, 32)):
            scores = np.exp(query[:, head] @ key[:, head].T / math.sqrt(32))
            heads.append(scores / scores.sum(1, keepdims=True) @ value[:, head])
        mixed = linear(f"{layer}.attention.output.dense", np.concatenate(heads, axis=1))
        x = normed(f"{layer}.attention.output", mixed + x)
        wide = linear(f"{layer}.intermediate.dense", x)
        wide = wide * 0.5 * (1 + erf(wide / math.sqrt(2)))
        x = normed(f"{layer}.output", linear(f"{layer}.output.dense", wide) + x)
    pooled = x.mean(0)
    return pooled / np.linalg.norm(pooled)
