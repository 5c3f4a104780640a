"""LangGraph's own suite, and a look at whether it ran at all of it."""

from collections.abc import AsyncIterator

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability

from tests.checkpoints.backends import Backend

_TESTS = {
    "put": 17,
    "put_writes": 10,
    "get_tuple": 10,
    "list": 16,
    "delete_thread": 5,
    "delete_for_runs": 7,
    "copy_thread": 8,
    "prune": 8,
}


async def test_the_official_suite_passes_with_every_capability_there_and_tested(
    backend: Backend,
) -> None:
    @checkpointer_test(name=type(backend).__name__)
    async def factory() -> AsyncIterator[BaseCheckpointSaver]:
        async with backend.open() as saver:
            yield saver

    report = await validate(factory)

    assert {name: result.failures for name, result in report.results.items()} == {
        name: [] for name in _TESTS
    }
    # The report calls itself FULL where capabilities are missing, so each is looked at.
    assert {capability.value for capability in Capability} == set(_TESTS)
    assert {name: result.tests_passed for name, result in report.results.items()} == _TESTS
    for result in report.results.values():
        assert result.detected
        assert result.passed is True
        assert result.tests_skipped == 0
        assert result.tests_failed == 0
