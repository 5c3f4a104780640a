"""Calls tools for the graph: checks, timeout, retries, ledger and identity in one place."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter
from typing import Any

import httpx
import psycopg
from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import StructuredTool
from pydantic import BaseModel, ValidationError

from engine.calls import tool_facts
from engine.database import Connection, Pool
from engine.effects import Call, Effects, Receipt
from engine.errors import OutcomeUnknown, Refused, Unavailable
from engine.scope import metering
from engine.telemetry import span
from tools._contract import Result, Run, Tool
from tools._identity import Identities, allows, missing
from tools._schema import arguments, complaint, mentioned

_PASSING = (TimeoutError, OSError, Unavailable, psycopg.OperationalError, httpx.HTTPError)
_BACKOFF = 0.1


@dataclass(frozen=True)
class Preview:
    """What a write would do, and the receipt of the last time it was done on this thread."""

    text: str
    repeats: Receipt | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a call: a result or an error, and the receipt of a write."""

    result: Result | None = None
    error: str | None = None
    receipt: Receipt | None = None


@dataclass(frozen=True)
class Toolbox:
    """The tools by name, ready to be called for a run."""

    tools: Mapping[str, Tool]
    pool: Pool
    identities: Identities
    on_unknown: Callable[[str], None] | None = None
    """Called with a tool's name when nobody can tell whether its write was done."""

    def specs(self) -> list[StructuredTool]:
        """What a chat model binds: name, description and arguments, without `run`.

        `metadata` holds the tool's policy: what a model or a classifier may want to know of it.
        """
        return [
            StructuredTool(
                name=name,
                description=" ".join((type(tool).__doc__ or "").split()),
                args_schema=self._arguments[name],
                metadata={
                    "examples": tool.examples,
                    "write": tool.write,
                    "level": tool.level,
                    "confirm": tool.write and tool.confirm,
                    "identifies": tool.identifies,
                    "provides": tool.provides,
                },
            )
            for name, tool in self.tools.items()
        ]

    def mentioned(self, text: str) -> list[ToolCall]:
        """The reads that a message plans by naming their arguments, those that identify first."""
        return mentioned(text, self.tools, self._arguments)

    async def preview(self, call: ToolCall, run: Run) -> Preview:
        """What this write would do: it is done in a transaction that is rolled back.

        Raises `Refused` when the arguments, the level or a rule forbid it.
        """
        tool, args = await self._admit(call, run)
        repeats = await self._effects.earlier(_ledger_call(call, run, args))
        async with self.pool.connection() as conn, conn.transaction(force_rollback=True):
            try:
                async with asyncio.timeout(tool.timeout.total_seconds()):
                    result = await tool.preview(run=replace(run, connection=conn), **_values(args))
            except Refused as error:
                if repeats is None:
                    raise
                done = f"{error} It was done before in this conversation: {repeats['text']}"
                raise Refused(done) from error
            except _PASSING as error:
                raise Refused(_unreachable(call)) from error
        return Preview(result.text, repeats)

    async def invoke(self, call: ToolCall, run: Run) -> Outcome:
        """Carry a call out for `run`; whoever confirms a write has done so before.

        Refusals are outcomes, and so is a remote write that nobody can tell the fate of: a
        colleague finds it in the ledger. Raises what else broke: doing the same call again finds
        its receipt, or does it.
        """
        name = call["name"] if call["name"] in self.tools else "unknown"  # models invent names
        began, outcome = perf_counter(), "failed"
        try:
            with span(f"execute_tool {name}", tool_facts(name, call["id"])):
                found = await self._invoke(call, run)
            outcome = "ok" if found.error is None else "refused"
            return found
        finally:
            if metrics := metering.get():
                taken = perf_counter() - began
                metrics.tool_seconds.labels(name, outcome).observe(taken)

    async def _invoke(self, call: ToolCall, run: Run) -> Outcome:
        try:
            tool, args = await self._admit(call, run)
            if tool.write:
                write = self._write_remote if tool.remote else self._write
                return await write(tool, args, call, run)
            result = await self._read(tool, args, call, run)
            if result.identified is not None:
                await self.identities.bind(run.tenant, run.thread_id, result.identified)
        except Refused as error:
            return Outcome(error=str(error))
        except _Unreachable as error:
            return Outcome(error=str(error))
        return Outcome(result)

    async def receipts(self, thread_id: str, tenant: str | None = None) -> list[Receipt]:
        """Every write that was committed on a thread, oldest first; by one tenant, or by any."""
        return await self._effects.receipts(thread_id, tenant)

    @cached_property
    def _arguments(self) -> dict[str, type[BaseModel]]:
        return {name: arguments(name, tool) for name, tool in self.tools.items()}

    @cached_property
    def _effects(self) -> Effects:
        return Effects(self.pool, self.on_unknown)

    async def _admit(self, call: ToolCall, run: Run) -> tuple[Tool, BaseModel]:
        """The tool and its checked arguments, or `Refused` saying what is wrong."""
        tool = self.tools.get(call["name"])
        if tool is None:
            raise Refused(f"There is no tool {call['name']}.")
        try:
            args = self._arguments[call["name"]].model_validate(call["args"])
        except ValidationError as error:
            raise Refused(complaint(error)) from error
        if not allows(run.level, tool.level) or (
            tool.level != "anonymous" and run.customer_id is None
        ):
            known = await self.identities.of(run.tenant, run.thread_id)
            raise Refused(missing(tool.level, known.facts))
        return tool, args

    async def _read(self, tool: Tool, args: BaseModel, call: ToolCall, run: Run) -> Result:
        """Try, and try again after a growing pause, as often as the tool declares."""
        for attempt in range(tool.retries + 1):
            if attempt:
                jitter = random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, guards nothing
                await asyncio.sleep(_BACKOFF * 2 ** (attempt - 1) * jitter)
            try:
                async with asyncio.timeout(tool.timeout.total_seconds()):
                    return await tool(run=run, **_values(args))
            except _PASSING as error:
                failure = error
        raise _Unreachable(_unreachable(call)) from failure

    async def _write(self, tool: Tool, args: BaseModel, call: ToolCall, run: Run) -> Outcome:
        async def work(conn: Connection) -> tuple[str, dict[str, Any]]:
            try:
                # Only the work is timed: a commit that was sent has to be waited for.
                async with asyncio.timeout(tool.timeout.total_seconds()):
                    result = await tool(run=replace(run, connection=conn), **_values(args))
            except TimeoutError as error:
                raise _Unreachable(
                    f"It took too long to {_words(call)}. A colleague should check before "
                    "it is tried again."
                ) from error
            return result.text, result.data

        seconds = tool.timeout.total_seconds()
        receipt = await self._effects.once(_ledger_call(call, run, args), work, seconds=seconds)
        return _done(receipt)

    async def _write_remote(self, tool: Tool, args: BaseModel, call: ToolCall, run: Run) -> Outcome:
        async def send(key: str) -> tuple[str, dict[str, Any]]:
            result = await tool(run=_under(run, key), **_values(args))
            return result.text, result.data

        async def ask(key: str) -> tuple[str, dict[str, Any]] | None:
            result = await tool.reconcile(run=_under(run, key), **_values(args))
            return (result.text, result.data) if result else None

        can_ask = type(tool).reconcile is not Tool.reconcile
        try:
            receipt = await self._effects.remote(
                _ledger_call(call, run, args),
                send,
                honours_key=tool.remote == "keyed",
                reconcile=ask if can_ask else None,
                seconds=tool.timeout.total_seconds(),
                retries=tool.retries,
            )
        except OutcomeUnknown:
            return Outcome(error=_unknown(call))
        except (Unavailable, OSError, httpx.TransportError) as error:
            raise _Unreachable(_unreachable(call)) from error
        return _done(receipt)


