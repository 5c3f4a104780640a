"""Where the two servers may differ: the table in `docs/compatibility.md`."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.api.play import Outcome, play
from tests.api.servers import official

DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"
_ROW = re.compile(r"^\| `(?P<row>[^`]+)` \| (?P<official>.+) \| (?P<ours>.+) \| (?P<reason>.+) \|$")


@dataclass(frozen=True)
class Difference:
    """Why a row differs, and how, in words."""

    official: str
    ours: str
    reason: str


def listed() -> dict[str, Difference]:
    """By row. A row that is listed twice raises `AssertionError`."""
    found: dict[str, Difference] = {}
    for line in DOCUMENT.read_text().splitlines():
        if match := _ROW.match(line):
            row, *told = match.groups()
            assert row not in found, f"{row} is listed twice"
            found[row] = Difference(*told)
    return found


async def play_official(rows: Sequence[str]) -> dict[str, Outcome]:
    """On a server of its own; scenarios that break off and are not listed once more on another.

    Under load it forgets time, and what one scenario leaves may hinder another.
    """
    async with official() as place:
        found = await play(place, rows)
    broken = [row for row in rows if found[row].failure and row not in listed()]
    if broken:
        async with official() as place:
            found |= await play(place, broken)
    return found


def differ(theirs: Outcome, ours: Outcome) -> bool:
    return theirs.compared() != ours.compared()


def wrong(theirs: Mapping[str, Outcome], ours: Mapping[str, Outcome], row: str) -> str | None:
    """What is wrong with this row, if anything is: ours fails, or the list is not the truth."""
    if ours[row].failure:
        return f"ours fails: {ours[row].summary()}\n{ours[row].trace}"
    if not theirs:
        return None
    expected, found = row in listed(), differ(theirs[row], ours[row])
    if found and not expected:
        difference = _difference(theirs[row], ours[row])
        return f"differs, and is not listed in docs/compatibility.md:\n{difference}"
    return "is listed in docs/compatibility.md, and does not differ" if expected > found else None


def _difference(theirs: Outcome, ours: Outcome) -> str:
    told = [f"{one.compared()}\n{one.trace}".splitlines() for one in (theirs, ours)]
    return "\n".join(difflib.unified_diff(*told, "official", "ours", lineterm=""))
