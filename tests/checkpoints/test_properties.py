"""Whatever a thread lives through, it reads back as from `InMemorySaver`, in every process."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver

from tests.checkpoints.backends import Backend
from tests.checkpoints.histories import Life, edited, histories

_ANY_PACE = {"deadline": None, "suppress_health_check": list(HealthCheck)}
_AT_ONCE = (Phase.explicit, Phase.reuse, Phase.generate)  # the long test makes examples small


@pytest.fixture(scope="module")
async def reader(backend: Backend) -> AsyncIterator[BaseCheckpointSaver]:
    """A process that sees a thread for the first time when its history is over."""
    async with backend.open() as saver:
        yield saver


async def live(
    history: Any,
    saver: BaseCheckpointSaver,
    other: BaseCheckpointSaver,
    reader: BaseCheckpointSaver,
) -> None:
    with_log, kind, events = history
    life = Life((saver, other), with_log, kind)
    await life.live(events)
    for each in (reader, saver, other):
        await life.compare(each)


@given(history=histories)
@settings(max_examples=15, phases=_AT_ONCE, **_ANY_PACE)
async def test_a_random_history_reads_as_in_memory(
    history: Any,
    saver: BaseCheckpointSaver,
    other: BaseCheckpointSaver,
    reader: BaseCheckpointSaver,
) -> None:
    await live(history, saver, other, reader)


@pytest.mark.long
@pytest.mark.timeout(3000)
@given(history=histories)
@settings(max_examples=600, **_ANY_PACE)
async def test_very_many_random_histories_read_as_in_memory(
    history: Any,
    saver: BaseCheckpointSaver,
    other: BaseCheckpointSaver,
    reader: BaseCheckpointSaver,
) -> None:
    await live(history, saver, other, reader)


def test_an_edit_in_place_changes_nothing_that_was_drawn() -> None:
    drawn = HumanMessage("as drawn")
    values = edited({}, {"messages": [("append", [drawn]), ("in place", 0, "changed")]})
    assert values["messages"][0].content == "changed"
    assert drawn.content == "as drawn"
