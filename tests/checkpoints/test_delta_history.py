"""What ancestors wrote to delta channels, and that it outlives every kind of clearing up."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from tests.checkpoints.threads import Thread, checkpoint, id_of

COUNTERS = "counters_since_delta_snapshot"


class Log:
    """A thread with the delta channels `log` and `side`: they have versions, and values seldom."""

    def __init__(self, thread: Thread) -> None:
        self.thread = thread
        self.versions: dict[str | None, dict[str, int]] = {None: {}}

    async def step(
        self,
        *writes: tuple[str, Any],
        parent: str | None = None,
        snapshot: dict[str, Any] | None = None,
        **fields: Any,
    ) -> str:
        """Write on the parent, and put the checkpoint that comes of it."""
        if writes and parent:
            await self.thread.write(*writes, at=self.thread.at(parent), task=f"task {writes}")
        before = self.versions[parent]
        new = max(before.values(), default=0) + 1
        changed = dict.fromkeys([name for name, _ in writes] + list(snapshot or {}), new)
        metadata = fields.pop("metadata", {})
        made = checkpoint(
            {"plain": new} | {k: _DeltaSnapshot(v) for k, v in (snapshot or {}).items()},
            before | changed | {"plain": new},
            **fields,
        )
        counters = {name: (1, 1) for name in ("log", "side") if name not in (snapshot or {})}
        await self.thread.saver.aput(
            self.thread.at(parent),
            made,
            {"source": "loop", "step": new, COUNTERS: counters, **metadata},
            changed | {"plain": new},
        )
        self.versions[made["id"]] = made["channel_versions"]
        return made["id"]

    async def history(self, *channels: str, at: str | None, saver: Any = None) -> dict[str, Any]:
        found = await (saver or self.thread.saver).aget_delta_channel_history(
            config=self.thread.at(at), channels=channels
        )
        return {
            name: (
                [value for _, _, value in each["writes"]],
                *([each["seed"]] if "seed" in each else []),
            )
            for name, each in found.items()
        }


@pytest.fixture
def log(thread: Thread) -> Log:
    return Log(thread)


async def test_writes_of_the_ancestors_come_oldest_first_without_those_of_the_target(
    log: Log, other: BaseCheckpointSaver
) -> None:
    one = await log.step()
    two = await log.step(("log", [1]), parent=one)
    three = await log.step(("log", [2]), ("side", "s"), parent=two)
    await log.thread.write(("log", ["pending"]), at=log.thread.at(three))
    for saver in (log.thread.saver, other):
        assert await log.history("log", at=three, saver=saver) == {"log": ([[1], [2]],)}
        assert await log.history("log", at=None, saver=saver) == {"log": ([[1], [2]],)}
        assert await log.history("log", at=two, saver=saver) == {"log": ([[1]],)}
        assert await log.history("log", at=one, saver=saver) == {"log": ([],)}
        assert await log.history("log", "side", "none", at=three, saver=saver) == {
            "log": ([[1], [2]],),
            "side": (["s"],),
            "none": ([],),
        }
        assert await log.history(at=three, saver=saver) == {}


async def test_the_walk_ends_at_the_nearest_value_and_takes_its_writes_along(
    log: Log, other: BaseCheckpointSaver
) -> None:
    at = await log.step()
    at = await log.step(("log", [1]), parent=at)
    at = await log.step(("log", [2]), parent=at, snapshot={"log": [1, 2]})
    at = await log.step(("log", [3]), ("side", 3), parent=at)
    at = await log.step(("log", [4]), parent=at)
    for saver in (log.thread.saver, other):
        assert await log.history("log", "side", at=at, saver=saver) == {
            "log": ([[3], [4]], _DeltaSnapshot([1, 2])),
            "side": ([3],),
        }


async def test_each_channel_ends_its_walk_by_itself(log: Log, other: BaseCheckpointSaver) -> None:
    at = await log.step(snapshot={"side": {"s": 0}})
    at = await log.step(("log", 1), ("side", 1), parent=at)
    at = await log.step(("log", 2), ("side", 2), parent=at, snapshot={"log": [1, 2]})
    at = await log.step(("log", 3), ("side", 3), parent=at)
    for saver in (log.thread.saver, other):
        assert await log.history("side", "log", at=at, saver=saver) == {
            "side": ([1, 2, 3], _DeltaSnapshot({"s": 0})),
            "log": ([3], _DeltaSnapshot([1, 2])),
        }


async def test_a_plain_value_of_older_days_is_a_seed(thread: Thread) -> None:
    first = await thread.put({"log": ["old"]})
    await thread.write(("log", ["new"]))
    made = checkpoint({}, {"log": 2})
    await thread.saver.aput(first, made, {}, {"log": 2})
    found = await thread.delta("log")
    assert found == {"log": {"writes": [("task", "log", ["new"])], "seed": ["old"]}}


@pytest.mark.parametrize("seed", [None, [], 0, ""])
async def test_a_seed_may_be_nothing_much(thread: Thread, seed: object) -> None:
    first = await thread.put({"log": seed})
    await thread.saver.aput(first, checkpoint({}, {"log": 2}), {}, {"log": 2})
    assert await thread.delta("log") == {"log": {"writes": [], "seed": seed}}


async def test_forks_follow_their_parents_and_not_the_list(
    log: Log, other: BaseCheckpointSaver
) -> None:
    root = await log.step()
    left = await log.step(("log", "left 1"), parent=root)
    right = await log.step(parent=root, snapshot={"log": ["right"]})
    left_2 = await log.step(("log", "left 2"), parent=left)
    right_2 = await log.step(("log", "right 2"), parent=right)
    left_3 = await log.step(("log", "left 3"), parent=left_2)
    for saver in (log.thread.saver, other):
        assert await log.history("log", at=left_3, saver=saver) == {
            "log": (["left 1", "left 2", "left 3"],)
        }
        assert await log.history("log", at=right_2, saver=saver) == {
            "log": (["right 2"], _DeltaSnapshot(["right"]))
        }


async def test_namespaces_do_not_mix(saver: BaseCheckpointSaver) -> None:
    root, inner = Log(Thread(saver)), Log(Thread(saver, ns="inner:1"))
    inner.thread.thread_id = root.thread.thread_id
    for log in (root, inner):
        at = await log.step()
        at = await log.step(("log", log.thread.ns), parent=at)
        assert await log.history("log", at=at) == {"log": ([log.thread.ns],)}


async def test_writes_of_a_step_come_in_the_order_of_their_paths(
    log: Log, other: BaseCheckpointSaver
) -> None:
    root = await log.step()
    at = log.thread.at(root)
    await log.thread.write(("log", 3), ("side", 0), ("log", 4), task="a", path="~2", at=at)
    for task, path, value in (("z", "~1", 2), ("b", "~3", 5), ("m", "", 1)):
        await log.thread.write(("log", value), task=task, path=path, at=at)
    head = await log.step(parent=root)
    for saver in (log.thread.saver, other):
        assert await log.history("log", at=head, saver=saver) == {"log": ([1, 2, 3, 4, 5],)}


async def test_a_target_that_does_not_exist_has_no_history(log: Log) -> None:
    await log.step()
    assert await log.history("log", at="1f000000-0000-6000-8000-000000000000") == {"log": ([],)}
    stranger = Log(Thread(log.thread.saver))
    assert await stranger.history("log", at=None) == {"log": ([],)}


async def long_log(log: Log, run_of: Any = lambda n: "run") -> tuple[list[str], list[str], Any]:
    """Thirty steps with a snapshot at 7 and 20. Returns the ids, their runs and the log."""
    ids, items = [await log.step(metadata={"run_id": run_of(0)})], []
    for n in range(1, 31):
        item = HumanMessage(f"{n} {'x' * 150}", id=str(n))
        items.append(item)
        snapshot = {"log": list(items)} if n in (7, 20) else None
        ids.append(
            await log.step(
                ("log", [item]), parent=ids[-1], snapshot=snapshot, metadata={"run_id": run_of(n)}
            )
        )
    return ids, [run_of(n) for n in range(31)], items


def replayed(history: tuple[Any, ...]) -> list[Any]:
    writes, *seed = history
    return [*(seed[0].value if seed else []), *(item for write in writes for item in write)]


async def test_a_delta_channel_is_whole_after_pruning(log: Log, other: BaseCheckpointSaver) -> None:
    ids, _, items = await long_log(log)
    await other.aprune([log.thread.thread_id])
    for saver in (log.thread.saver, other):
        found = await log.history("log", at=None, saver=saver)
        assert replayed(found["log"]) == items
        assert id_of((await saver.aget_tuple(log.thread.config)).config) == ids[-1]
    listed = await log.thread.history()
    assert len(listed) <= 11  # back to the snapshot at most
    more = HumanMessage("more", id="more")
    await log.step(("log", [more]), parent=ids[-1])
    await other.aprune([log.thread.thread_id])
    for saver in (log.thread.saver, other):
        assert replayed((await log.history("log", at=None, saver=saver))["log"]) == [*items, more]


async def test_a_delta_channel_is_whole_after_its_runs_were_deleted(
    log: Log, other: BaseCheckpointSaver
) -> None:
    _, _, items = await long_log(log, lambda n: f"{n // 10} {log.thread.thread_id}")
    for gone in ("0", "1", "2"):
        await other.adelete_for_runs([f"{gone} {log.thread.thread_id}"])
        for saver in (log.thread.saver, other):
            assert replayed((await log.history("log", at=None, saver=saver))["log"]) == items


async def test_a_delta_channel_is_whole_in_a_copy(log: Log, other: BaseCheckpointSaver) -> None:
    ids, _, items = await long_log(log)
    copy = Thread(other, f"copy of {log.thread.thread_id}")
    await other.acopy_thread(log.thread.thread_id, copy.thread_id)
    await other.adelete_thread(log.thread.thread_id)
    for saver in (log.thread.saver, other):
        for at, count in ((None, 30), (ids[10], 10), (ids[7], 7), (ids[3], 3)):
            values = (await saver.aget_tuple(copy.at(at))).checkpoint["channel_values"]
            found = await saver.aget_delta_channel_history(config=copy.at(at), channels=["log"])
            if "log" in values:
                assert values["log"] == _DeltaSnapshot(items[:count])
            else:
                writes = [value for _, _, value in found["log"]["writes"]]
                seed = [found["log"]["seed"]] if "seed" in found["log"] else []
                assert replayed((writes, *seed)) == items[:count]


async def test_a_snapshot_is_read_as_one(log: Log, other: BaseCheckpointSaver) -> None:
    values = [[], {}, None, "text", [1, {"a": [2]}], {"k": ["v" * 300]}, ["x" * 500] * 3]
    for value in values:
        at = await log.step(snapshot={"log": value})
        for saver in (log.thread.saver, other):
            found = (await saver.aget_tuple(log.thread.at(at))).checkpoint["channel_values"]["log"]
            assert type(found) is _DeltaSnapshot
            assert found.value == value


async def test_a_long_log_is_walked_in_good_time(log: Log, other: BaseCheckpointSaver) -> None:
    at = await log.step()
    for n in range(150):
        at = await log.step(("log", [n]), parent=at)
    for saver in (log.thread.saver, other):
        assert replayed((await log.history("log", at=None, saver=saver))["log"]) == [*range(150)]
