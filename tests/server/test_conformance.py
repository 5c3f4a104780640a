"""Whatever is asked, answers are as the OpenAPI document says, and nothing breaks the server.

Requests are made up by schemathesis from the document that the server itself publishes, and sent
over a socket with a real key. Half of them name objects that exist.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from langgraph_sdk import get_client
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engine.settings import Settings
from server.app import create_app
from tests.fakes.serving import sample_graphs, serving

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
NEVER_END = {
    "GET /threads/{thread_id}/stream",
    "POST /threads/{thread_id}/stream/events",
}
"""Covered by the scenarios of streams."""

KEY = "conformance-secret"


@dataclass(frozen=True)
class Known:
    """Objects that exist: what a path may name."""

    url: str
    ids: dict[str, str]


@pytest.fixture(scope="module")
async def known(served_settings: Settings) -> AsyncIterator[Known]:
    changes = {
        "api_keys": SecretStr(f"made-up:trusted:{KEY}"),
        "rate_limit": 1_000_000,
        "max_lag_seconds": 60.0,
    }
    settings = served_settings.model_copy(update=changes)
    async with (
        serving(create_app(settings, sample_graphs)) as url,
        get_client(url=url, api_key=KEY) as client,
    ):
        assistant: Any = await client.assistants.create("work")
        thread: Any = await client.threads.create(graph_id="work")
        await client.runs.wait(thread["thread_id"], "work", input={"mode": "done"})
        (run,) = await client.runs.list(thread["thread_id"])
        state: Any = await client.threads.get_state(thread["thread_id"])
        cron: Any = await client.crons.create("work", schedule="0 0 1 1 *", input={})
        yield Known(
            url,
            {
                "assistant_id": assistant["assistant_id"],
                "thread_id": thread["thread_id"],
                "run_id": run["run_id"],
                "cron_id": cron["cron_id"],
                "checkpoint_id": state["checkpoint"]["checkpoint_id"],
            },
        )


@pytest.mark.parametrize(
    "requests", [6, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(1200)])]
)
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
async def test_every_answer_is_as_the_document_says(known: Known, requests: int) -> None:
    played = await asyncio.to_thread(_play, known, requests)
    assert len(played) > 60
    assert not played & NEVER_END


def _play(known: Known, requests: int) -> set[str]:
    document = schemathesis.openapi.from_url(f"{known.url}/openapi.json")
    played = set()
    broken: list[str] = []
    for found in document.get_all_operations():
        operation = found.ok()
        if operation.label in NEVER_END:
            continue
        played.add(operation.label)
        try:
            _try(operation, known, requests)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - all is told at once
            broken.append(f"{operation.label}: {_said(error)}")
    assert not broken, "\n\n".join(broken)
    return played


def _try(operation: Any, known: Known, requests: int) -> None:
    deletes = operation.method.upper() == "DELETE"

    @seed(1)
    @settings(
        max_examples=requests,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), exists=st.booleans())
    def ask(case: Any, exists: bool) -> None:
        if exists and not deletes and case.path_parameters:
            case.path_parameters |= {
                name: known.ids[name] for name in case.path_parameters if name in known.ids
            }
        if isinstance(case.body, dict) and "assistant_id" in case.body and exists:
            case.body["assistant_id"] = "work"
        headers = {"x-api-key": KEY, "x-request-id": str(uuid4())}
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=60)

    ask()


def _said(error: BaseException) -> str:
    """The failures themselves, without the frames around them."""
    if isinstance(error, BaseExceptionGroup):
        return "\n".join(_said(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"
