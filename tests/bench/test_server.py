import subprocess
import sys

import pytest


@pytest.mark.long
@pytest.mark.requires("redis-server", "valkey-server")
def test_the_comparison_prints_every_row_and_goal() -> None:
    only = ["bare", "official", "tiered", "server"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.server", "--quick", "--durability", "async", "--only", *only],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode in {0, 1}, done.stderr
    for name in (
        "in process, no checkpointer",
        "in process, official Postgres saver",
        "in process, our checkpointer",
        "our server",
    ):
        assert f"| {name} | " in done.stdout
    for goal in ("a wait alone takes more", "the first token", "turn 100", "idle it takes"):
        assert goal in done.stdout
    assert "MB at 20 threads" in done.stdout


@pytest.mark.long
@pytest.mark.requires("redis-server", "valkey-server")
def test_a_checkout_is_compared_with_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.server.against", ".", "--rounds", "1"],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [row[0:2] for row in rows] == [
        [f"| {durability}", str(width)] for durability in ("exit", "async") for width in (1, 4)
    ]
    for *_, cpu, p50 in rows:
        for figures in (cpu, p50.removesuffix(" |")):
            assert all(float(each) > 0 for each in figures.split(", "))
