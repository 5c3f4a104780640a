"""The scenarios by their rows."""

from collections.abc import Awaitable, Callable, Iterable

from tests.api.api import Api

Scenario = Callable[[Api], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}
ALONE: set[str] = set()
"""Rows that are played after all others, because the official server lets others feel them."""


def scenario(*rows: str, alone: bool = False) -> Callable[[Scenario], Scenario]:
    """It asks, and asserts what both servers must answer; its record is what is compared."""

    def register(play: Scenario) -> Scenario:
        add(play, rows)
        ALONE.update(rows if alone else ())
        return play

    return register


def add(play: Scenario, rows: Iterable[str]) -> None:
    for row in rows:
        assert row not in SCENARIOS, f"there are two scenarios of {row}"
        SCENARIOS[row] = play
