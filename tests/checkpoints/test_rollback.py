"""Deleting a run restores what the thread was before it, down to the writes it took the place of.

Each run has an id in its config, as the engine's have, and is cut where its node fails or asks.
"""

import asyncio
import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME
from langgraph.graph import START, StateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command, Durability, interrupt

from tests.checkpoints.threads import Thread, by_namespace, encoded, new_id, plain

LONG = "x" * 300  # an element of its own


class Cut(Exception):
    """Stands for a cancelled run: what its other tasks have done by then is stored."""


def joined(state: list[Any], writes: list[list[Any]]) -> list[Any]:
    return [*state, *(item for write in writes for item in write)]


class Asked(TypedDict, total=False):
    seen: Annotated[list[str], operator.add]
    log: Annotated[list[str], DeltaChannel(joined)]


class Told:
    """A thread, its graph, and all that can be seen of it."""

    def __init__(self, saver: BaseCheckpointSaver, durability: Durability) -> None:
        self.saver = saver
        self.durability = durability
        self.thread_id = str(uuid4())
        self.name = ""
        self.cut: str | None = None
        self.graph: Pregel = self._built()

    @property
    def config(self) -> RunnableConfig:
        return {"configurable": {"thread_id": self.thread_id}}

    def id_of(self, run: str) -> str:
        return f"{run} of {self.thread_id}"

    async def run(self, name: str, given: Any, *, cut: str | None = None) -> Any:
        """Run the graph; with `cut`, the node of that name fails."""
        config = self.config
        config["configurable"]["run_id"] = self.id_of(name)
        self.name, self.cut = name, cut
        try:
            return await self.graph.ainvoke(given, config, durability=self.durability)
        except Cut:
            return "cut"
        finally:
            self.cut = None
            await self.saver.settled(self.thread_id)  # nobody waits for what a cut one saves

    async def roll_back(self, *names: str) -> None:
        await self.saver.adelete_for_runs([self.id_of(name) for name in names])

    async def seen(self, saver: BaseCheckpointSaver) -> Any:
        """Every checkpoint, and the state as a client would see it."""
        graph = self.graph.copy()
        graph.checkpointer = saver
        state = await graph.aget_state(self.config, subgraphs=True)
        every = by_namespace([found async for found in saver.alist(self.config)])
        return encoded(state.values), repr(state), every

    def _built(self) -> Pregel:
        """Two questions asked at once, one of them two graphs deep; then two nodes in a row."""
        inner = StateGraph(Asked).add_node("first", self._asks("first"))
        inner.add_node("second", self._asks("second"))
        inner.add_edge(START, "first").add_edge("first", "second")
        builder = StateGraph(Asked).add_node("inner", inner.compile())
        builder.add_node("beside", self._asks("beside"))
        builder.add_node("quick", self._says("quick"))
        builder.add_node("after", self._says("after")).add_node("end", self._says("end"))
        for name in ("inner", "beside", "quick"):
            builder.add_edge(START, name)
        builder.add_edge(["inner", "beside", "quick"], "after").add_edge("after", "end")
        return builder.compile(checkpointer=self.saver)

    def _asks(self, name: str) -> Callable[[Asked], Any]:
        async def node(state: Asked) -> Asked:
            answer = interrupt(f"{name}? {LONG}")
            await self._fail_if_cut(name)
            return {"seen": [f"{name}: {answer}"], "log": [f"{name}: {answer}"]}

        return node

    def _says(self, name: str) -> Callable[[Asked], Any]:
        async def node(state: Asked) -> Asked:
            await self._fail_if_cut(name)
            return {"seen": [name], "log": [f"{name} after {len(state['log'])}"]}

        return node

    async def _fail_if_cut(self, name: str) -> None:
        if self.cut == name:
            await asyncio.sleep(0.05)  # what runs beside it ends first
            raise Cut(f"{self.name} at {name} {LONG}")


@pytest.fixture(params=["sync", "async", "exit"])
def told(saver: BaseCheckpointSaver, request: pytest.FixtureRequest) -> Told:
    return Told(saver, request.param)


async def answers(told: Told, word: str) -> Command[Any]:
    """An answer to every question."""
    asked = (await told.graph.aget_state(told.config)).interrupts
    return Command(resume={one.id: f"{word} {one.value[:5]}" for one in asked})


async def one_answer(told: Told, word: str, number: int = 0) -> Command[Any]:
    asked = (await told.graph.aget_state(told.config)).interrupts
    return Command(resume={sorted(asked, key=lambda one: one.value)[number].id: word})


