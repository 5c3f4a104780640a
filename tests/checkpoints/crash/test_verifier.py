import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointMetadata, empty_checkpoint

from checkpoints.errors import Superseded
from tests.checkpoints.crash.journal import Journal, Save, state_digest
from tests.checkpoints.crash.targets import EPOCH, Site, open_saver
from tests.checkpoints.crash.verifier import Rules, run_verifier

CHECKPOINT = empty_checkpoint()
METADATA: CheckpointMetadata = {"source": "loop", "step": 0, "parents": {}}
SAVE = Save(
    "t", "", CHECKPOINT["id"], digest=state_digest(CHECKPOINT, METADATA), epoch=1
)  # fmt: skip


@pytest.fixture
def site(redis_url: str) -> Site:
    return Site("redis", "", redis_url, "verified:")


@pytest.fixture
async def saver(site: Site) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    async with open_saver(site) as saver:
        yield saver


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Of the first owner."""
    return Journal(tmp_path / "journal-first")


async def put(saver: BaseCheckpointSaver[Any], journal: Journal, epoch: int | None = 1) -> None:
    number = journal.attempted(SAVE)
    try:
        await saver.aput(at(epoch), CHECKPOINT, METADATA, {})
    except Superseded as error:
        journal.raised(number, error)
    else:
        journal.acknowledged(number)


async def claim(saver: BaseCheckpointSaver[Any], folder: Path) -> None:
    await saver.aget_tuple(at(2))
    Journal(folder / "journal-second").note("fenced", "t 2")


def at(epoch: int | None) -> Any:
    owner = {} if epoch is None else {EPOCH: epoch}
    return {"configurable": {"thread_id": "t", "checkpoint_ns": "", **owner}}


async def violations(folder: Path, site: Site) -> list[str]:
    out = folder / "verdict"
    await asyncio.to_thread(run_verifier, folder, [site], Rules(), out)
    found: list[str] = json.loads(out.read_text())["violations"]
    return found


async def test_what_a_superseded_owner_sends_again_in_vain_is_no_violation(
    saver: BaseCheckpointSaver[Any], journal: Journal, site: Site, tmp_path: Path
) -> None:
    await put(saver, journal)
    await claim(saver, tmp_path)
    await put(saver, journal)
    assert "Superseded" in (tmp_path / "journal-first").read_text()
    assert await violations(tmp_path, site) == []


@pytest.mark.parametrize("before", [False, True])
async def test_what_a_superseded_owner_stores_is_one(
    saver: BaseCheckpointSaver[Any], journal: Journal, site: Site, tmp_path: Path, *, before: bool
) -> None:
    if before:
        await put(saver, journal)
    await claim(saver, tmp_path)
    await put(saver, journal, epoch=None)  # as if nothing held it off
    (found,) = await violations(tmp_path, site)
    assert "was put by a superseded owner" in found
