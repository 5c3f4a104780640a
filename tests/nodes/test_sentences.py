from hypothesis import given
from hypothesis import strategies as st

from nodes.sentences import Sentences, split


def test_a_sentence_leaves_with_the_citations_behind_it() -> None:
    assert split("Take 14 days. [returns#1] [faq#2] It costs $1.50. Done?") == [
        "Take 14 days. [returns#1] [faq#2] ", "It costs $1.50. ", "Done?",
    ]  # fmt: skip


def test_abbreviations_and_initials_end_no_sentence() -> None:
    assert split("Dr. A. Smith, e.g. there. Next.") == ["Dr. A. Smith, e.g. there. ", "Next."]


@given(st.text(alphabet="ab. [#1]\n?", max_size=60), st.integers(1, 7))
def test_however_the_text_arrives_nothing_is_lost_or_reordered(text: str, size: int) -> None:
    sentences = Sentences()
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    out = [sentence for part in parts for sentence in sentences.feed(part)]
    assert "".join([*out, sentences.rest()]) == text
