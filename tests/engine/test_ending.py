"""What clients are told of an error."""

import asyncio

import pytest
from langgraph.errors import EmptyInputError, GraphRecursionError, InvalidUpdateError

from engine.ending import describe

MASKED = "An internal error occurred"


class Wrong(ValueError):
    """A graph's own, of a kind that is shown."""


class Secret(Exception):
    """A graph's own."""


@pytest.mark.parametrize(
    "kind",
    [
        *(ValueError, TypeError, AttributeError, RuntimeError, TimeoutError, RecursionError),
        *(NotImplementedError, Wrong, EmptyInputError, GraphRecursionError, InvalidUpdateError),
        asyncio.CancelledError,
    ],
)
def test_what_graphs_raise_on_purpose_is_shown(kind: type[BaseException]) -> None:
    assert describe(kind("said")) == {"error": kind.__name__, "message": "said"}


@pytest.mark.parametrize(
    "kind", [ZeroDivisionError, AssertionError, IndexError, NameError, OSError, Secret]
)
def test_what_happens_to_graphs_is_masked(kind: type[BaseException]) -> None:
    assert describe(kind("at 10.0.0.1")) == {"error": kind.__name__, "message": MASKED}


def test_a_missing_key_is_shown_as_python_says_it() -> None:
    assert describe(KeyError("name")) == {"error": "KeyError", "message": "'name'"}
