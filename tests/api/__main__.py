"""Prints every scenario as the official server plays it and as ours does.

`python -m tests.api [WORD...]` plays the rows that have one of the words; with `--diff` it prints
what differs, too.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from bench.peer import PYTHON
from tests.api.differences import differ, listed, play_official, wrong
from tests.api.play import Outcome, play
from tests.api.registry import SCENARIOS
from tests.api.servers import frontdesk
from tests.folders import reachable_folder


async def main(words: Sequence[str]) -> int:
    """1 when a row differs that is not listed, or when ours fails one."""
    if not PYTHON.exists():
        print(f"The official server is not installed: {PYTHON} is missing.")
        return 1
    show = "--diff" in words
    chosen = [word for word in words if word != "--diff"]
    rows = [row for row in SCENARIOS if not chosen or any(word in row for word in chosen)]
    with ExitStack() as stack:
        stores = [
            {"FRONTDESK_DATA": str(stack.enter_context(reachable_folder()))} for _ in range(2)
        ]
        async with frontdesk(stores) as ours:
            both = await asyncio.gather(play_official(rows), play(ours, rows))
    return _report(rows, *both, show=show)


def _report(
    rows: Sequence[str],
    official: Mapping[str, Outcome],
    ours: Mapping[str, Outcome],
    *,
    show: bool,
) -> int:
    known, bad = listed(), 0
    print("| scenario | official | ours | same? |\n|---|---|---|---|")
    for row in rows:
        problem = wrong(official, ours, row)
        bad += problem is not None
        same = "yes" if not differ(official[row], ours[row]) else "listed" if row in known else "NO"
        cells = [_cell(official[row].summary()), _cell(ours[row].summary())]
        print(f"| {row} | {' | '.join(cells)} | {'FAILS' if ours[row].failure else same} |")
        if show and problem:
            print(problem)
    differing = sum(differ(official[row], ours[row]) for row in rows)
    print(f"\n{len(rows)} scenarios: {len(rows) - differing} the same, {differing} differ; "
          f"{bad} are wrong (unlisted, no longer different, or failed by ours).")  # fmt: skip
    return int(bad > 0)


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")[:120]


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