class _Unreachable(Exception):
    """A tool did not answer."""


def to_message(call: ToolCall, outcome: Outcome) -> ToolMessage:
    """The answer to a call for the model; `artifact` holds data, choices and receipt."""
    result = outcome.result or Result(outcome.error or "")
    return ToolMessage(
        result.text,
        name=call["name"],
        tool_call_id=call["id"],
        status="error" if outcome.error is not None else "success",
        artifact={"data": result.data, "choices": result.choices, "receipt": outcome.receipt},
    )


def _values(args: BaseModel) -> dict[str, Any]:
    return {name: getattr(args, name) for name in type(args).model_fields}


def _ledger_call(call: ToolCall, run: Run, args: BaseModel) -> Call:
    return Call(
        tenant=run.tenant,
        thread_id=run.thread_id,
        run_id=run.run_id,
        call_id=run.call_id,
        tool=call["name"],
        args=args.model_dump(mode="json"),
        epoch=run.epoch,
    )


def _under(run: Run, key: str) -> Run:
    """The run whose idempotency key this is: that of the call that was begun first."""
    return replace(run, call_id=key.removeprefix(f"{run.thread_id}:"))


def _done(receipt: Receipt) -> Outcome:
    return Outcome(Result(receipt["text"], receipt["data"]), receipt=receipt)


def _unknown(call: ToolCall) -> str:
    return (
        f"I cannot tell whether this was done ({_words(call)}). A colleague will check: "
        "please do not ask for it again before."
    )


def _unreachable(call: ToolCall) -> str:
    return f"I cannot {_words(call)} right now: please try again later."


def _words(call: ToolCall) -> str:
    return call["name"].replace("_", " ")
