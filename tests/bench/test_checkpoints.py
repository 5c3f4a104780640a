"""The comparison of checkpointers runs and prints every row; how fast they are is no test."""

import subprocess
import sys

import pytest

from bench.checkpoints.contenders import NOTHING, OFFICIAL
from bench.checkpoints.table import Row, show


@pytest.mark.long
def test_the_quick_form_prints_every_measure_of_every_saver() -> None:
    command = [sys.executable, "-W", "error", "-m", "bench.checkpoints", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=230)
    assert (done.returncode, done.stderr) == (0, "")
    heading = next(line for line in done.stdout.splitlines() if line.startswith(" "))
    assert set(heading.split()) >= {"official", "postgres", "memory", "nothing"}
    for measure in (
        "turn 1-2, ms",
        "4 threads, turns/s",
        "thread of 6 turns, kB",
        "write-ahead log of a turn",
        "aget_tuple at 20, warm",
        "aget_tuple at 20, cold",
        "alist(limit=10)",
        "a read, round trips to Redis",
        "two processes",
    ):
        assert measure in done.stdout


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    row = Row("turn, ms", {OFFICIAL: [10, 20, 90], "postgres": [5, 4, 30]}, goal=3)
    assert row.ratio("postgres") == 3
    assert row.verdict() == ">= 3x official: reached"


def test_a_figure_of_which_more_is_better_is_compared_the_other_way_round() -> None:
    row = Row("turns/s", {NOTHING: [100], "postgres": [60]}, 0.65, NOTHING, more=True)
    assert row.verdict() == ">= 0.65x nothing: MISSED"


def test_what_was_not_measured_is_left_blank() -> None:
    rows = [Row("reads", {OFFICIAL: [2]}, exact=("tiered", 0)), Row("kB", {"postgres": [7]}, 40)]
    lines = show(rows, [OFFICIAL, "postgres"]).splitlines()
    assert lines[1].split() == ["reads", "2", "-", "-"]
    assert lines[2].split() == ["kB", "-", "7", "-"]