async def finish(told: Told, word: str) -> tuple[list[str], list[str]]:
    for turn in range(3):
        output = await told.run(f"{word} {turn}", await answers(told, word))
        if "__interrupt__" not in output:
            return sorted(output["seen"]), sorted(output["log"])
    raise AssertionError("it asks and asks")


async def begun(told: Told) -> None:
    await told.run("first", {"seen": ["in"], "log": ["in"]})


async def as_if_it_never_was(
    told: Told, other: BaseCheckpointSaver, before: Any, *runs: str
) -> None:
    """After deleting the runs all is as before, in every process, and goes on as from there."""
    assert await told.seen(told.saver) != before
    await told.roll_back(*runs)
    for reader in (told.saver, other):
        assert await told.seen(reader) == before
    await told.roll_back(*runs)
    assert await told.seen(other) == before
    fresh = Told(told.saver, told.durability)
    await begun(fresh)
    assert await finish(told, "again") == await finish(fresh, "again")


@pytest.mark.parametrize(
    "cut", ["first", "beside", "second", "after", "end", None], ids=lambda cut: f"cut at {cut}"
)
async def test_a_resumed_run_that_is_deleted_leaves_the_questions_as_they_were(
    told: Told, other: BaseCheckpointSaver, cut: str | None
) -> None:
    await begun(told)
    before = await told.seen(told.saver)
    for turn in range(3):
        await told.run(f"second {turn}", await answers(told, "wrong"), cut=cut)
    await as_if_it_never_was(told, other, before, *(f"second {turn}" for turn in range(3)))


@pytest.mark.parametrize("number", [0, 1])
async def test_of_several_answers_the_last_is_taken_back(
    told: Told, other: BaseCheckpointSaver, number: int
) -> None:
    await begun(told)
    await told.run("second", await one_answer(told, "again first?", 1))
    before = await told.seen(told.saver)
    await told.run("third", await one_answer(told, "wrong", number))
    after = await told.seen(told.saver)
    assert after != before
    await told.roll_back("third")
    for reader in (told.saver, other):
        assert await told.seen(reader) == before
    await told.run("fourth", await one_answer(told, "right", number))
    values = (await told.graph.aget_state(told.config)).tasks
    assert "wrong" not in repr(values)
    assert "wrong" not in repr(await told.seen(other))


@pytest.mark.parametrize("again", ["quick", "after", None])
async def test_the_error_of_a_run_comes_back_when_the_one_that_tried_again_is_deleted(
    told: Told, other: BaseCheckpointSaver, again: str | None
) -> None:
    await told.run("first", {"seen": ["in"], "log": ["in"]}, cut="quick")
    before = await told.seen(told.saver)
    assert "first at quick" in before[1]
    await told.run("second", None, cut=again)
    assert await told.seen(other) != before
    await told.roll_back("second")
    for reader in (told.saver, other):
        assert await told.seen(reader) == before
    await told.run("third", None)
    fresh = Told(told.saver, told.durability)
    await begun(fresh)
    assert await finish(told, "yes") == await finish(fresh, "yes")


@pytest.mark.parametrize("cut", ["quick", "after", None])
async def test_a_new_message_that_is_taken_back_leaves_the_interrupted_thread(
    told: Told, other: BaseCheckpointSaver, cut: str | None
) -> None:
    """Its input to a delta channel is written upon the head of the run before."""
    await begun(told)
    before = await told.seen(told.saver)
    await told.run("second", {"seen": ["new"], "log": ["new"]}, cut=cut)
    await as_if_it_never_was(told, other, before, "second")


async def test_a_finished_thread_is_as_finished_after_its_next_turn_is_deleted(
    told: Told, other: BaseCheckpointSaver
) -> None:
    await begun(told)
    await finish(told, "yes")
    before = await told.seen(told.saver)
    await told.run("second", {"seen": ["new"], "log": ["new"]}, cut="quick")
    await told.run("third", {"seen": ["newer"], "log": ["newer"]})
    await told.roll_back("second", "third")
    for reader in (told.saver, other):
        assert await told.seen(reader) == before


async def test_what_was_edited_between_stays(told: Told, other: BaseCheckpointSaver) -> None:
    await begun(told)
    await told.graph.aupdate_state(
        told.config, {"seen": ["edit"], "log": ["edit"]}, as_node="quick"
    )
    before = await told.seen(told.saver)
    await told.run("second", {"seen": ["wrong"], "log": ["wrong"]}, cut="quick")
    await told.run("third", await one_answer(told, "wrong"))
    assert await told.seen(other) != before
    await told.roll_back("second", "third")
    for reader in (told.saver, other):
        assert await told.seen(reader) == before
    await told.run("fourth", {"seen": ["new"], "log": ["new"]})
    seen, log = await finish(told, "yes")
    assert {"edit", "new"} <= {*seen} & {*log}
    assert "wrong" not in repr(await told.seen(other))


