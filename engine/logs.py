"""Logs: one line a record, as text or JSON, with its run and without what customers wrote.

An exception's message may quote a customer, so of exceptions only classes and places are told,
unless the level is DEBUG.
"""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from traceback import walk_tb
from typing import Any

import orjson

from engine.scope import scope
from engine.settings import Settings
from engine.telemetry import ids

OURS = ("server", "graphs", "nodes", "tools", "engine", "checkpoints")

_WHOSE = ("graph", "run_id", "thread_id", "tenant", "node")  # not who asked: users have names
_MORE = ("graph", "node", "run_id", "thread_id", "tenant", "seconds")  # what `extra` may hold
_MOST_CAUSES = 10


def configure(settings: Settings) -> None:
    """Send this process's logs to stderr as the settings say, instead of whatever was set before.

    The level is that of Frontdesk's own packages; libraries are heard from WARNING on, or all of
    them when it is DEBUG.
    """
    level = settings.log_level
    handler = logging.StreamHandler()
    handler.setFormatter(Format(json=settings.log_format == "json", verbose=level == "DEBUG"))
    logging.basicConfig(
        handlers=[handler], level="WARNING" if level == "INFO" else level, force=True
    )
    for package in OURS:
        logging.getLogger(package).setLevel(level)


class Format(logging.Formatter):
    """`verbose` shows exceptions as Python does, with their messages."""

    def __init__(self, *, json: bool, verbose: bool) -> None:
        super().__init__()
        self._json = json
        self._verbose = verbose

    def format(self, record: logging.LogRecord) -> str:
        message, facts = self._message(record), _facts(record)
        error = record.exc_info[1] if record.exc_info else None
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = self._error(error) if error else None
        if self._json:
            line = {"time": moment, "level": record.levelname, "logger": record.name}
            failure = {"error": told} if told else {}
            return orjson.dumps(
                {**line, "message": message, **facts, **failure}, default=str
            ).decode()
        known = "".join(f" {name}={value}" for name, value in facts.items())
        tail = f"\n{told}" if self._verbose else "".join(map(_as_text, told or ()))
        return f"{moment} {record.levelname} {record.name}: {message}{known}{tail if told else ''}"

    def _message(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.name == "asyncio" and not self._verbose:
            return re.split(r"[\n(]", message)[0].strip()  # then come reprs, exceptions among them
        return message

    def _error(self, error: BaseException) -> Any:
        if self._verbose:
            return self.formatException((type(error), error, error.__traceback__))
        return list(_causes(error))


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """Whose record it is, as far as that is known."""
    where = scope.get()
    named = {name: getattr(where, name) for name in _WHOSE} if where else {}
    facts = {**named, **ids()}
    facts |= {name: vars(record)[name] for name in _MORE if name in vars(record)}
    return {name: value for name, value in facts.items() if value != ""}


def _causes(error: BaseException) -> Iterator[dict[str, Any]]:
    """The exception and what led to it, each as its class and its frames, the innermost last."""
    following: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if following is None:
            return
        kind = type(following)
        frames = [
            f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
            for frame, line in walk_tb(following.__traceback__)
        ]
        yield {"class": f"{kind.__module__}.{kind.__qualname__}", "frames": frames}
        silent = following.__suppress_context__
        following = following.__cause__ or (None if silent else following.__context__)


def _as_text(cause: dict[str, Any]) -> str:
    return "\n" + "\n  ".join([cause["class"], *cause["frames"]])
