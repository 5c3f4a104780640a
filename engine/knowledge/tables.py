"""The tables of one vector size, and langchain-postgres opened on them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.embeddings import Embeddings
from langchain_postgres import PGEngine, PGVectorStore
from langchain_postgres.v2.indexes import QueryOptions
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier, Literal
from sqlalchemy.ext.asyncio import create_async_engine

from engine.database import Pool, statements

SCHEMA = "knowledge"
_INDEXABLE = 2000  # pgvector's limit for an HNSW index; longer vectors are searched exactly


class Filtered(QueryOptions):
    """Keep walking the HNSW graph until enough rows pass the tenant's filter."""

    def to_parameter(self) -> list[str]:
        return ["hnsw.ef_search = 100", "hnsw.iterative_scan = strict_order"]

    def to_string(self) -> str:
        return ", ".join(self.to_parameter())


@dataclass(frozen=True)
class Tables:
    """Statements for one vector size, and the vector stores that write chunks and read passages."""

    sql: Mapping[str, Composed]
    chunks: PGVectorStore
    passages: PGVectorStore


def queries(dimensions: int) -> Mapping[str, Composed]:
    """The statements of `knowledge.sql` for vectors of `dimensions` numbers."""
    names = {
        "chunks": Identifier(SCHEMA, f"chunks_{dimensions}"),
        "passages": Identifier(SCHEMA, f"passages_{dimensions}"),
        "dimensions": Literal(dimensions),
    }
    return {
        name: SQL(cast(Any, text)).format(**names)
        for name, text in statements("engine.knowledge", "knowledge.sql").items()
    }


async def prepare(pool: Pool, sql: Mapping[str, Composed], dimensions: int) -> None:
    """Create the chunk table and passage view of this vector size, once."""
    async with pool.connection() as conn, conn.transaction():
        await conn.execute(sql["lock"], {"key": "knowledge tables"})
        found = await conn.execute(sql["prepared"], {"view": f"{SCHEMA}.passages_{dimensions}"})
        if (row := await found.fetchone()) and row["done"]:
            return
        for name in ("create_chunks", "index_revisions", "index_lexemes", "create_passages"):
            await conn.execute(sql[name])
        if dimensions <= _INDEXABLE:
            await conn.execute(sql["index_vectors"])


@asynccontextmanager
async def open_tables(
    database_url: str, pool: Pool, embeddings: Embeddings, dimensions: int
) -> AsyncIterator[Tables]:
    """Statements and vector stores; langchain-postgres brings its own small connection pool."""
    sql = await asyncio.to_thread(queries, dimensions)
    await prepare(pool, sql, dimensions)

    async def connect() -> AsyncConnection[Any]:
        return await AsyncConnection.connect(database_url, prepare_threshold=None)

    engine = create_async_engine(
        "postgresql+psycopg://", async_creator=connect, use_native_hstore=False
    )
    try:
        stores = PGEngine.from_engine(engine)
        chunks = await PGVectorStore.create(
            stores,
            embeddings,
            f"chunks_{dimensions}",
            schema_name=SCHEMA,
            id_column="id",
            metadata_columns=["revision", "ordinal", "locale", "heading"],
        )
        passages = await PGVectorStore.create(
            stores,
            embeddings,
            f"passages_{dimensions}",
            schema_name=SCHEMA,
            id_column="id",
            metadata_columns=["document", "title", "heading", "url", "ordinal"],
            index_query_options=Filtered(),
        )
        yield Tables(sql, chunks, passages)
    finally:
        await engine.dispose()
