"""A small real encoder for tests: a text is the sum of its words' random directions."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class WordEncoder:
    """Texts that share words are near each other; `seen` lists all that was embedded."""

    name: str = "test:words"
    dimensions: int = 48
    seen: list[str] = field(default_factory=list)

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += texts
        rows = np.stack([self._sum(text) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def _sum(self, text: str) -> NDArray[np.float64]:
        words = re.findall(r"\w+", text.lower()) or [""]
        return np.sum([self._direction(word) for word in words], axis=0)

    def _direction(self, word: str) -> NDArray[np.float64]:
        seed = zlib.crc32(f"{self.name} {word}".encode())
        return np.random.default_rng(seed).standard_normal(self.dimensions)


async def embed(texts: list[str]) -> list[list[float]]:
    """The same as a store's index wants it."""
    vectors: list[list[float]] = (await WordEncoder().encode(texts)).tolist()
    return vectors