async def test_a_thread_that_a_run_began_is_empty_without_it(
    told: Told, other: BaseCheckpointSaver
) -> None:
    await begun(told)
    await told.roll_back("first")
    for reader in (told.saver, other):
        assert await told.seen(reader) == (encoded({}), (await told.seen(reader))[1], {})
    fresh = Told(told.saver, told.durability)
    await begun(told)
    await begun(fresh)
    assert await finish(told, "yes") == await finish(fresh, "yes")


async def test_other_threads_keep_what_they_have(told: Told, other: BaseCheckpointSaver) -> None:
    beside = Told(told.saver, told.durability)
    for one in (told, beside):
        await begun(one)
        await one.run("second", await one_answer(one, "a"))
    kept = await beside.seen(other)
    await told.roll_back("first", "second")
    assert await beside.seen(other) == kept
    assert (await told.seen(other))[2] == {}


async def test_a_deletion_that_was_cut_is_finished_by_the_next(
    told: Told, other: BaseCheckpointSaver
) -> None:
    await begun(told)
    before = await told.seen(told.saver)
    await told.run("second", await answers(told, "wrong"))
    await told.run("third", await answers(told, "wrong"))
    for delay in (0.0, 0.001, 0.003, 0.006, 0.01):
        deleting = asyncio.create_task(told.roll_back("second", "third"))
        await asyncio.sleep(delay)
        deleting.cancel()
        await asyncio.gather(deleting, return_exceptions=True)
    await told.roll_back("second", "third")
    for reader in (told.saver, other):
        assert await told.seen(reader) == before


# Without a graph: what no graph does easily.


async def write(thread: Thread, run: str | None, *writes: tuple[str, Any], task: str = "t") -> None:
    config = thread.last or thread.config
    configurable = config["configurable"] | ({"run_id": run} if run else {})
    await thread.saver.aput_writes({"configurable": configurable}, writes, task)


@pytest.fixture
def runs(thread: Thread) -> list[str]:
    return [f"{n} {thread.thread_id}" for n in range(4)]


async def test_writes_that_were_replaced_count_again_in_any_order_of_removal(
    thread: Thread, other: BaseCheckpointSaver, runs: list[str]
) -> None:
    """Equal values share an element, which must outlive each of those that wrote it."""
    await thread.put({"items": []}, metadata={"run_id": runs[0]})
    await write(thread, runs[0], (INTERRUPT, [LONG]), ("items", f"zero {LONG}"))
    await write(thread, runs[1], (INTERRUPT, ["one"]), ("items", f"one {LONG}"), (ERROR, "e"))
    await write(thread, runs[2], (INTERRUPT, [LONG]), (RESUME, [f"two {LONG}"]), task="t")
    await write(thread, runs[2], ("items", f"two {LONG}"), task="u")
    await write(thread, None, ("items", "nobody's"), task="v")
    nobody = ("v", "items", "nobody's")
    by_zero = [("t", INTERRUPT, [LONG]), ("t", "items", f"zero {LONG}")]
    await other.adelete_for_runs([runs[2]])
    for reader in (thread, thread.through(other)):
        assert await reader.writes() == [
            ("t", INTERRUPT, ["one"]),
            ("t", ERROR, "e"),
            ("t", "items", f"zero {LONG}"),
            nobody,
        ]
    await thread.saver.adelete_for_runs([runs[1], runs[3], "None"])
    for reader in (thread, thread.through(other)):
        assert await reader.writes() == [*by_zero, nobody]
    await write(thread, runs[2], (INTERRUPT, [LONG]), ("new", f"two {LONG}"), task="w")
    for reader in (thread, thread.through(other)):
        assert await reader.writes() == [
            *by_zero,
            nobody,
            ("w", INTERRUPT, [LONG]),
            ("w", "new", f"two {LONG}"),
        ]


async def test_the_first_of_two_equal_positions_removed_makes_room_for_the_second(
    thread: Thread, other: BaseCheckpointSaver, runs: list[str]
) -> None:
    await thread.put({}, metadata={"run_id": runs[0]})
    await write(thread, runs[1], ("items", f"one {LONG}"))
    await write(thread, runs[2], ("items", f"two {LONG}"))
    await other.adelete_for_runs([runs[1]])
    for reader in (thread, thread.through(other)):
        assert await reader.writes() == [("t", "items", f"two {LONG}")]


