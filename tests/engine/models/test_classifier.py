import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from engine.errors import ConfigError
from engine.models.classifier import Classifier, normalised, train, train_or_load
from engine.models.encoder import Encoder, open_encoder
from engine.models.heads import load_heads, save_heads
from engine.models.tfidf import count_grams, fit_tfidf
from engine.settings import Settings
from tests.fakes.encoder import WordEncoder

SHOP = {
    "cancel": [
        "Please cancel my order.",
        "cancel order #W1000001",
        "I want to call off what I bought",
        "stop the order pls",
        "I changed my mind, cancel it",
        "undo my purchase from today",
        "get rid of order #W1000002",
        "Could you cancel the lamp?",
    ],
    "track": [
        "Where is my parcel?",
        "wheres my stuff",
        "When will order #W1000003 arrive?",
        "track #W1000004",
        "Has it been shipped yet?",
        "I need the tracking number",
        "Is my delivery on its way?",
        "status of order #W1000005",
    ],
    "greet": [
        "hi",
        "hello there",
        "Good morning!",
        "hey",
        "good evening",
        "hello, how are you",
        "hi, anybody here?",
        "greetings",
    ],
}
ELSEWHERE = [
    "What is the weather in Rome?",
    "who won the game last night",
    "Write a poem about the sea.",
    "how do I bake bread",
    "what's the capital of Peru",
    "fix my python code",
    "Who is the president?",
    "play some music",
    "What should I take against a cold?",
    "book a flight to Madrid",
]


@pytest.fixture(scope="module")
async def encoder() -> Encoder:
    return await open_encoder("local:minilm", Settings(_env_file=None))


@pytest.fixture(scope="module")
async def classifier(encoder: Encoder) -> Classifier:
    return await train(SHOP | {"elsewhere": ELSEWHERE}, encoder, background="elsewhere")


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("I'd like to cancel order #W7654321, please", "cancel"),
        ("my package has not come, where is it??", "track"),
        ("Good afternoon", "greet"),
        ("pls cancell it, dont need it anymore", "cancel"),
    ],
)
async def test_it_knows_what_it_has_not_read_word_for_word(
    classifier: Classifier, text: str, intent: str
) -> None:
    found = await classifier.classify(text)
    assert found.intent == intent
    assert not found.out_of_scope
    assert found.confidence > 0.5


@pytest.mark.parametrize(
    "text", ["Who wrote Hamlet?", "recipe for pancakes", "What is the weather like in Oslo?"]
)
async def test_it_knows_what_is_none_of_its_business(classifier: Classifier, text: str) -> None:
    found = await classifier.classify(text)
    assert found.out_of_scope
    assert found.strangeness > 0.5


@pytest.mark.parametrize("text", ["", "?", "😀", "我的订单", "x" * 50_000, "\ud83d", "\t\n"])
async def test_any_text_gets_an_answer(classifier: Classifier, text: str) -> None:
    found = await classifier.classify(text)
    assert found.intent in SHOP
    assert 0 <= found.confidence <= 1
    assert 0 <= found.strangeness <= 1


async def test_scores_are_probabilities_of_the_likeliest_intents(classifier: Classifier) -> None:
    found = await classifier.classify("where is my order", top=2)
    assert next(iter(found.scores)) == found.intent
    assert found.scores[found.intent] == found.confidence
    assert len(found.scores) == 2
    assert "elsewhere" not in (await classifier.classify("weather")).scores
    everything = await classifier.classify("where is my order", top=99)
    assert sum(everything.scores.values()) == pytest.approx(1, abs=1e-5)


async def test_the_digits_of_a_number_do_not_matter(classifier: Classifier) -> None:
    assert normalised("order #W1234567") == normalised("order #W7654321")
    first = await classifier.classify("track #W1234567")
    assert first == await classifier.classify("track #W7654321")


