"""Processes, servers and wires fail at random: nothing is lost, doubled or stuck."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.broken import BUILDS, ROOT, edited

pytestmark = pytest.mark.requires("redis-server", "valkey-server")


def campaign(*words: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "tests.chaos.campaign", *words]
    return subprocess.run(program, cwd=root, capture_output=True, text=True, check=False)


def survived(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    done = campaign(*words, "--seed", str(random.getrandbits(32)))
    with capsys.disabled():
        sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def is_caught(name: str, folder: Path) -> None:
    """In one of three campaigns: what faults hit is chance."""
    build = BUILDS[name]
    root = edited(build, folder)
    words = ["--runs", str(build.runs), "--threads", "20", "--patience", "15"]
    said = ""
    for seed in ("1", "2", "3"):
        done = campaign(*words, "--seed", seed, "--faults", *build.faults, root=root)
        said += done.stdout + done.stderr
        found = [line for line in done.stdout.splitlines() if line.startswith("VIOLATION")]
        if done.returncode == 1 and any(build.said in line for line in found):
            return
    pytest.fail(said)


def test_a_short_campaign_loses_doubles_and_sticks_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    survived(capsys, "--runs", "80", "--threads", "20")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_thousand_runs_on_a_hundred_threads_are_neither_lost_nor_doubled_nor_stuck(
    capsys: pytest.CaptureFixture[str],
) -> None:
    survived(capsys, "--runs", "1000", "--threads", "100")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BUILDS)
def test_a_broken_build_is_caught(name: str, tmp_path: Path) -> None:
    is_caught(name, tmp_path)


@pytest.mark.parametrize("name", BUILDS)
def test_what_a_broken_build_breaks_is_in_the_sources(name: str, tmp_path: Path) -> None:
    edited(BUILDS[name], tmp_path)