async def test_a_run_that_only_wrote_is_found_and_a_later_branch_keeps_its_own(
    thread: Thread, other: BaseCheckpointSaver, runs: list[str]
) -> None:
    shared = await thread.put({"items": []}, metadata={"run_id": runs[0]})
    before = plain(await thread.read())
    await write(thread.through(other), runs[1], ("items", LONG), (RESUME, "one"))
    await write(thread, runs[2], ("items", LONG), (RESUME, "two"), task="u")
    await thread.put({"items": [LONG]}, metadata={"run_id": runs[2]}, parent=shared)
    await other.adelete_for_runs([runs[1]])
    for reader in (thread, thread.through(other)):
        assert await reader.writes(shared) == [("u", RESUME, "two"), ("u", "items", LONG)]
        assert await reader.values() == {"items": [LONG]}
    await thread.saver.adelete_for_runs([runs[2]])
    assert plain(await thread.through(other).read()) == before


async def test_a_copy_can_be_rolled_back_too(
    thread: Thread, other: BaseCheckpointSaver, runs: list[str]
) -> None:
    await thread.put({}, metadata={"run_id": runs[0]})
    await write(thread, runs[0], (INTERRUPT, [f"first {LONG}"]))
    await write(thread, runs[1], (INTERRUPT, [f"second {LONG}"]))
    copy = Thread(other, f"copy of {thread.thread_id}")
    await other.acopy_thread(thread.thread_id, copy.thread_id)
    await thread.saver.adelete_thread(thread.thread_id)
    assert await copy.writes() == [("t", INTERRUPT, [f"second {LONG}"])]
    await thread.saver.adelete_for_runs([runs[1]])
    assert await copy.writes() == [("t", INTERRUPT, [f"first {LONG}"])]


async def test_what_is_rolled_back_in_one_thread_stays_in_its_copy(
    thread: Thread, other: BaseCheckpointSaver, runs: list[str]
) -> None:
    await thread.put({"items": [LONG]}, metadata={"run_id": runs[0]})
    await thread.put({"items": [LONG, "more"]}, metadata={"run_id": runs[1]})
    await write(thread, runs[1], ("items", [LONG]))
    copy = Thread(other, f"copy of {thread.thread_id}")
    await other.acopy_thread(thread.thread_id, copy.thread_id)
    await thread.saver.adelete_for_runs([runs[1]], thread_id=thread.thread_id)  # type: ignore[attr-defined]
    assert await thread.through(other).values() == {"items": [LONG]}
    for reader in (copy, copy.through(thread.saver)):
        assert await reader.values() == {"items": [LONG, "more"]}
        assert len(await reader.history()) == 2


async def test_a_delta_channel_keeps_the_writes_that_a_checkpoint_which_stays_rests_on(
    thread: Thread, other: BaseCheckpointSaver, runs: list[str]
) -> None:
    counters = {"counters_since_delta_snapshot": {"log": [1, 1]}}
    first = await thread.put({"log": []}, metadata={"run_id": runs[0]})
    await write(thread, runs[1], ("log", [1]))
    await write(thread, runs[1], ("plain", 1), task="u")
    thread._seen[first["configurable"]["checkpoint_id"]][0].pop("log")
    await thread.put({}, metadata={"run_id": runs[2], **counters})
    await other.adelete_for_runs([runs[1]])
    for reader in (thread, thread.through(other)):
        assert await reader.writes(first) == [("t", "log", [1])]
        history = (await reader.delta("log"))["log"]
        assert [value for _, _, value in history["writes"]] == [[1]]
    await other.adelete_for_runs([runs[2]])
    await other.adelete_for_runs([runs[1]])
    for reader in (thread, thread.through(other)):
        assert await reader.writes() == []


async def test_removed_writes_give_their_room_back(
    thread: Thread, other: BaseCheckpointSaver, runs: list[str]
) -> None:
    """The same text written again is an element of its own: the old one is gone."""
    await thread.put({}, metadata={"run_id": runs[0]})
    for _ in range(3):
        await write(thread, runs[1], ("items", HumanMessage(LONG, id="m")), task=new_id())
        await other.adelete_for_runs([runs[1]])
        assert await thread.writes() == []
        await write(thread, runs[2], ("items", HumanMessage(LONG, id="m")))
        for reader in (thread, thread.through(other)):
            assert await reader.writes() == [("t", "items", HumanMessage(LONG, id="m"))]
        await other.adelete_for_runs([runs[2]])
