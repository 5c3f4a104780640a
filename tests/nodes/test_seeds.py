import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

import pytest

from engine.models.classifier import Classifier, train
from engine.models.encoder import open_encoder
from engine.settings import Settings


def seeds() -> Mapping[str, Sequence[str]]:
    found = json.loads(files("nodes").joinpath("seeds.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
async def classifier() -> Classifier:
    """Of the seeds alone: the tools' own examples are judged with the tools."""
    encoder = await open_encoder("local:minilm", Settings(_env_file=None))
    return await train(seeds(), encoder, background="out_of_scope")


def test_no_seed_stands_twice() -> None:
    said = [text.lower().rstrip("?!.") for group in seeds().values() for text in group]
    assert sorted(said) == sorted(set(said))


@pytest.mark.parametrize(
    ("name", "least"), [("knowledge", 120), ("smalltalk", 60), ("out_of_scope", 120)]
)
def test_every_short_path_has_many_seeds_in_several_registers(name: str, least: int) -> None:
    group = seeds()[name]
    assert len(group) >= least
    lower = sum(text[0].islower() for text in group) / len(group)
    assert 0.2 < lower < 0.8
    assert len({len(text.split()) for text in group}) >= 8


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Within how many weeks may I give something back?", "knowledge"),
        ("is shipping free above a certain sum", "knowledge"),
        ("My new kettle is full of chalk, how do I clean it?", "knowledge"),
        ("hey, good afternoon!", "smalltalk"),
        ("ty, that was great help", "smalltalk"),
    ],
)
async def test_questions_and_chat_are_told_apart(
    classifier: Classifier, text: str, intent: str
) -> None:
    found = await classifier.classify(text)
    assert (found.intent, found.out_of_scope) == (intent, False)


@pytest.mark.parametrize(
    "text",
    [
        "Will it snow in Vermont this weekend?",
        "which team won the cup in 1998",
        "How do I write a for loop in Rust?",
        "what should I take for a sore throat",
    ],
)
async def test_what_no_shop_deals_with_is_out_of_scope(classifier: Classifier, text: str) -> None:
    assert (await classifier.classify(text)).out_of_scope
