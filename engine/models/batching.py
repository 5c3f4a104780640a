"""Runs a local embedding model on threads of its own, so that the event loop never waits."""

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Lock
from typing import TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # has no stubs

from engine.models.minilm import Array

Embed: TypeAlias = Callable[[Sequence[str]], Array]
"""A model: texts in, vectors (n, d) of length 1 out. Called on several threads at once."""

_Place: TypeAlias = "tuple[asyncio.Future[Array], slice]"  # a batch, and whose part of it

_BATCH_TEXTS = 32
_BATCH_CHARS = 4_000  # about 0.3 s of work: so long may a question wait behind an ingest
_REMEMBERED = 1_024


class BatchingEncoder:
    """An `Encoder` over a local model, which is loaded at the first use.

    Texts that wait while all threads work are embedded together, which for short ones costs a
    third of the time. The last questions are remembered: several steps of a turn embed the same.
    """

    def __init__(
        self, name: str, dimensions: int, load: Callable[[], Embed], threads: int | None = None
    ) -> None:
        self.name = name
        self.dimensions = dimensions
        self._load = load
        self._model: Embed | None = None
        self._loading = Lock()
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="encoder")
        self._working = 0
        self._waiting: deque[tuple[Sequence[str], asyncio.Future[_Place]]] = deque()
        self._recent: OrderedDict[str, Array] = OrderedDict()

    async def encode(self, texts: Sequence[str]) -> Array:
        """Vectors (n, dimensions), float32, of length 1."""
        if len(texts) == 1:
            return await self._encode_question(texts[0])
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        batches = _batches(texts)

        async def lane() -> None:
            for part in batches:
                vectors[part] = await self._submit(texts[part])

        # As many lanes as threads: a question that comes later waits for a batch, not for them all.
        await asyncio.gather(*(lane() for _ in range(self._threads)))
        return vectors

    async def _encode_question(self, text: str) -> Array:
        if text not in self._recent:
            vectors = await self._submit([text])
            self._recent[text] = vectors
            if len(self._recent) > _REMEMBERED:
                self._recent.popitem(last=False)
            return vectors.copy()
        self._recent.move_to_end(text)
        return self._recent[text].copy()

    async def _submit(self, texts: Sequence[str]) -> Array:
        place: asyncio.Future[_Place] = asyncio.get_running_loop().create_future()
        self._waiting.append((texts, place))
        self._dispatch()
        batch, part = await place
        # Others may wait for the same batch: our cancellation is not theirs.
        return (await asyncio.shield(batch))[part]

    def _dispatch(self) -> None:
        while self._waiting and self._working < self._threads:
            texts: list[str] = []
            places: list[tuple[asyncio.Future[_Place], slice]] = []
            while self._waiting and (not texts or _fits(texts, self._waiting[0][0])):
                more, place = self._waiting.popleft()
                if not place.cancelled():
                    places.append((place, slice(len(texts), len(texts) + len(more))))
                    texts.extend(more)
            if not places:
                continue
            self._working += 1
            batch = asyncio.get_running_loop().run_in_executor(self._pool, self._embed, texts)
            batch.add_done_callback(self._finished)
            for place, part in places:
                place.set_result((batch, part))

    def _finished(self, batch: "asyncio.Future[Array]") -> None:
        self._working -= 1
        self._dispatch()

    def _embed(self, texts: Sequence[str]) -> Array:
        with self._loading:
            if self._model is None:
                # The encoder's threads are the parallelism: BLAS on top of it makes both slower.
                threadpool_limits(1, user_api="blas")
                self._model = self._load()
        return self._model(texts)


def _fits(texts: Sequence[str], more: Sequence[str]) -> bool:
    chars = sum(map(len, texts)) + sum(map(len, more))
    return len(texts) + len(more) <= _BATCH_TEXTS and chars <= _BATCH_CHARS


def _batches(texts: Sequence[str]) -> Iterator[slice]:
    start = 0
    while start < len(texts):
        end, chars = start + 1, len(texts[start])
        for text in islice(texts, start + 1, start + _BATCH_TEXTS):
            chars += len(text)
            if chars > _BATCH_CHARS:
                break
            end += 1
        yield slice(start, end)
        start = end
