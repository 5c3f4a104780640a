"""The `frontdesk` command. Commands import what they do when they do it: it takes seconds."""

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from langgraph_sdk import get_client
from langgraph_sdk.errors import APIStatusError
from pydantic import ValidationError
from rich.console import Console
from rich.prompt import Prompt

from checkpoints.errors import CheckpointError
from engine.errors import ConfigError, FrontdeskError
from engine.settings import Role, Settings
from server import keyring, operate
from server.chat import Conversation

log = logging.getLogger(__name__)

cli = typer.Typer(
    help="Frontdesk: an open LangGraph server, and a customer-support desk on it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
crm = typer.Typer(help="The embedded CRM: load it.", no_args_is_help=True)
cli.add_typer(crm, name="crm")
saved = typer.Typer(
    help="Checkpoints: bring those of LangGraph's Postgres checkpointer.", no_args_is_help=True
)
cli.add_typer(saved, name="checkpoints")
cli.add_typer(keyring.keys, name="keys")
cli.add_typer(operate.effects, name="effects")
cli.add_typer(operate.jobs, name="jobs")
cli.add_typer(operate.webhooks, name="webhooks")

Url = Annotated[str, typer.Option(envvar="FRONTDESK_URL", help="Where the server listens.")]
Key = Annotated[str, typer.Option(envvar="FRONTDESK_API_KEY", help="API key, if one is needed.")]
Customer = Annotated[
    str, typer.Option(help="Customer to speak for (trusted keys and development only).")
]
Thread = Annotated[str, typer.Option(help="Go on with this thread.")]
Source = Annotated[str, typer.Option("--from", help="URL of the database to copy from.")]
Only = Annotated[list[str] | None, typer.Option(help="Copy this thread only; may be repeated.")]
Tables = Annotated[str, typer.Option(help="Schema that the tables to copy from are in.")]
Config = Annotated[
    Path | None, typer.Option(help="The langgraph.json of a project to serve instead of our desk.")
]
Reload = Annotated[bool, typer.Option(help="Start again when a file of the project changes.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on, instead of HOST.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on, instead of PORT.")]
OfRole = Annotated[
    Role | None,
    typer.Option(help="`api` takes requests, `worker` executes runs, `all` both (FRONTDESK_ROLE)."),
]
Tenant = Annotated[str, typer.Option(help="Whose they will be.")]
LOCAL = f"http://127.0.0.1:{os.environ.get('PORT', '2024')}"


@cli.command()
def serve(
    config: Config = None,
    host: Host = None,
    port: Port = None,
    role: OfRole = None,
    *,
    reload: Reload = False,
) -> None:
    """Serve the LangGraph Server API, for our desk or for the project of --config."""
    if reload:
        from server.hosting.reloading import serve_again

        folder = config.resolve().parent if config else Path()
        words = [word for word in sys.argv[1:] if word != "--reload"]
        return serve_again(folder, Settings().data, main, words)
    from server.hosting.served import served
    from server.listener import Listener

    chosen = served(config, host=host, port=port, role=role)
    if chosen.settings.role == "worker":
        return _run(chosen.work())
    url = chosen.settings.url
    log.info("Frontdesk on %s, ready when %s/ok answers; API: %s/docs", url, url, url)
    Listener(chosen.app(), host=chosen.settings.host, port=chosen.settings.port).run()
    return None


@cli.command()
def worker(config: Config = None) -> None:
    """Execute runs that other processes take, without an API."""
    from server.hosting.served import served

    _run(served(config, role="worker").work())


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
def ingest(path: Path, tenant: Tenant = "default") -> None:
    """Read documents (Markdown, HTML, PDF, text, CSV of FAQs) into the knowledge base."""
    if not path.exists():
        raise ConfigError(f"{path} does not exist.")
    from server import importing

    _run(importing.documents(path.resolve(), tenant))


@crm.command("import")
def crm_import(file: Path, tenant: Tenant = "default") -> None:
    """Load customers, products and orders from a JSON file in the tau2 retail shape."""
    from server import importing

    _run(importing.crm(file, tenant))


@saved.command("import")
def checkpoints_import(source: Source, schema: Tables = "public", thread: Only = None) -> None:
    """Copy threads from the tables of LangGraph's own Postgres checkpointer, with their ids.

    Whatever is there already stays; run it again to finish what was cut, or to catch up.
    """
    from server import importing

    _run(importing.checkpoints(source, schema, thread or []))


def _conversation(customer: str, thread: str, url: str, key: str) -> Conversation:
    context = {"channel": "terminal"} | ({"customer_id": customer} if customer else {})
    client = get_client(url=url, api_key=key or None)
    return Conversation(client, Console(), context, thread)


def _run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def main(words: Sequence[str] | None = None) -> None:
    """Entry point: errors that the user can mend are one line, not a trace."""
    try:
        cli(words)
    except httpx.ConnectError:
        _fail("No server answers there. Start one with `make serve`, or give --url.")
    except APIStatusError as error:
        _fail(str(error))
    except (FrontdeskError, CheckpointError, ValidationError) as error:
        _fail(str(error))
    except (EOFError, KeyboardInterrupt):
        raise SystemExit(130) from None


def _fail(message: str) -> None:
    Console(stderr=True).print(message, style="red", markup=False, soft_wrap=True)
    raise SystemExit(1)
