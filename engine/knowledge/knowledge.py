"""The knowledge base of all tenants: search, list, delete, and begin a new version."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from engine.database import Pool
from engine.errors import ConfigError
from engine.knowledge.publish import publish
from engine.knowledge.records import Listed, Passage
from engine.knowledge.search import Scope, audiences, cut, dense, fuse, lexical
from engine.knowledge.stage import Stage
from engine.knowledge.tables import Tables, open_tables
from engine.knowledge.writing import writing
from engine.models.encoder import Encoder, EncoderEmbeddings


@dataclass(frozen=True)
class Knowledge:
    """Published versions of each tenant's documents."""

    pool: Pool
    tables: Tables
    encoder: Encoder
    dense_weight: float

    async def search(
        self,
        query: str,
        *,
        tenant: str,
        permissions: frozenset[str] = frozenset(),
        locale: str = "en",
        k: int = 5,
    ) -> list[Passage]:
        """The `k` passages that fit `query` best among what the reader may see, best first.

        Both searches see the same published version, whatever is published meanwhile.
        Raises `ConfigError` when that version was embedded by another encoder than ours.
        """
        query = cut(query)
        row = await self._current(tenant)
        if row is None or not query.strip():
            return []
        await self._check(row)
        scope = Scope(
            tenant, row["id"], row["number"], row["chunks"], row["words"], audiences(permissions)
        )
        vector = (await self.encoder.encode([query]))[0]
        near, worded = await asyncio.gather(
            dense(self.tables, vector, scope),
            lexical(self.pool, self.tables, query, vector, locale, scope),
        )
        return fuse(near, worded, self.dense_weight)[:k]

    async def version(self, tenant: str) -> int:
        """The number of the published version; 0 before the first."""
        row = await self._current(tenant)
        return row["number"] if row else 0

    async def documents(self, tenant: str) -> list[Listed]:
        """The documents of the published version, by name."""
        row = await self._current(tenant)
        if row is None:
            return []
        async with self.pool.connection() as conn:
            rows = await conn.execute(self.tables.sql["documents"], {"version": row["id"]})
            return [Listed(**row) async for row in rows]

    async def delete(self, tenant: str, documents: Collection[str]) -> int:
        """Publish a version without these documents and erase their text; how many there were."""
        names = list(documents)
        sql = self.tables.sql
        async with writing(self.pool, sql, tenant) as conn:
            row = await (await conn.execute(sql["current"], {"tenant": tenant})).fetchone()
            if row is None:
                return 0
            listed = await conn.execute(sql["documents"], {"version": row["id"]})
            found = [one["document"] async for one in listed if one["document"] in names]
            if not found:
                return 0
            begun = await conn.execute(
                sql["begin"], {"tenant": tenant, "source": "", "encoder": "", "splitter": ""}
            )
            stage = (await begun.fetchall())[0]["id"]
            await conn.execute(
                sql["carry_except"], {"stage": stage, "current": row["id"], "documents": found}
            )
            await publish(conn, sql, tenant, stage)
            await conn.execute(
                sql["delete_revisions"],
                {"tenant": tenant, "documents": found, "current": stage},
            )
            return len(found)

    async def begin(self, tenant: str, source: str, splitter: str) -> Stage:
        """A new version of what `source` contributes, invisible until it is published.

        Documents of other sources stay as they are. `splitter` names the way documents are cut:
        what was cut or embedded in another way is not taken over.
        """
        sql = self.tables.sql
        async with self.pool.connection() as conn:
            begun = await conn.execute(
                sql["begin"],
                {
                    "tenant": tenant,
                    "source": source,
                    "encoder": self.encoder.name,
                    "splitter": splitter,
                },
            )
            stage = (await begun.fetchall())[0]["id"]
        return self.stage(stage, tenant)

    def stage(self, stage: int, tenant: str) -> Stage:
        """A version that was begun before, here or in another process."""
        return Stage(self.pool, self.tables, self.encoder, stage, tenant)

    async def _current(self, tenant: str) -> dict[str, Any] | None:
        async with self.pool.connection() as conn:
            rows = await conn.execute(self.tables.sql["current"], {"tenant": tenant})
            return await rows.fetchone()

    async def _check(self, row: dict[str, Any]) -> None:
        """Vectors of two encoders cannot be compared, so there is no answer to fall back to."""
        if set(row["encoders"]) <= {self.encoder.name}:
            return
        async with self.pool.connection() as conn:
            rows = await conn.execute(
                self.tables.sql["stale_sources"],
                {"version": row["id"], "encoder": self.encoder.name},
            )
            sources = ", ".join([one["source"] async for one in rows])
        raise ConfigError(
            f"The knowledge was embedded by {', '.join(row['encoders'])}, but the embedding model "
            f"is now {self.encoder.name}: ingest again ({sources}), or set it back."
        )


@asynccontextmanager
async def open_knowledge(
    database_url: str, pool: Pool, encoder: Encoder, *, dense_weight: float = 0.7
) -> AsyncIterator[Knowledge]:
    """Knowledge on a migrated database.

    `dense_weight` (0 to 1) is the share of meaning against words in a passage's score.
    """
    embeddings = EncoderEmbeddings(encoder)
    async with open_tables(database_url, pool, embeddings, encoder.dimensions) as tables:
        yield Knowledge(pool, tables, encoder, dense_weight)
