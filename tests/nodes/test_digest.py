from typing import Any

import pytest

from nodes.digest import digest

ASKED: dict[str, Any] = {
    "messages": [
        {"type": "human", "content": "Where is my parcel?"},
        {"type": "ai", "content": "On its way."},
        {"type": "human", "content": [{"type": "text", "text": "Thanks"}]},
    ],
    "request": {"intent": "track_order"},
    "verdict": {"accepted": True},
}


def test_a_conversation_is_told_in_a_few_words() -> None:
    found = digest({**ASKED, "effects": [{"text": "Opened ticket T-1."}]})
    assert found
    assert (found.intent, found.outcome, found.turns) == ("track_order", "answered", 2)
    assert found.text == (
        "The customer wrote: Where is my parcel? Done: Opened ticket T-1. Now: answered."
    )


def test_the_running_summary_says_more_than_the_first_words() -> None:
    found = digest({**ASKED, "summary": "Two parcels were lost."})
    assert found
    assert found.text == "Two parcels were lost. Now: answered."


@pytest.mark.parametrize(
    ("left", "outcome"),
    [
        ({"pending": [{"text": "cancel"}]}, "waiting for the customer's yes"),
        ({"actions": [{"kind": "handoff"}]}, "handed over"),
        ({"refusal": "abuse"}, "refused"),
        ({"verdict": None}, "open"),
    ],
)
def test_the_outcome_is_where_it_was_left(left: dict[str, Any], outcome: str) -> None:
    found = digest({**ASKED, **left})
    assert found
    assert found.outcome == outcome


def test_long_words_are_cut_and_silence_is_nothing() -> None:
    found = digest({"messages": [{"type": "human", "content": "a" * 9000}], "summary": "b" * 9000})
    assert found
    assert len(found.text) == 600
    assert digest({"messages": [{"type": "ai", "content": "Hello"}]}) is None
    assert digest({}) is None
