"""Hybrid search: what is near in meaning and what shares rare words, fused into one ranking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.database import Pool
from engine.knowledge.records import Passage
from engine.knowledge.tables import Tables

CANDIDATES = 60
_TERMS = 16  # an uncapped OR query of a 400-word message costs Postgres a second
_MATCHES = 2000  # so does ranking every chunk that has some common word
_CHARS = 2000


@dataclass(frozen=True)
class Scope:
    """What one search may see: a published version, and what its reader is permitted."""

    tenant: str
    version: int
    """The id of the version's row."""
    number: int
    chunks: int
    words: int
    audiences: tuple[str, ...]


def cut(query: str) -> str:
    """The query as far as it is searched for: its cost must not grow with its length."""
    return query.replace("\0", " ")[:_CHARS]


async def dense(tables: Tables, vector: np.ndarray, scope: Scope) -> dict[str, Passage]:
    """The chunks nearest in meaning, by id, with their cosine to the query."""
    found = await tables.passages.asimilarity_search_with_score_by_vector(
        vector.tolist(),
        k=CANDIDATES,
        filter={
            "version": scope.version,
            "tenant": scope.tenant,
            "audience": {"$in": list(scope.audiences)},
        },
    )
    return {
        str(chunk.id): _passage(
            {**chunk.metadata, "content": chunk.page_content}, scope, similarity=1.0 - distance
        )
        for chunk, distance in found
    }


async def lexical(
    pool: Pool, tables: Tables, query: str, vector: np.ndarray, locale: str, scope: Scope
) -> dict[str, tuple[Passage, float]]:
    """The chunks that share the query's rarest words, by id, with their BM25 (k1=1.2, b=.75).

    Postgres ranks all matches roughly, then the best of them exactly: BM25 needs each lexeme's
    frequency, which `publish` counts for the version.
    """
    async with pool.connection() as conn:
        rows = await conn.execute(
            tables.sql["lexical"],
            {
                "tenant": scope.tenant,
                "version": scope.version,
                "audiences": list(scope.audiences),
                "chunks": scope.chunks,
                "mean": scope.words / max(scope.chunks, 1),
                "query": query,
                "vector": str(vector.tolist()),
                "locale": locale,
                "terms": _TERMS,
                "matches": _MATCHES,
                "limit": CANDIDATES,
            },
        )
        return {
            row["id"]: (_passage(row, scope, similarity=row["similarity"]), row["bm25"])
            async for row in rows
        }


def fuse(
    near: Mapping[str, Passage], worded: Mapping[str, tuple[Passage, float]], weight: float
) -> list[Passage]:
    """Convex combination of min-max cosine and max-normalised BM25, best first.

    It beat reciprocal rank fusion on all sets we measured. `weight` is that of the cosine.
    """
    found = {**{key: passage for key, (passage, _) in worded.items()}, **near}
    cosines = [passage.similarity for passage in near.values()] or [0.0]
    low, spread = min(cosines), max(cosines) - min(cosines)
    best = max((bm25 for _, bm25 in worded.values()), default=0.0)

    def score(key: str, passage: Passage) -> float:
        # what only the words found lies below the nearest, however few those are
        meaning = max(0.0, (passage.similarity - low) / spread) if spread else float(key in near)
        words = worded[key][1] / best if key in worded and best else 0.0
        return weight * meaning + (1 - weight) * words

    scored = [replace(passage, score=score(key, passage)) for key, passage in found.items()]
    return sorted(scored, key=lambda passage: (-passage.score, passage.id))


def _passage(row: Mapping[str, Any], scope: Scope, *, similarity: float) -> Passage:
    return Passage(
        id=f"{row['document']}#{row['ordinal']}",
        document=row["document"],
        title=row["title"],
        heading=row["heading"],
        url=row["url"],
        text=row["content"],
        score=0.0,
        version=scope.number,
        similarity=float(similarity),
    )


def audiences(permissions: Sequence[str] | frozenset[str]) -> tuple[str, ...]:
    """What a reader with these permissions may see: what is for everyone, and what they open."""
    return ("", *sorted(permissions))
