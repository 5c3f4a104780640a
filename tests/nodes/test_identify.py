import pytest

from nodes.confirm import heard
from nodes.identify import decision


@pytest.mark.parametrize(
    "said", ["yes", "Yes!", "yes please", "ok, go ahead", "Sure, do it.", "y", "I confirm", "Yep."]
)
def test_a_yes_is_heard(said: str) -> None:
    assert decision(said) == "yes"


@pytest.mark.parametrize(
    "said", ["no", "No, thanks", "nope", "don't", "never mind", "No, do not do that."]
)
def test_a_no_is_heard(said: str) -> None:
    assert decision(said) == "no"


@pytest.mark.parametrize(
    "said",
    [
        "yes but send it to my office instead",
        "no, cancel the other one, #W1234567",
        "what would it cost?",
        "yesterday I ordered a mug",
        "not sure",
        "",
    ],
)
def test_anything_else_is_neither(said: str) -> None:
    assert decision(said) is None


@pytest.mark.parametrize(
    ("answer", "word"),
    [(True, "yes"), (False, "no"), ({"decision": "yes"}, "yes"), ({"x": [1]}, None), (7, None)],
)
def test_a_resume_value_may_have_many_shapes(answer: object, word: str | None) -> None:
    assert heard(answer) == word
