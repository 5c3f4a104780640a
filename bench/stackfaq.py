"""Hybrid retrieval on StackFAQ: `python -m bench.stackfaq` with FRONTDESK_EVAL_DATA set.

125 questions with their answers go through the real ingest graph into an embedded PostgreSQL; then
1,249 paraphrases are searched for. The weight of meaning against words is looked at on one half of
them only, and both halves are printed. Exits with 1 when MRR@10 falls below the limit.
"""

import asyncio
import csv
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from time import perf_counter

from engine.database import migrate, open_pool
from engine.embedded import open_servers
from engine.knowledge import Knowledge, Passage, open_knowledge
from engine.knowledge.search import Scope, dense, fuse, lexical
from engine.models.encoder import open_encoder
from engine.settings import Settings
from graphs.ingest import build

LIMIT = 0.94
DEPTH = 10
WEIGHTS = [n / 20 for n in range(10, 20)]


@dataclass(frozen=True)
class Query:
    text: str
    gold: str


@dataclass(frozen=True)
class Found:
    """What each way of searching returned for a query: the rank of the right document, or 0."""

    hybrid: int
    dense: int
    lexical: int
    by_weight: dict[float, int]
    ms: float


def faqs(folder: Path) -> list[dict[str, list[str] | str]]:
    text = (folder / "stackfaq" / "stackExchange-FAQ.json").read_text(encoding="utf-8")
    return list(json.loads(text)["root"]["qapair"])


@contextmanager
def work_folder() -> Iterator[Path]:
    """Open to the account that PostgreSQL runs under when we are root."""
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


async def main() -> int:
    if not (data := os.environ.get("FRONTDESK_EVAL_DATA")):
        print("bench.stackfaq skipped: FRONTDESK_EVAL_DATA is not set")
        return 0
    with work_folder() as folder:
        settings = Settings(_env_file=None, data=folder / "data")
        encoder = await open_encoder(settings.embedding_model, settings)
        async with (
            open_servers(settings) as servers,
            open_pool(servers.database_url) as pool,
        ):
            await migrate(pool, "engine")
            async with open_knowledge(
                servers.database_url, pool, encoder, dense_weight=settings.dense_weight
            ) as knowledge:
                queries = await ingest(knowledge, faqs(Path(data)), folder)
                scope = await scope_of(knowledge)
                found = [await look(knowledge, scope, query) for query in queries]
    return report(found, settings.dense_weight, encoder.name)


async def ingest(
    knowledge: Knowledge, pairs: Sequence[dict[str, list[str] | str]], folder: Path
) -> list[Query]:
    """Publish the questions with their answers; the paraphrases and the documents they mean."""
    table = folder / "faq.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["question", "answer"])
        rows.writerows([pair["question"], joined(pair["answer"])] for pair in pairs)

    async def provide() -> Knowledge:
        return knowledge

    started = perf_counter()
    done = await build(provide, root=folder).compile().ainvoke({"path": str(table)})
    seconds = perf_counter() - started
    print(f"{done['documents']} documents, {done['chunks']} passages ingested in {seconds:.1f} s")
    assert not done["problems"], done["problems"]
    named = {one.title: one.document for one in await knowledge.documents("default")}
    return [
        Query(text.strip(), named[" ".join(str(pair["question"]).split())])
        for pair in pairs
        for text in pair["rephr"]
        if (text or "").strip() not in {"", "*"}
    ]


def joined(answer: str | list[str]) -> str:
    return answer if isinstance(answer, str) else "\n\n".join(answer)


async def scope_of(knowledge: Knowledge) -> Scope:
    async with knowledge.pool.connection() as conn:
        rows = await conn.execute(knowledge.tables.sql["current"], {"tenant": "default"})
        row = (await rows.fetchall())[0]
    return Scope("default", row["id"], row["number"], row["chunks"], row["words"], ("",))


async def look(knowledge: Knowledge, scope: Scope, query: Query) -> Found:
    started = perf_counter()
    passages = await knowledge.search(query.text, tenant="default", k=DEPTH)
    ms = 1000 * (perf_counter() - started)
    vector = (await knowledge.encoder.encode([query.text]))[0]
    near = await dense(knowledge.tables, vector, scope)
    worded = await lexical(
        knowledge.pool, knowledge.tables, query.text, vector, scope=scope, locale="en"
    )
    return Found(
        hybrid=rank(passages, query.gold),
        dense=rank(list(near.values()), query.gold),
        lexical=rank([passage for passage, _ in worded.values()], query.gold),
        by_weight={
            weight: rank(fuse(near, worded, weight)[:DEPTH], query.gold) for weight in WEIGHTS
        },
        ms=ms,
    )


def rank(passages: Sequence[Passage], gold: str) -> int:
    """Of the right document among the documents of the first passages; 0 when it is missing."""
    names = list(dict.fromkeys(passage.document for passage in passages[:DEPTH]))
    return names.index(gold) + 1 if gold in names else 0


def mrr(ranks: Sequence[int]) -> float:
    return sum(1 / rank for rank in ranks if rank) / len(ranks)


def line(name: str, ranks: Sequence[int]) -> str:
    first = sum(rank == 1 for rank in ranks) / len(ranks)
    five = sum(0 < rank <= 5 for rank in ranks) / len(ranks)
    return f"{name:24} {len(ranks):7} {mrr(ranks):8.4f} {first:7.4f} {five:7.4f}"


def report(found: Sequence[Found], weight: float, encoder: str) -> int:
    dev, held = found[::2], found[1::2]
    best = max(WEIGHTS, key=lambda one: mrr([each.by_weight[one] for each in dev]))
    print(f"\nStackFAQ, {encoder}, weight of meaning {weight}, best on the dev half {best}")
    print(f"{'':24} {'queries':>7} {'MRR@10':>8} {'R@1':>7} {'R@5':>7}")
    for name, part in (("dev half", dev), ("held-back half", held), ("all", found)):
        print(line(f"hybrid, {name}", [each.hybrid for each in part]))
    print(line("dense alone, all", [each.dense for each in found]))
    print(line("lexical alone, all", [each.lexical for each in found]))
    for one in WEIGHTS:
        print(line(f"weight {one:.2f}, dev half", [each.by_weight[one] for each in dev]))
    cuts = quantiles([each.ms for each in found], n=20)
    print(f"ms a query, embedding included: p50 {cuts[9]:.1f}, p95 {cuts[18]:.1f}")
    passed = mrr([each.hybrid for each in found]) >= LIMIT
    print(f"MRR@10 >= {LIMIT}: {'yes' if passed else 'NO'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
