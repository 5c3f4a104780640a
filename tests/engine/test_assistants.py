"""Who sees which assistants, and what a run takes of one that changes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.assistants import AssistantQuery, Draft
from engine.caller import Caller
from engine.errors import Conflict, Forbidden, NotFound
from engine.ids import system_assistant_id
from engine.pages import Page
from engine.runtime import Engine

CHAT = system_assistant_id("chat")


@pytest.fixture
def anna(me: Caller) -> Caller:
    """One person."""
    return replace(me, identity="anna", trusted=False, alone=True)


@pytest.fixture
def bert(anna: Caller) -> Caller:
    return replace(anna, identity="bert")


async def _names(engine: Engine, caller: Caller) -> set[str]:
    found = await engine.assistants.search(caller, AssistantQuery(), Page(100))
    assert await engine.assistants.count(caller, AssistantQuery()) == len(found)
    return {one.name for one in found}


async def test_a_person_sees_those_of_the_graphs_and_its_own(
    engine: Engine, me: Caller, anna: Caller, bert: Caller
) -> None:
    made = await engine.assistants.create(anna, Draft("chat", "annas"))
    mine = made.assistant_id
    graphs = {"chat", "approval", "work"}
    assert await _names(engine, anna) == await _names(engine, me) == {*graphs, "annas"}
    assert await _names(engine, bert) == graphs
    assert await engine.assistants.resolve(anna, str(mine)) == made
    for use in (
        engine.assistants.get(bert, mine),
        engine.assistants.resolve(bert, str(mine)),
        engine.assistants.patch(bert, mine, Draft(name="berts")),
        engine.assistants.restore(bert, mine, 1),
        engine.assistants.versions(bert, mine, limit=1, offset=0),
        engine.assistants.delete(bert, mine),
    ):
        with pytest.raises(NotFound):
            await use
    with pytest.raises(Conflict):
        await engine.assistants.create(bert, Draft("chat"), assistant_id=mine, keep_existing=True)
    assert await engine.assistants.get(me, mine) == made


async def test_all_use_those_of_the_graphs_and_one_tenant_changes_them(
    engine: Engine, me: Caller, anna: Caller
) -> None:
    assert (await engine.assistants.resolve(anna, "chat")).assistant_id == CHAT
    changes: list[Callable[[Caller], Any]] = [
        lambda caller: engine.assistants.patch(caller, CHAT, Draft(description="d")),
        lambda caller: engine.assistants.restore(caller, CHAT, 1),
        lambda caller: engine.assistants.delete(caller, CHAT),
    ]
    operator = replace(me, tenant="default")
    for change in changes:
        for caller in (anna, me, replace(anna, tenant="default")):
            with pytest.raises(Forbidden, match="of your own"):
                await change(caller)
    for change in changes:
        await change(operator)
    with pytest.raises(NotFound):
        await engine.assistants.get(anna, CHAT)


async def test_what_is_filtered_is_missing_but_graphs_can_be_run(
    engine: Engine, me: Caller
) -> None:
    made = await engine.assistants.create(me, Draft("chat", "hers", metadata={"owner": "anna"}))
    hers = replace(me, filter={"owner": "anna"})
    theirs = replace(me, filter={"owner": "bert"})
    assert await _names(engine, hers) == {"hers"}
    assert await _names(engine, theirs) == set()
    assert await engine.assistants.resolve(hers, str(made.assistant_id)) == made
    with pytest.raises(NotFound):
        await engine.assistants.resolve(theirs, str(made.assistant_id))
    with pytest.raises(NotFound):
        await engine.assistants.patch(theirs, made.assistant_id, Draft(name="n"))
    for caller in (hers, theirs):
        assert (await engine.assistants.resolve(caller, "chat")).assistant_id == CHAT


async def test_changes_at_the_same_time_are_versions_of_their_own(
    engine: Engine, me: Caller
) -> None:
    mine = (await engine.assistants.create(me, Draft("chat"))).assistant_id
    drafts = [Draft(metadata={f"k{n}": n}) for n in range(8)]
    patched = await asyncio.gather(*(engine.assistants.patch(me, mine, one) for one in drafts))
    assert sorted(one.version for one in patched) == list(range(2, 10))
    last = await engine.assistants.get(me, mine)
    assert last.metadata == {f"k{n}": n for n in range(8)}
    versions = await engine.assistants.versions(me, mine, limit=100, offset=0)
    assert [len(one.metadata) for one in versions] == [8, 7, 6, 5, 4, 3, 2, 1, 0]


async def test_what_is_said_of_a_graph_is_said_of_its_assistant(engine: Engine, me: Caller) -> None:
    await engine.assistants.register_graphs({"chat": "Talks."})
    found = await engine.assistants.get(me, CHAT)
    assert (found.description, found.version) == ("Talks.", 1)
    (version,) = await engine.assistants.versions(me, CHAT, limit=9, offset=0)
    assert version.description == "Talks."
    mine = await engine.assistants.patch(
        replace(me, tenant="default"), CHAT, Draft(description="Mine.")
    )
    await engine.assistants.register_graphs({"chat": "Talks more."})
    assert await engine.assistants.get(me, CHAT) == mine
