"""Keeps this process's claims alive, whatever its event loop is busy with."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow, dict_row

from engine.database import statements

log = logging.getLogger(__name__)

_SILENT_SECONDS = 60.0  # a loop that said nothing for so long is not worth a lease

OnBeat = Callable[[frozenset[UUID], Sequence[DictRow]], None]
"""Called on the event loop with the runs that were asked for and the rows still ours."""


class Lease:
    """A thread with its own connection that renews the lease of the runs held here.

    A thread, because a tool that blocks the event loop must not cost the runs beside it.
    """

    def __init__(self, dsn: str, worker: str, seconds: float, on_beat: OnBeat) -> None:
        self._dsn = dsn
        self._worker = worker
        self._seconds = seconds
        self._on_beat = on_beat
        self._loop = asyncio.get_running_loop()
        self._sql = statements("engine", "claims.sql")["beat"]
        self._held: frozenset[UUID] = frozenset()
        self._stop = threading.Event()
        self._heard = time.monotonic()
        self._thread = threading.Thread(target=self._beat_for_ever, name="lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hold(self, run_id: UUID) -> None:
        self._held |= {run_id}

    def release(self, run_id: UUID) -> None:
        self._held -= {run_id}

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    def _beat_for_ever(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(
                    self._dsn, autocommit=True, prepare_threshold=None, row_factory=dict_row
                ) as conn:
                    while not self._stop.wait(self._seconds / 3):
                        self._beat(conn)
            except psycopg.OperationalError as error:
                log.warning("leases cannot be renewed (%s): trying again", error)
                self._stop.wait(self._seconds / 3)

    def _beat(self, conn: psycopg.Connection[dict[str, Any]]) -> None:
        silent = time.monotonic() - self._heard > _SILENT_SECONDS
        held = self._held  # before the query: what is claimed meanwhile is not missing from it
        if held and not silent:
            args = {"runs": list(held), "worker": self._worker, "lease": self._seconds}
            rows = conn.execute(self._sql, args).fetchall()
            self._loop.call_soon_threadsafe(self._on_beat, held, rows)
        self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        self._heard = time.monotonic()
