"""kill -9 of clients, Postgres and Redis: nothing acknowledged is lost, torn or doubled."""

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.checkpoints.crash.campaign import Report, parsed
from tests.checkpoints.crash.kinds import kinds_for
from tests.checkpoints.crash.targets import Order

pytestmark = pytest.mark.requires("redis-server", "valkey-server")

_RUNS = {"postgres": 120, "redis": 80, "tiered": 140}
_CAMPAIGN = 20
"""Runs on the same servers: a campaign's own start takes as long as two of them."""
_AT_ONCE = 3


def campaign(orders: Sequence[Order]) -> list[Report]:
    words = [str(order) for order in orders]
    program = [sys.executable, "-m", "tests.checkpoints.crash.campaign", *words]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [parsed(line) for line in done.stdout.splitlines()]


def campaigns(orders: Sequence[Sequence[Order]]) -> list[Report]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [report for reports in pool.map(campaign, orders) for report in reports]


def random_orders(saver: str, runs: int) -> Iterator[list[Order]]:
    """In campaigns. Each kind's share is its weight."""
    kinds = kinds_for(saver)
    deck = [name for name, kind in kinds.items() for _ in range(kind.weight)]
    base = random.getrandbits(32)
    orders = [Order(saver, deck[n % len(deck)], str(base + n)) for n in range(runs)]
    random.shuffle(orders)
    for start in range(0, runs, _CAMPAIGN):
        yield orders[start : start + _CAMPAIGN]


def table(reports: Sequence[Report]) -> str:
    """Tallies by kind."""
    lines = [f"\n{'':44}{'runs':>6}{'acked':>8}{'present':>9}{'absent':>8}{'raised':>8}{'s':>7}"]
    names = sorted({(report.order.saver, report.order.kind) for report in reports})
    for saver, kind in [*names, ("", "all")]:
        of = [one for one in reports if not saver or f"{one.order}".startswith(f"{saver}:{kind}:")]
        sums = [
            sum(getattr(one.verdict, name) for one in of)
            for name in ("acknowledged", "present", "absent", "raised")
        ]
        seconds = sum(one.seconds for one in of)
        lines.append(
            f"{saver:9}{kind:35}{len(of):6}{sums[0]:8}{sums[1]:9}{sums[2]:8}{sums[3]:8}{seconds:7.0f}"
        )
    return "\n".join(lines) + "\n"


def failures(reports: Sequence[Report]) -> list[str]:
    return [
        f"{report.order}\n  " + "\n  ".join(report.verdict.violations[:5])
        for report in reports
        if report.verdict.violations
    ]


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_hundreds_of_random_kills_lose_tear_and_double_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    batches = [batch for saver, runs in _RUNS.items() for batch in random_orders(saver, runs)]
    reports = campaigns(random.sample(batches, len(batches)))
    with capsys.disabled():
        sys.stdout.write(table(reports))
    assert not failures(reports), "\n".join(failures(reports))
    assert len(reports) == sum(_RUNS.values())


def test_a_kill_of_each_sort_loses_tears_and_doubles_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kinds = {
        "postgres": ("client dies at a point", "Postgres dies", "Postgres' answers are lost"),
        "redis": ("client dies", "Redis and client die"),
        "tiered": ("Redis lies stale", "Redis is flushed", "everything dies"),
    }
    seed = str(random.getrandbits(32))
    reports = campaigns(
        [[Order(saver, kind, seed) for kind in some] for saver, some in kinds.items()]
    )
    with capsys.disabled():
        sys.stdout.write(table(reports))
    assert not failures(reports), "\n".join(failures(reports))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_verifier_finds_what_a_broken_saver_does() -> None:
    faults = {
        Order("hasty", "client dies at a point", "29"): "lost",
        Order("forgetful", "nobody dies", "1"): "Torn",
        # Whether the kill falls into the gap is chance: one of three does.
        Order("piecemeal", "client dies at a point", "58"): "came before the writes of",
        Order("piecemeal", "client dies at a point", "59"): "came before the writes of",
        Order("piecemeal", "client dies at a point", "60"): "came before the writes of",
        Order("doubling", "nobody dies", "1"): "are doubled",
        Order("stale", "nobody dies", "1"): "stale head",
    }
    found: dict[str, list[bool]] = {}
    for report in campaign(list(faults)):
        said = "\n".join(report.verdict.violations)
        found.setdefault(report.order.saver, []).append(faults[report.order] in said)
    assert all(map(any, found.values())), found
