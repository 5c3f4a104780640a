"""A process that reads everything back and compares it with what the journals say."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from math import inf
from pathlib import Path
from typing import Any

import psycopg
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from tests.checkpoints.crash.journal import (
    Attempt,
    Note,
    described,
    pending,
    read_journals,
    state_digest,
)
from tests.checkpoints.crash.targets import Site, open_saver

Lane = tuple[str, str]
"""A namespace of a thread."""

At = tuple[str, str, str]
"""A checkpoint: thread, namespace, id."""

Written = tuple[tuple[str, str], ...]
"""The writes of a task upon a checkpoint in the order of their index: (channel, digest)."""


@dataclass(frozen=True)
class Rules:
    """What a run must hold. `ordered`: writes commit before or with the checkpoint after them.
    `lossy`: what was acknowledged may be lost. `pruned`: all but the latest may have been removed.
    `calm`: nothing the saver needs was away.
    """

    ordered: bool = True
    lossy: bool = False
    pruned: bool = False
    calm: bool = True


@dataclass
class Verdict:
    violations: list[str] = field(default_factory=list)
    acknowledged: int = 0
    present: int = 0
    absent: int = 0
    raised: int = 0
    errors: list[str] = field(default_factory=list)


def run_verifier(folder: Path, sites: Sequence[Site], rules: Rules, out: Path) -> None:
    verdict = asyncio.run(_verify(folder, sites, rules))
    draft = out.with_suffix(".draft")
    draft.write_text(json.dumps(vars(verdict)))
    draft.rename(out)


async def _verify(folder: Path, sites: Sequence[Site], rules: Rules) -> Verdict:
    attempts, notes = read_journals(folder)
    verdict = Verdict()
    verdict.violations += _complaints(attempts, notes, rules)
    for number, site in enumerate(sites):
        await _nobody_else(site)
        async with open_saver(site) as saver:
            check = _Check(saver, attempts, notes, rules)
            await check.run()
        verdict.violations += [f"{site.saver} reads: {one}" for one in check.violations]
        if number == 0:
            check.count(verdict)
    return verdict


def _complaints(attempts: Sequence[Attempt], notes: Sequence[Note], rules: Rules) -> Iterator[str]:
    """What clients saw that no one should see."""
    for note in notes:
        if note.what == "violation" or (rules.calm and note.what in {"unread", "interrupted"}):
            yield f"{note.what}: {note.text}"
    for attempt in attempts:
        foreign = rules.ordered and attempt.raised and not attempt.error.startswith("checkpoints.")
        if foreign or "TimeoutError" in attempt.error:
            yield f"a save raised {attempt.error}"


async def _nobody_else(site: Site) -> None:
    """Wait until the server has noticed the deaths: what they had asked for is done or not."""
    query = """select from pg_stat_activity where datname = current_database()
        and backend_type = 'client backend' and pid <> pg_backend_pid()"""
    if not site.dsn:
        return
    async with (
        await psycopg.AsyncConnection.connect(site.dsn, autocommit=True) as conn,
        asyncio.timeout(20),
    ):
        while (await conn.execute(query)).rowcount:
            await asyncio.sleep(0.005)


class _Check:
    """One reading of everything through one saver."""

    def __init__(
        self,
        saver: BaseCheckpointSaver[Any],
        attempts: Sequence[Attempt],
        notes: Sequence[Note],
        rules: Rules,
    ) -> None:
        self.violations: list[str] = []
        self._saver, self._rules = saver, rules
        self._puts: dict[At, list[Attempt]] = defaultdict(list)
        self._writes: dict[At, dict[str, list[Attempt]]] = defaultdict(lambda: defaultdict(list))
        for one in attempts:
            at = one.save.thread, one.save.ns, one.save.checkpoint
            same = self._puts[at] if one.save.task is None else self._writes[at][one.save.task]
            same.append(one)
        self._attempts, self._notes = attempts, notes
        self._fences = [note for note in notes if note.what == "fenced"]
        self._found: dict[Lane, dict[str, CheckpointTuple]] = defaultdict(dict)
        self._applied: set[int] = set()

    async def run(self) -> None:
        lanes = sorted({(one.save.thread, one.save.ns) for one in self._attempts})
        heads = {lane: await self._read(lane) for lane in lanes}
        for thread in sorted({thread for thread, _ in lanes}):
            await self._list(thread)
        self._check_reads()
        for lane in lanes:
            self._check_head(lane, heads[lane])
            self._check_chain(lane)
            for checkpoint_id in sorted(self._found[lane])[-3:]:
                found = await self._read(lane, checkpoint_id)
                self._check_checkpoint(lane, checkpoint_id, found)
                self._check_writes(lane, checkpoint_id, found)

    def count(self, verdict: Verdict) -> None:
        for attempt in self._attempts:
            if attempt.acknowledged:
                verdict.acknowledged += 1
                continue
            verdict.present += id(attempt) in self._applied
            verdict.absent += id(attempt) not in self._applied
            if attempt.raised:
                verdict.raised += 1
                verdict.errors.append(attempt.error.partition(":")[0])

    async def _read(self, lane: Lane, checkpoint_id: str | None = None) -> CheckpointTuple | None:
        here = {"thread_id": lane[0], "checkpoint_ns": lane[1]}
        there = {"checkpoint_id": checkpoint_id} if checkpoint_id else {}
        try:
            return await self._saver.aget_tuple({"configurable": here | there})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is to be reported
            self._wrong(lane, f"reading {checkpoint_id or 'the head'} raises {described(error)}")
            return None

    async def _list(self, thread: str) -> None:
        try:
            async for found in self._saver.alist({"configurable": {"thread_id": thread}}):
                lane = thread, found.config["configurable"]["checkpoint_ns"]
                listed = self._found[lane]
                if found.checkpoint["id"] in listed:
                    self._wrong(lane, f"{found.checkpoint['id']} is listed twice")
                listed[found.checkpoint["id"]] = found
        except Exception as error:  # noqa: BLE001
            self._wrong((thread, "*"), f"listing raises {described(error)}")

    def _check_reads(self) -> None:
        """No client read a head that was torn, or that lacked what was acknowledged by then."""
        for note in self._notes:
            if note.what != "read" or self._rules.lossy:
                continue
            (thread, ns), head = json.loads(note.text)
            lane, due = (thread, ns), self._latest_acknowledged((thread, ns), note.at)
            if head is None or due > head["id"]:
                if due:
                    self._wrong(lane, f"stale head: {head} was read after {due} was saved")
                continue
            puts = self._puts.get((*lane, head["id"]), [])
            if all(head["digest"] != put.save.digest for put in puts):
                self._wrong(lane, f"torn head: {head['id']} was read as {head['digest']}")
            for task, attempts in self._writes.get((*lane, head["id"]), {}).items():
                there = tuple((channel, sum_) for channel, sum_ in head["writes"].get(task, []))
                if self._explained(attempts, there, note.at) is None:
                    self._wrong(lane, f"stale writes of {task} upon {head['id']}: read {there}")

    def _latest_acknowledged(self, lane: Lane, by: float = inf) -> str:
        return max(
            (
                one.save.checkpoint
                for one in self._attempts
                if one.save.task is None
                and (one.save.thread, one.save.ns) == lane
                and (one.acknowledged or inf) < by
            ),
            default="",
        )

    def _check_head(self, lane: Lane, head: CheckpointTuple | None) -> None:
        latest = max(self._found[lane], default=None)
        served = head.checkpoint["id"] if head else None
        due = self._latest_acknowledged(lane)
        if not self._rules.lossy and due > (served or ""):
            self._wrong(lane, f"the head {due} was acknowledged, and {served} is served")
        if served != latest:
            self._wrong(lane, f"the head is served as {served}, and {latest} is the latest")
        elif head and latest:
            self._check_checkpoint(lane, latest, head)
            self._check_writes(lane, latest, head)

    def _check_chain(self, lane: Lane) -> None:
        known = {id_ for thread, ns, id_ in self._puts if (thread, ns) == lane}
        for checkpoint_id in known | self._found[lane].keys():
            found = self._found[lane].get(checkpoint_id)
            self._check_checkpoint(lane, checkpoint_id, found)
            if found is not None:
                self._check_writes(lane, checkpoint_id, found)
        for checkpoint_id in self._found[lane]:
            self._check_order(lane, checkpoint_id)

    def _check_checkpoint(
        self, lane: Lane, checkpoint_id: str, found: CheckpointTuple | None
    ) -> None:
        """It is one of those that can have come last, as a whole, or may be absent."""
        attempts = self._puts.get((*lane, checkpoint_id), [])
        if found is None:
            if any(self._must(attempt) for attempt in attempts):
                self._wrong(lane, f"{checkpoint_id} was acknowledged and is lost")
            return
        if not attempts:
            self._wrong(lane, f"{checkpoint_id} was never put")
            return
        parent = _parent(found)
        reads = state_digest(found.checkpoint, found.metadata), parent
        same = [one for one in attempts if (one.save.digest, one.save.parent) == reads]
        if not same:
            self._wrong(lane, f"{checkpoint_id} (parent {parent}) is torn: {found.checkpoint}")
        refused = [one for one in same if self._forbidden(one) and one.acknowledged is None]
        applied = [one for one in same if one not in refused] or same
        self._applied.update(map(id, applied))
        if any(map(self._forbidden, applied)):
            self._wrong(lane, f"{checkpoint_id} was put by a superseded owner")

    def _check_writes(self, lane: Lane, checkpoint_id: str, found: CheckpointTuple | None) -> None:
        """For each task: what is there is what some of the attempts, in their order, leave."""
        there = pending(found) if found else {}
        tasks = self._writes.get((*lane, checkpoint_id), {})
        for task in tasks.keys() | there.keys():
            attempts = tasks.get(task, [])
            seen = there.get(task, [])
            applied = self._explained(attempts, tuple(seen))
            if applied is None:
                fault = _fault(seen)
                tried = [(one.save.writes, bool(one.acknowledged)) for one in attempts]
                self._wrong(
                    lane,
                    f"writes of {task} upon {checkpoint_id} are {fault}: found are "
                    f"{seen}, attempted were {tried}",
                )
                continue
            self._applied.update(map(id, applied))

    def _explained(
        self, attempts: Sequence[Attempt], there: Written, by: float = inf
    ) -> list[Attempt] | None:
        """Attempts that leave these writes: all that must have been applied, and maybe others."""
        must = [one for one in attempts if self._must(one) and (one.acknowledged or inf) < by]
        maybe = [one for one in attempts if one not in must and not self._forbidden(one)]
        subsets = chain.from_iterable(
            combinations(maybe, size) for size in range(len(maybe), -1, -1)
        )
        for subset in subsets:
            applied = [one for one in attempts if one in must or one in subset]
            if _left_by(applied) == there:
                return applied
        return None

    def _check_order(self, lane: Lane, checkpoint_id: str) -> None:
        """A checkpoint that is there has behind it its parent and the writes called before it."""
        for put in self._puts.get((*lane, checkpoint_id), []):
            if put.save.parent and put.save.parent not in self._found[lane]:
                if not self._rules.pruned:
                    self._wrong(lane, f"{checkpoint_id} is there without its parent")
                continue
            if not self._rules.ordered:
                continue
            behind = self._writes.get((*lane, put.save.parent or ""), {})
            for one in chain.from_iterable(behind.values()):
                if _called_before(one, put) and id(one) not in self._applied:
                    self._wrong(lane, f"{checkpoint_id} came before the writes of {one.save.task}")

    def _must(self, attempt: Attempt) -> bool:
        return attempt.acknowledged is not None and not (self._rules.lossy or self._rules.pruned)

    def _forbidden(self, attempt: Attempt) -> bool:
        """Whether a later owner had the thread for certain when it began."""
        if attempt.save.epoch is None:
            return False
        for fence in self._fences:
            thread, epoch = fence.text.split()
            if (
                thread == attempt.save.thread
                and int(epoch) > attempt.save.epoch
                and attempt.at > fence.at
            ):
                return True
        return False

    def _wrong(self, lane: Lane, text: str) -> None:
        violation = f"{lane[0]}/{lane[1]}: {text}"[:2000]
        if violation not in self.violations:
            self.violations.append(violation)


def _called_before(write: Attempt, put: Attempt) -> bool:
    """In one life, and not known to have failed by then."""
    if write.life != put.life or write.number > put.number:
        return False
    return write.raised is None or write.raised > put.at


def _left_by(applied: Sequence[Attempt]) -> Written:
    """Of each index the first write counts, of special channels (negative ones) the last."""
    written: dict[int, tuple[str, str]] = {}
    for attempt in applied:
        for index, channel, sum_ in attempt.save.writes:
            if index < 0 or index not in written:
                written[index] = channel, sum_
    return tuple(written[index] for index in sorted(written))


def _fault(there: Sequence[tuple[str, str]]) -> str:
    """What is wrong with writes that no attempts explain. No two texts are the same."""
    if not there:
        return "lost"
    return "doubled" if len(set(there)) < len(there) else "torn"


def _parent(found: CheckpointTuple) -> str | None:
    config = found.parent_config
    return config["configurable"]["checkpoint_id"] if config else None
