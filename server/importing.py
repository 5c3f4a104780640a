"""Bringing in what a desk has: its documents, its customers, its threads of before."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.markup import escape

from checkpoints.errors import CheckpointError
from checkpoints.official import Report, import_official
from engine.checkpointing import open_checkpointer
from engine.embedded import open_servers
from graphs import demo
from graphs import ingest as ingest_graph
from nodes.ingest.state import Input
from nodes.resources import open_all
from server.hosting.served import read_settings
from tools._crm.importer import import_file


async def checkpoints(source: str, schema: str, threads: list[str]) -> None:
    """Copy threads from the tables of LangGraph's own Postgres checkpointer."""
    console = Console()

    def progress(thread: str, report: Report) -> None:
        reason = report.failed.get(thread)
        said = f"failed: {reason}" if reason else f"done ({report.threads})"
        console.print(f"{thread} {said}", markup=False, highlight=False)

    settings = read_settings(demo=False)
    async with open_servers(settings) as servers, open_checkpointer(settings, servers) as saver:
        report = await import_official(
            source, saver, schema=schema, threads=threads, progress=progress
        )
    console.print(
        f"{report.threads} threads, new of them: "
        f"{report.checkpoints} checkpoints, {report.writes} writes"
    )
    if report.failed:
        raise CheckpointError(f"{len(report.failed)} threads could not be copied.")


async def documents(path: Path, tenant: str) -> None:
    """Read a file or a folder into the knowledge base."""
    settings = read_settings(demo=False)
    final: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(open_all(settings, demo.load))

        async def knowledge() -> Any:
            return resources.knowledge

        graph = ingest_graph.build(knowledge, root=path.parent).compile()
        console = Console()
        async for mode, part in graph.astream(
            Input(path=str(path), tenant=tenant), stream_mode=["custom", "values"]
        ):
            if mode == "custom":
                said = cast("dict[str, Any]", part)
                console.print(f"{said['step']} {said['done']}/{said['total']} {said['file']}")
            else:
                final = cast("dict[str, Any]", part)
    for problem in final["problems"]:
        console.print(f"[red]{escape(problem['file'])}: {escape(problem['reason'])}[/red]")
    console.print(
        f"version {final['version']}: {final['documents']} documents "
        f"({final['unchanged']} unchanged, {final['removed']} removed), "
        f"{final['chunks']} passages embedded"
    )


async def crm(file: Path, tenant: str) -> None:
    """Load the embedded CRM."""
    async with open_all(read_settings(demo=False), demo.load) as resources:
        counts = await import_file(resources.pool, tenant, file)
    Console().print(counts)
