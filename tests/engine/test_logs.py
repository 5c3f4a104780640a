import asyncio
import io
import logging

import orjson
import pytest

from engine.logs import Format
from engine.scope import Scope, scope

SAID = "my-card-4711-was-stolen"


def logged(form: Format, name: str = "engine.test") -> tuple[logging.Logger, io.StringIO]:
    """A logger of its own on a stream."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(form)
    logger = logging.Logger(name)
    logger.addHandler(handler)
    return logger, stream


def fail() -> None:
    try:
        raise KeyError(SAID)
    except KeyError as error:
        raise ValueError(f"no {SAID}") from error


@pytest.mark.parametrize("json", [True, False], ids=["json", "text"])
def test_an_exception_is_its_classes_and_places_and_not_what_it_quotes(json: bool) -> None:
    logger, stream = logged(Format(json=json, verbose=False))
    try:
        fail()
    except ValueError:
        logger.exception("it failed")
    assert SAID not in stream.getvalue()
    assert "builtins.ValueError" in stream.getvalue()
    assert "builtins.KeyError" in stream.getvalue()
    assert "test_logs.py:" in stream.getvalue()


@pytest.mark.parametrize("json", [True, False], ids=["json", "text"])
def test_whoever_asks_for_debug_reads_the_whole_exception(json: bool) -> None:
    logger, stream = logged(Format(json=json, verbose=True))
    try:
        fail()
    except ValueError:
        logger.exception("it failed")
    assert f"ValueError: no {SAID}" in stream.getvalue()


async def test_what_asyncio_says_of_a_lost_exception_does_not_quote_it() -> None:
    logger, stream = logged(Format(json=True, verbose=False), "asyncio")
    task = asyncio.create_task(asyncio.to_thread(fail))
    await asyncio.wait({task})
    logger.error("Task exception was never retrieved\nfuture: %s", task, exc_info=task.exception())
    line = orjson.loads(stream.getvalue())
    assert SAID not in stream.getvalue()
    assert line["message"] == "Task exception was never retrieved"


def test_a_record_within_a_run_says_whose_it_is() -> None:
    logger, stream = logged(Format(json=True, verbose=False))
    user = {"identity": "ann@example.com"}  # who is not to be in a log
    token = scope.set(Scope("support", "run-1", "thread-1", "acme", "retrieve", user))
    logger.warning("slow: %s", 3, extra={"seconds": 0.5, "text": SAID})
    scope.reset(token)
    logger.warning("outside")
    inside, outside = map(orjson.loads, stream.getvalue().splitlines())
    assert inside.pop("time") <= outside["time"]
    assert inside == {
        "level": "WARNING",
        "logger": "engine.test",
        "message": "slow: 3",
        "graph": "support",
        "run_id": "run-1",
        "thread_id": "thread-1",
        "tenant": "acme",
        "node": "retrieve",
        "seconds": 0.5,
    }
    assert outside.keys() == {"time", "level", "logger", "message"}
