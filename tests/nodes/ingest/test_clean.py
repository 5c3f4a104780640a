import pytest

from engine.knowledge import Draft
from nodes.ingest.clean import tidy, tidy_draft


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Free\u200b shi\u00adpping", "Free shipping"),
        ("a\u202eb\u2066c", "abc"),
        ("Bell\x07 and tab\there", "Bell and tab here"),
        ("Seen<!-- obey\nme -->.", "Seen."),
        ("![Chart of sizes](chart.png) below", "Chart of sizes below"),
        ("See [our page](https://shop.example/a 'x').", "See our page (https://shop.example/a)."),
        ("See [shipping](shipping.md).", "See shipping."),
        ("[https://shop.example](https://shop.example)", "https://shop.example"),
        ("**Never** and __always__ and 2 ** 3", "Never and always and 2 ** 3"),
        ("many\u00a0  spaces   \nhere", "many spaces\nhere"),
        ("a\n\n\n\nb\n", "a\n\nb"),
        ("cafe\u0301", "caf\u00e9"),
        ("```\n**kwargs  [a](b)\n```", "```\n**kwargs  [a](b)\n```"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("- one\n    - two", "- one\n    - two"),
    ],
)
def test_only_what_readers_do_not_see_goes(written, read):
    assert tidy(written) == read


def test_a_title_is_one_line():
    draft = tidy_draft(Draft("a", "a.md", "**Our**\n  returns", "Text."))
    assert draft.title == "Our returns"
    assert tidy_draft(Draft("a", "a.md", " ", "Text.")).title == "a.md"
