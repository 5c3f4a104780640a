"""The `frontdesk` command."""

import asyncio
import logging
import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any, cast

import httpx
import typer
from langgraph_sdk import get_client
from langgraph_sdk.errors import APIStatusError
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.prompt import Prompt

from checkpoints.errors import CheckpointError
from checkpoints.official import Report, import_official
from engine import logs
from engine.checkpointing import open_checkpointer
from engine.embedded import open_servers
from engine.errors import ConfigError, FrontdeskError
from engine.settings import Role, Settings
from graphs import demo
from graphs import ingest as ingest_graph
from nodes.ingest.state import Input
from nodes.resources import open_all
from server import operate
from server.app import create_app, open_worker
from server.chat import Conversation
from server.desk import DOORS, followers, open_desk
from server.listener import Listener
from tools._crm.importer import import_file

log = logging.getLogger(__name__)

cli = typer.Typer(
    help="Frontdesk: durable customer-support conversations.", no_args_is_help=True,
    pretty_exceptions_enable=False,
)  # fmt: skip
crm = typer.Typer(help="The embedded CRM.", no_args_is_help=True)
cli.add_typer(crm, name="crm")
saved = typer.Typer(help="The checkpoints of conversations.", no_args_is_help=True)
cli.add_typer(saved, name="checkpoints")
cli.add_typer(operate.effects, name="effects")
cli.add_typer(operate.jobs, name="jobs")

Url = Annotated[str, typer.Option(envvar="FRONTDESK_URL", help="Where the server listens.")]
Key = Annotated[str, typer.Option(envvar="FRONTDESK_API_KEY", help="API key, if one is needed.")]
Customer = Annotated[
    str, typer.Option(help="Customer to speak for (trusted keys and development only).")
]
Thread = Annotated[str, typer.Option(help="Go on with this thread.")]
Source = Annotated[str, typer.Option("--from", help="URL of the database to copy from.")]
Only = Annotated[list[str] | None, typer.Option(help="Copy this thread only; may be repeated.")]
Tables = Annotated[str, typer.Option(help="Schema that the tables to copy from are in.")]
LOCAL = f"http://127.0.0.1:{os.environ.get('PORT', '2024')}"


@cli.command()
def serve(host: str | None = None, port: int | None = None, role: Role | None = None) -> None:
    """Serve the API (and execute runs, unless --role api)."""
    settings = _settings(host=host, port=port, role=role)
    if settings.role == "worker":
        return worker()
    logs.configure(settings)
    url = f"http://{settings.host}:{settings.port}"
    log.info("Frontdesk on %s, ready when %s/ok answers; API: %s/docs", url, url, url)
    app = create_app(settings, open_desk, DOORS, followers)
    Listener(app, host=settings.host, port=settings.port).run()
    return None


@cli.command()
def worker() -> None:
    """Execute runs for other processes, without an API."""
    settings = _settings(role="worker")
    logs.configure(settings)
    _run(open_worker(settings, open_desk, followers))


@cli.command()
def ask(
    question: str, customer: Customer = "", thread: Thread = "", url: Url = LOCAL, key: Key = ""
) -> None:
    """Ask one question and print the answer with its citations."""

    async def once() -> None:
        conversation = _conversation(customer, thread, url, key)
        await conversation.say(question)
        conversation.console.print(f"[dim]thread {conversation.thread_id}[/dim]")

    _run(once())


@cli.command()
def chat(customer: Customer = "", thread: Thread = "", url: Url = LOCAL, key: Key = "") -> None:
    """Talk with the desk; an empty line ends it."""

    async def loop() -> None:
        conversation = _conversation(customer, thread, url, key)
        while said := Prompt.ask("[bold green]you[/bold green]", default="", show_default=False):
            await conversation.say(said)
        conversation.console.print(f"[dim]thread {conversation.thread_id}[/dim]")

    _run(loop())


@cli.command()
def ingest(path: Path, tenant: str = "default") -> None:
    """Read documents (Markdown, HTML, PDF, text, CSV of FAQs) into the knowledge base."""
    if not path.exists():
        raise ConfigError(f"{path} does not exist.")
    _run(_ingest(path.resolve(), tenant))


@crm.command("import")
def crm_import(file: Path, tenant: str = "default") -> None:
    """Load customers, products and orders from a JSON file in the tau2 retail shape."""
    _run(_crm_import(file, tenant))


@saved.command("import")
def checkpoints_import(source: Source, schema: Tables = "public", thread: Only = None) -> None:
    """Copy threads from the tables of LangGraph's own Postgres checkpointer, with their ids.

    Whatever is there already stays; run it again to finish what was cut, or to catch up.
    """
    _run(_checkpoints_import(source, schema, thread or []))


async def _checkpoints_import(source: str, schema: str, threads: list[str]) -> None:
    console = Console()

    def progress(thread: str, report: Report) -> None:
        reason = report.failed.get(thread)
        said = f"failed: {reason}" if reason else f"done ({report.threads})"
        console.print(f"{thread} {said}", markup=False, highlight=False)

    settings = _settings(demo=False)
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


async def _ingest(path: Path, tenant: str) -> None:
    settings = _settings(demo=False)
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


async def _crm_import(file: Path, tenant: str) -> None:
    async with open_all(_settings(demo=False), demo.load) as resources:
        counts = await import_file(resources.pool, tenant, file)
    Console().print(counts)


def _conversation(customer: str, thread: str, url: str, key: str) -> Conversation:
    context = {"channel": "terminal"} | ({"customer_id": customer} if customer else {})
    client = get_client(url=url, api_key=key or None)
    return Conversation(client, Console(), context, thread)


def _settings(**changes: Any) -> Settings:
    settings = Settings(**{name: value for name, value in changes.items() if value is not None})
    settings.check()
    return settings


def _run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def main() -> None:
    """Entry point: errors that the user can mend are one line, not a trace."""
    try:
        cli()
    except httpx.ConnectError:
        _fail("No server answers there. Start one with `make serve`, or give --url.")
    except APIStatusError as error:
        _fail(str(error))
    except (FrontdeskError, CheckpointError, ValidationError) as error:
        _fail(str(error))
    except (EOFError, KeyboardInterrupt):
        raise SystemExit(130) from None


def _fail(message: str) -> None:
    Console(stderr=True).print(message, style="red", markup=False)
    raise SystemExit(1)
