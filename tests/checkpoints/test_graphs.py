"""Real graphs come to the same states and histories as with `InMemorySaver`."""

from typing import Any
from uuid import uuid4

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Durability

from tests.checkpoints.scenarios import ALL, Scenario

_expected: dict[tuple[Scenario, Durability], Any] = {}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("scenario", ALL, ids=lambda one: one.__name__)
async def test_a_graph_lives_through_the_same_as_in_memory(
    saver: BaseCheckpointSaver, scenario: Scenario, durability: Durability
) -> None:
    key = (scenario, durability)
    if key not in _expected:
        _expected[key] = await scenario(InMemorySaver(), "thread", durability)
    assert await scenario(saver, str(uuid4()), durability) == _expected[key]
