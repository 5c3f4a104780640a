"""The soak tells what is flat from what grows, and runs."""

import subprocess
import sys

import pytest

from bench import soak


def _samples(**growing: float) -> list[soak.Sample]:
    names = {measure.name for measure in soak.MEASURES} | {"runs"}
    return [
        {name: 1000.0 + n * growing.get(name, 0.0) for name in names} | {"runs": 100.0 * n}
        for n in range(90)
    ]


def test_what_stands_still_is_flat() -> None:
    text, flat = soak.table(_samples(run_bytes=150_000))
    assert flat
    assert "GROWS" not in text


def test_a_leak_of_connections_is_seen() -> None:
    text, flat = soak.table(_samples(backends=0.2))
    assert not flat
    assert [line.split()[0] for line in text.splitlines() if "GROWS" in line] == ["Postgres"]


def test_runs_that_leave_more_and_more_behind_are_seen() -> None:
    samples = _samples()
    for n, sample in enumerate(samples):
        sample["checkpoint_bytes"] = 10.0 * n**3
    measure = next(m for m in soak.MEASURES if m.name == "checkpoint_bytes")
    assert not soak.compare(samples, measure)[2]


def _run(*args: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-m", "bench.soak", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=230)


@pytest.mark.long
def test_the_shortest_soak_prints_every_measure() -> None:
    done = _run("--minutes", "0.15", "--conversations", "5")
    assert done.stderr == ""
    for measure in soak.MEASURES:
        assert measure.title in done.stdout
    assert "failed" not in done.stdout


@pytest.mark.long
def test_conversations_leave_nothing_open() -> None:
    done = _run("--minutes", "1.5", "--conversations", "30")  # a slow machine keeps up with them
    assert "failed" not in done.stdout, done.stdout
    for title in ("Postgres connections", "Redis connections", "rows of jobs"):
        line = next(line for line in done.stdout.splitlines() if line.startswith(title))
        assert line.endswith("flat"), done.stdout
