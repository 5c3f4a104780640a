from itertools import pairwise

from engine.knowledge import Draft
from nodes.ingest.split import pieces


def draft(body: str, title: str = "Returns") -> Draft:
    return Draft("returns", "returns.md", title, body)


def test_a_passage_knows_the_headings_it_stands_under():
    body = (
        "# Returns\nIntro.\n## How long\nThirty days.\n### Shoes\nForty.\n## Who pays\nWe do.\n"
        "# Appendix\nThe end."
    )
    assert [(piece.heading, piece.text) for piece in pieces(draft(body))] == [
        ("Returns", "Intro."),
        ("Returns \u203a How long", "Thirty days."),
        ("Returns \u203a How long \u203a Shoes", "Forty."),
        ("Returns \u203a Who pays", "We do."),
        ("Returns \u203a Appendix", "The end."),
    ]


def test_paragraphs_lists_and_tables_keep_their_lines():
    body = "One\ntwo.\n\nThree:\n\n- four\n- five\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    (piece,) = pieces(draft(body))
    assert piece.text.splitlines() == [
        "One", "two.", "", "Three:", "", "- four", "- five", "", "| a | b |", "|---|---|",
        "| 1 | 2 |",
    ]  # fmt: skip


def test_a_hash_inside_code_is_no_heading():
    (piece,) = pieces(draft("Type:\n```\n# make\n```\nDone."))
    assert "# make" in piece.text


def test_long_sections_are_cut_between_sentences_and_overlap_by_one_or_two():
    sentences = [f"Sentence number {n} says that parcel {n} has left the house." for n in range(60)]
    cut = pieces(draft(" ".join(sentences)))
    assert len(cut) > 4
    for piece in cut:
        assert 60 < len(piece.text.split()) <= 120
        assert piece.text.startswith("Sentence number")
        assert piece.text.endswith("house.")
    for before, after in pairwise(cut):
        shared = [one for one in sentences if one in before.text and one in after.text]
        assert len(shared) in (1, 2)
    together = " ".join(piece.text for piece in cut)
    assert all(sentence in together for sentence in sentences)


def test_languages_without_spaces_are_cut_too():
    cut = pieces(draft("我们的商店每天九点开门。" * 200))
    assert len(cut) > 5
    assert all(len(piece.text) <= 400 and piece.text.endswith("。") for piece in cut)


def test_one_endless_word_is_cut():
    cut = pieces(draft("x" * 5000))
    assert max(len(piece.text) for piece in cut) < 1000


def test_a_document_of_headings_only_is_one_passage():
    (piece,) = pieces(draft("# Returns\n## Soon"))
    assert "Soon" in piece.text
