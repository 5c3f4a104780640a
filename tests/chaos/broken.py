"""Builds with a fault each, to see that the campaign finds it: copies of the sources, edited."""

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PACKAGES = ("graphs", "nodes", "tools", "checkpoints", "engine", "server", "tests")


@dataclass(frozen=True)
class Build:
    """`edits` are (file, text, text instead); `said` is in what the campaign finds."""

    edits: tuple[tuple[str, str, str], ...]
    said: str
    faults: tuple[str, ...] = ()
    runs: int = 60


_DISPATCH = "engine/migrations/080_dispatch.sql"
_ASK = "engine/migrations/089_access.sql"

BUILDS = {
    "ignores the idempotency key": Build(
        ((_ASK, "if the_key is not null then", "if false then"),),
        "was not asked for",
        runs=100,
    ),
    "takes the newest run first": Build(
        ((_DISPATCH, "r.seq limit 1;", "r.seq desc limit 1;"),),
        "sent after it",
    ),
    "sends again without a key": Build(
        (("engine/effects.py", "retries=retries if honours_key else 0", "retries=retries"),),
        "keyless 2 times",
        runs=250,
    ),
    "drops events": Build(
        (
            (
                "engine/telling.py",
                "        self._tail.append(",
                "        self._seq += self._seq % 7 == 0\n        self._tail.append(",
            ),
        ),
        "a gap between",
    ),
    "leaves what was rolled back": Build(
        (
            (
                "engine/ending.py",
                '        if request.action == "rollback":\n            await self',
                '        if request.action == "nothing":\n            await self',
            ),
        ),
        "times in its thread",
        runs=150,
    ),
    "never takes over": Build(
        (("engine/claims.py", "for row in lost:", "for row in lost[:0]:"),),
        "has not ended",
        ("kill -9",),
        runs=150,
    ),
    "loses what it hands over": Build(
        (
            (
                "engine/claims.sql",
                "-- name: hand_over\nupdate frontdesk.runs\nset status = 'pending', "
                "worker = null, lease_until = null",
                "-- name: hand_over\nupdate frontdesk.runs\nset lease_until = '9999-01-01'",
            ),
        ),
        "has not ended",
        ("SIGTERM",),
        runs=150,
    ),
    "never raises the epoch": Build(
        ((_DISPATCH, "set epoch = nextval('frontdesk.epochs')", "set epoch = 1"),), "share 1"
    ),
    "lets zombies write and finish": Build(
        (
            (_DISPATCH, "if fence_schema is not null then", "if false then"),
            ("engine/claims.py", 'await self._fence.renew(conn, row["thread_id"])', "pass"),
            ("engine/fence.py", ", EPOCH: epoch}", "}"),
            (_DISPATCH, "r.epoch = at_epoch and r.status = 'running'", "true"),
            ("engine/dispatch.py", 'execution.stop("lost")', "pass"),
        ),
        "",
        ("pause",),
        runs=200,
    ),
}


def edited(build: Build, folder: Path) -> Path:
    """A copy of the sources in `folder` with the fault. Raises `ValueError` for text gone."""
    for name in _PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text, instead in build.edits:
        path = folder / file
        source = path.read_text()
        if text not in source:
            raise ValueError(f"{file} has no {text!r} to break")
        path.write_text(source.replace(text, instead))
    return folder
