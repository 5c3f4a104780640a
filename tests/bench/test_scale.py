"""The benchmark of scale runs and prints its tables; how far this machine goes is no test."""

import asyncio
import subprocess
import sys

import pytest

from bench.five import TOKENS, Pace
from bench.scale import knee, plan, workers
from bench.scale.client import Answer, ask


@pytest.mark.long
def test_the_quick_form_prints_both_tables() -> None:
    command = [sys.executable, "-W", "error", "-m", "bench.scale", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    for said in (
        "1 worker:",
        "2 workers:",
        "two carry",
        "knee predicted",
        "shed",
        "goal 1,500",
        "a turn takes",
    ):
        assert said in done.stdout


def _step(size: int, turns: int, milliseconds: float, *, shed: int = 0) -> knee.Step:
    sizes = knee.Sizes(Pace(0.9, 40), think_seconds=20)
    good = Answer(200, 0.92, sizes.model_seconds + 0.05, TOKENS, True, 0.0)
    away = Answer(429, None, 0.01, 0, True, 2.0)
    cpu = {"engine": milliseconds / 1000, "postgres": 0.001, "redis": 0.001, "client": 0.001}
    asked = {"commits": 7.0, "wal": 20_000.0, "commands": 30.0}
    return knee.Step(size, 10.0, [good] * turns + [away] * shed, cpu, {}, asked, sizes)


def test_the_knee_is_where_a_core_is_full() -> None:
    low = _step(200, 90, 20)
    assert round(low.knee) == round(50 * (20 + 0.9 + 59 / 40))
    assert round(low.added(95), 3) == 0.05
    assert round(low.added_first(50), 3) == 0.02


def test_a_knee_near_the_predicted_one_is_good_and_another_is_not() -> None:
    steps = [_step(200, 90, 20), _step(560, 250, 20), _step(2000, 480, 20, shed=900)]
    text, good = knee.verdict(steps)
    assert good
    assert "shed 900, failed 0" in text
    text, good = knee.verdict([*steps[:2], _step(2000, 300, 20)])
    assert not good


def test_what_conversations_need_follows_from_what_a_turn_takes() -> None:
    row = plan.says(_step(200, 90, 14).demands).splitlines()[3].split()
    assert row[0] == "10,000"
    assert row[1] == "447"  # 10,000 / (20 s of thinking + 2.375 s of model)
    assert row[2] == "1,061"  # Little: turns a second, times seconds of a turn
    assert row[3] == "8.9"  # 447 * 14 ms, at 70 %


def test_half_an_answer_is_no_turn() -> None:
    assert not Answer(200, 0.9, 2.4, TOKENS - 1, True, 0.0).good
    assert not Answer(200, 0.9, 2.4, TOKENS, False, 0.0).good
    assert not Answer(503, None, 0.1, 0, True, 0.0).shed  # it must say when to come again


def test_two_workers_are_compared_with_one() -> None:
    seen = [workers.Seen(1, 40, 0.010, 1, 0.8), workers.Seen(2, 78, 0.0105, 1, 0.8)]
    assert workers.verdict(seen)[1]
    assert not workers.verdict([seen[0], workers.Seen(2, 78, 0.012, 1, 0.8)])[1]
    assert not workers.verdict([seen[0], workers.Seen(2, 70, 0.010, 1, 0.8)])[1]


async def test_the_client_reads_tokens_across_pieces_and_the_wait_it_is_asked_for() -> None:
    replies = [
        [b"HTTP/1.1 200 OK\r\n\r\n10\r\nevent: cu", b"stom\r\n", b"0\r\n\r\n"],
        [b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\ncontent-length: 2\r\n\r\n{}"],
        [],
    ]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in replies.pop(0):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        whole, away, nothing = [await ask(port, "/", {}) for _ in range(3)]
    assert (whole.status, whole.tokens, whole.whole) == (200, 1, True)
    assert away.shed
    assert away.retry_after == 3
    assert (nothing.status, nothing.whole) == (0, False)
