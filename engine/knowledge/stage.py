"""A version in the making: drafts come in, are cleaned, split and embedded, and go public at once.

Each document carries the step that it has reached, in the database: a killed ingest goes on with
what is still waiting, and its state needs no text.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Literal

from psycopg.types.json import Jsonb

from engine.database import Connection, Pool
from engine.errors import Conflict
from engine.knowledge.publish import prune, publish
from engine.knowledge.records import Draft, Piece, Progress, Published
from engine.knowledge.tables import Tables
from engine.knowledge.writing import writing
from engine.models.encoder import Encoder

Step = Literal["loaded", "cleaned", "split"]
_BATCH = 64  # chunks encoded and written at a time


@dataclass(frozen=True)
class Stage:
    """One version being made; every method may be repeated after a crash."""

    pool: Pool
    tables: Tables
    encoder: Encoder
    id: int
    tenant: str

    async def add(self, draft: Draft) -> None:
        """Take in a document as it was read."""
        async with self._writing() as conn:
            await conn.execute(
                self.tables.sql["add"],
                {
                    "stage": self.id,
                    "document": draft.document,
                    "file": draft.file,
                    "title": draft.title,
                    "url": draft.url,
                    "locale": draft.locale,
                    "audience": draft.audience,
                    "body": draft.body,
                },
            )

    async def keep(self, source: str, file: str) -> None:
        """Take over what the published version has of a file that cannot be read now."""
        async with self._writing() as conn:
            await conn.execute(
                self.tables.sql["keep"],
                {
                    "stage": self.id,
                    "current": await self._current(conn),
                    "source": source,
                    "file": file,
                },
            )

    async def waiting(self, step: Step, limit: int = 20) -> list[Draft]:
        """The next documents that have reached `step` and go no further by themselves."""
        async with self.pool.connection() as conn:
            rows = await conn.execute(
                self.tables.sql["waiting"], {"stage": self.id, "step": step, "limit": limit}
            )
            return [
                Draft(**{**row, "pieces": tuple(Piece(**piece) for piece in row["pieces"] or ())})
                async for row in rows
            ]

    async def progress(self) -> Progress:
        """How far the documents of this stage are."""
        async with self.pool.connection() as conn:
            rows = await conn.execute(self.tables.sql["progress"], {"stage": self.id})
            return Progress(**(await rows.fetchall())[0])

    async def clean(self, draft: Draft) -> bool:
        """Store the cleaned text; True when the published version has the very same document.

        Then its revision is listed again, with the chunks and vectors that it has.
        """
        changes = {"stage": self.id, "id": draft.id, "hash": fingerprint(draft)}
        async with self._writing() as conn:
            known = {"current": await self._current(conn)}
            same = await conn.execute(self.tables.sql["unchanged"], {**changes, **known})
            if await same.fetchone():
                await conn.execute(self.tables.sql["drop_draft"], changes)
                return True
            changes |= {"title": draft.title, "body": draft.body}
            await conn.execute(self.tables.sql["clean"], changes)
            return False

    async def drop(self, draft: Draft) -> None:
        """Leave a document out that turned out to be unusable."""
        async with self._writing() as conn:
            await conn.execute(self.tables.sql["drop_draft"], {"id": draft.id})

    async def split(self, draft: Draft, pieces: Sequence[Piece]) -> None:
        """Store the pieces of a document, which replace its text."""
        async with self._writing() as conn:
            await conn.execute(
                self.tables.sql["split"],
                {"id": draft.id, "pieces": Jsonb([asdict(piece) for piece in pieces])},
            )

    async def embed(self, drafts: Sequence[Draft]) -> int:
        """Embed the pieces of these documents and store them as chunks; how many there were."""
        work = [
            (draft, ordinal, piece)
            for draft in drafts
            for ordinal, piece in enumerate(draft.pieces, start=1)
        ]
        for start in range(0, len(work), _BATCH):
            await self._store(work[start : start + _BATCH])
        async with self._writing() as conn:
            for draft in drafts:
                await conn.execute(
                    self.tables.sql["embedded"], {"id": draft.id, "chunks": len(draft.pieces)}
                )
        return len(work)

    async def publish(self) -> Published:
        """Show this version to readers, all of it at once; publishing twice changes nothing.

        Raises `Conflict` when a document is not embedded yet.
        """
        sql = self.tables.sql
        async with writing(self.pool, sql, self.tenant) as conn:
            found = await (await conn.execute(sql["stage"], {"stage": self.id})).fetchone()
            if found and found["number"] is not None:
                return Published(found["number"], found["documents"], found["chunks"])
            source = await self._touch(conn)
            current = await (await conn.execute(sql["current"], {"tenant": self.tenant})).fetchone()
            known = {"stage": self.id, "current": current and current["id"], "source": source}
            await conn.execute(sql["carry"], known)
            await self._complete(conn)
            if current and await self._same(conn, current["id"]):
                await conn.execute(sql["abandon"], known)
                return Published(
                    current["number"], current["documents"], current["chunks"], changed=False
                )
            gone = await (await conn.execute(sql["removed"], known)).fetchall()
            published = await publish(conn, sql, self.tenant, self.id)
        async with self.pool.connection() as conn:
            await conn.execute(sql["analyze"])
        return replace(published, removed=gone[0]["documents"])

    async def abandon(self) -> None:
        """Throw this version away."""
        async with writing(self.pool, self.tables.sql, self.tenant) as conn:
            await conn.execute(self.tables.sql["abandon"], {"stage": self.id})
            await prune(conn, self.tables.sql, self.tenant)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Connection]:
        async with writing(self.pool, self.tables.sql, self.tenant) as conn:
            await self._touch(conn)
            yield conn

    async def _touch(self, conn: Connection) -> str:
        """Say that somebody works on this stage; its source. Raises when it is gone."""
        rows = await conn.execute(
            self.tables.sql["touch"], {"stage": self.id, "tenant": self.tenant}
        )
        row = await rows.fetchone()
        if row is None:
            raise Conflict("This ingest was given up or published already: start it again.")
        if row["encoder"] != self.encoder.name:
            raise Conflict(f"This ingest was begun with {row['encoder']}: start it again.")
        return str(row["source"])

    async def _current(self, conn: Connection) -> int | None:
        rows = await conn.execute(self.tables.sql["current"], {"tenant": self.tenant})
        row = await rows.fetchone()
        return row["id"] if row else None

    async def _store(self, work: Sequence[tuple[Draft, int, Piece]]) -> None:
        vectors = await self.encoder.encode(
            [f"{piece.heading}\n{piece.text}" for _, _, piece in work]
        )
        await self.tables.chunks.aadd_embeddings(
            texts=[piece.text for _, _, piece in work],
            embeddings=vectors.tolist(),
            metadatas=[
                {
                    "revision": draft.id,
                    "ordinal": ordinal,
                    "locale": draft.locale,
                    "heading": piece.heading,
                }
                for draft, ordinal, piece in work
            ],
            ids=[f"{draft.id}#{ordinal}" for draft, ordinal, _ in work],
        )

    async def _complete(self, conn: Connection) -> None:
        rows = await conn.execute(
            self.tables.sql["incomplete"], {"stage": self.id, "encoder": self.encoder.name}
        )
        missing = (await rows.fetchall())[0]["documents"]
        if missing:
            raise Conflict(f"{missing} documents are not embedded yet: the old version stays.")

    async def _same(self, conn: Connection, current: int) -> bool:
        rows = await conn.execute(self.tables.sql["same"], {"stage": self.id, "current": current})
        return bool((await rows.fetchall())[0]["same"])


def fingerprint(draft: Draft) -> str:
    """Equal for documents that readers could not tell apart."""
    named = asdict(replace(draft, id=0, pieces=(), file=""))
    text = "\x1f".join(f"{name}={value}" for name, value in sorted(named.items()))
    return hashlib.sha256(text.encode()).hexdigest()
