from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engine.knowledge import Passage, compress
from engine.knowledge.compress import sentences, tokens
from tests.fakes.encoder import WordEncoder

RETURNS = (
    "Our shop opened in 1998 in a small street near the harbour. "
    "You can return shoes within 30 days of delivery. But worn shoes cannot be returned. "
    "The parcel label is printed at home, e.g. on plain paper. "
    "Refunds of up to $12.50 go to gift card_4471 and never to cash. "
    "Many of our customers also like the colourful socks that we knit ourselves."
)
SHIPPING = "Parcels leave daily at 5 p.m. sharp.\n\n- Express costs 9.90.\n- Standard is free."


def passage(name: str, text: str) -> Passage:
    return Passage(f"{name}#1", name, name, name.capitalize(), None, text, 1.0, 1)


BOTH = [passage("returns", RETURNS), passage("shipping", SHIPPING)]


def price(passages: list[Passage]) -> int:
    return sum(12 + tokens(one.id) + tokens(one.heading) + tokens(one.text) for one in passages)


async def test_what_fits_is_left_alone():
    encoder = WordEncoder()
    assert await compress("anything", BOTH, encoder, 1000) == BOTH
    assert encoder.seen == []


async def test_the_sentence_that_answers_is_kept():
    (kept,) = await compress("Can I return shoes?", BOTH, WordEncoder(), 50)
    assert kept.id == "returns#1"
    assert "return shoes within 30 days" in kept.text
    assert "harbour" not in kept.text


async def test_a_rule_is_kept_together_with_its_exception():
    (kept,) = await compress("Can I return shoes?", BOTH, WordEncoder(), 50)
    assert "But worn shoes cannot be returned." in kept.text


async def test_numbers_and_negations_of_a_kept_sentence_stay():
    kept = await compress("Where do refunds go, to a gift card?", BOTH, WordEncoder(), 55)
    assert "Refunds of up to $12.50 go to gift card_4471 and never to cash." in kept[0].text


async def test_sentences_stay_in_their_order():
    (kept,) = await compress("shoes refunds", BOTH[:1], WordEncoder(), 80)
    places = [RETURNS.index(part.strip()) for part in sentences(kept.text)]
    assert len(places) > 1
    assert places == sorted(places)


async def test_what_overlapping_passages_share_is_said_once():
    twice = [BOTH[0], replace(BOTH[0], id="returns#2")]
    kept = await compress("Can I return shoes?", twice, WordEncoder(), 110)
    assert "".join(one.text for one in kept).count("within 30 days") == 1


async def test_nothing_is_kept_when_nothing_fits():
    assert await compress("shoes", BOTH, WordEncoder(), 5) == []
    assert await compress("shoes", [], WordEncoder(), 5) == []


@given(
    text=st.text(alphabet="ab1.!? \n-,'\"é。But", max_size=300),
    budget=st.integers(min_value=0, max_value=120),
)
async def test_the_budget_is_never_exceeded_and_no_word_is_touched(text, budget):
    given_ = [passage("one", text), passage("two", SHIPPING)]
    kept = await compress("a 1 b", given_, WordEncoder(), budget)
    assert price(kept) <= budget
    whole = {one.id: [part.strip() for part in sentences(one.text)] for one in given_}
    for one in kept:
        for part in sentences(one.text):
            assert any(part.strip() in sentence for sentence in whole[one.id])


@given(st.text(max_size=400))
def test_sentences_join_to_the_text(text):
    assert "".join(sentences(text)) == text


def test_sentences_do_not_end_at_abbreviations_prices_or_addresses():
    assert sentences("See e.g. Dr. Ada at https://a.b/c. It costs 3.50. Yes.") == [
        "See e.g. Dr. Ada at https://a.b/c. ", "It costs 3.50. ", "Yes."
    ]  # fmt: skip


def test_tokens_are_counted_on_the_safe_side():
    assert tokens("") == 0
    assert tokens("Where is my order?") >= 5
    assert tokens("我的订单在哪里") == 7