async def test_stored_and_loaded_it_says_the_same(classifier: Classifier, tmp_path: Path) -> None:
    save_heads(classifier.heads, tmp_path / "intents", "key")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["intents.json", "intents.npz"]
    with np.load(tmp_path / "intents.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind in "fU" for name in stored.files)
    heads = load_heads(tmp_path / "intents", "key")
    assert heads is not None
    again = Classifier(classifier.encoder, heads)
    for text in ("where is it", "cancel", "who are you", "weather"):
        assert await again.classify(text) == await classifier.classify(text)


async def test_it_is_trained_again_only_when_the_examples_or_the_encoder_change(
    tmp_path: Path,
) -> None:
    encoder = WordEncoder()
    first = await train_or_load(SHOP, encoder, tmp_path)
    trained = len(encoder.seen)
    second = await train_or_load(SHOP, encoder, tmp_path)
    assert len(encoder.seen) == trained
    assert await first.classify("cancel it") == await second.classify("cancel it")

    more = SHOP | {"thank": ["thanks", "thank you", "many thanks", "cheers"]}
    third = await train_or_load(more, encoder, tmp_path)
    assert "thank" in third.heads.intents
    assert len(encoder.seen) > trained
    other = WordEncoder(name="test:other")
    await train_or_load(more, other, tmp_path)
    assert other.seen


async def test_half_stored_heads_are_not_used(classifier: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "intents"
    save_heads(classifier.heads, path, "key")
    assert load_heads(path, "another key") is None
    names = json.loads((tmp_path / "intents.json").read_text())
    (tmp_path / "intents.json").write_text(json.dumps(names | {"key": "newer"}))
    assert load_heads(path, "newer") is None
    (tmp_path / "intents.json").unlink()
    assert load_heads(path, "key") is None


async def test_training_twice_gives_the_same_numbers(
    classifier: Classifier, encoder: Encoder
) -> None:
    again = await train(SHOP | {"elsewhere": ELSEWHERE}, encoder, background="elsewhere")
    assert np.abs(again.heads.pulls - classifier.heads.pulls).max() < 1e-3
    assert np.abs(again.heads.sparse - classifier.heads.sparse).max() < 1e-3


async def test_two_intents_and_no_background_are_enough() -> None:
    two = await train({name: SHOP[name] for name in ("cancel", "track")}, WordEncoder())
    assert two.heads.background == 0
    assert (await two.classify("cancel order")).intent == "cancel"
    assert (await two.classify("where is it")).intent == "track"


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"only": SHOP["greet"]}, "two intents"),
        ({"greet": SHOP["greet"], "few": ["a", "b", "c"]}, "few needs at least 4"),
        (SHOP | {"elsewhere": ["one"]}, "elsewhere needs at least 4"),
    ],
)
async def test_too_few_examples_are_refused(
    examples: dict[str, Sequence[str]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        await train(examples, WordEncoder(), background="elsewhere")


async def test_confidence_is_lower_where_intents_are_alike(classifier: Classifier) -> None:
    sure = await classifier.classify("Please cancel my order #W1000009.")
    unsure = await classifier.classify("Where is order #W1000009? If it is late, cancel it.")
    assert unsure.confidence < sure.confidence < 1


def test_tfidf_is_that_of_scikit_learn() -> None:
    texts = [text for group in SHOP.values() for text in group]
    ours = fit_tfidf([count_grams(text) for text in texts])
    unseen = ["Where is the order order I cancelled, e.g. #W1?", "hi", "", "völlig unbekannt"]
    words = re.compile(r"\w+").findall
    theirs = [
        TfidfVectorizer(ngram_range=(1, 2), tokenizer=words, token_pattern=None, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    ]
    expected = [one.fit(texts).transform(texts + unseen) for one in theirs]
    for n, text in enumerate(texts + unseen):
        row = ours(count_grams(text))
        wanted = np.concatenate([part[[n]].data for part in expected])
        assert np.sort(row.values) == pytest.approx(np.sort(wanted), abs=1e-6)
        assert len(set(row.columns)) == len(row.columns)
    assert len(ours.idf) == sum(len(one.vocabulary_) for one in theirs)


async def test_banking_intents_are_told_apart_with_few_examples(encoder: Encoder) -> None:
    data = os.environ.get("FRONTDESK_EVAL_DATA")
    if not data:
        pytest.skip("FRONTDESK_EVAL_DATA is not set: BANKING77 is read from there")
    from bench.banking77 import read

    texts, labels = read(Path(data) / "banking77" / "train.csv")
    by_label: dict[str, list[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        by_label.setdefault(label, []).append(text)
    chosen = sorted(by_label)[:20]
    classifier = await train({name: by_label[name][:16] for name in chosen}, encoder)
    asked = [(text, name) for name in chosen for text in by_label[name][16:24]]
    found = [(await classifier.classify(text)).intent for text, _ in asked]
    assert np.mean([a == b for a, (_, b) in zip(found, asked, strict=True)]) > 0.85
