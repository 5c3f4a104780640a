"""What must hold in the end, seen from outside: journals, remotes' counters, API and tables."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.chaos.graphs import ESCALATED, NODES, TOKENS
from tests.chaos.journal import Journal, Message, Seen
from tests.chaos.remotes import Remotes

Row = dict[str, Any]

_SPOKEN = [(node, number) for node, count in TOKENS.items() for number in range(count)]
_RUNS = """
select run_id::text, thread_id::text, seq, status, attempt, crashes, error,
       kwargs -> 'input' -> 'messages' ->> 0 as marker
from frontdesk.runs
"""


class Verifier:
    """Adds to the journal what is wrong, and to its tallies what was seen."""

    def __init__(self, journal: Journal, remotes: Remotes, dsn: str) -> None:
        self._journal, self._remotes = journal, remotes
        with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as conn:
            self.runs: list[Row] = conn.execute(_RUNS).fetchall()
            busy = "select thread_id::text, status from frontdesk.threads where status = 'busy'"
            self._busy = conn.execute(busy).fetchall()
            written = conn.execute("select marker, count(*) as n from written group by 1")
            self._written = Counter({row["marker"]: row["n"] for row in written})

    def check_runs(self) -> None:
        """Every acknowledged run is there and has ended, once."""
        messages = {message.marker: message for message in self._journal.messages}
        for row in self.runs:
            message = messages.get(row["marker"])
            if row["status"] in {"pending", "running"}:
                self._wrong(f"{row['marker']}: run {row['run_id']} is still {row['status']}")
            if message is None or (message.run_id or row["run_id"]) != row["run_id"]:
                self._wrong(f"{row['marker']}: run {row['run_id']} was not asked for")
            elif message.rejected and not message.unsure:
                self._wrong(f"{row['marker']}: was rejected, and has a run")
        for marker, count in Counter(row["marker"] for row in self.runs).items():
            if count > 1:
                self._wrong(f"{marker}: {count} runs")
        for row in self._busy:
            self._wrong(f"thread {row['thread_id']} is left busy")
        tallies = self._journal.tallies
        tallies["attempts"] = sum(row["attempt"] for row in self.runs)
        tallies["taken over"] = sum(row["crashes"] for row in self.runs)

    def check_thread(self, thread: str, history: Sequence[Row]) -> None:
        """`history`: its states, the newest first."""
        said = [one for one in self._journal.messages if one.thread == thread]
        values = history[0]["values"] if history else {}
        here, log = values.get("messages", []), Counter(values.get("log", []))
        rows = {row["run_id"]: row for row in self.runs if row["thread_id"] == thread}
        stopped = any(one.asked_to_stop for one in said)
        for message in said:
            self._check_message(message, rows, Counter(here), log, stopped=stopped)
            self._check_stream(message)
        unknown = set(here) - {one.marker for one in said}
        if unknown:
            self._wrong(f"{thread}: nobody said {unknown}")
        self._check_order(said, here)
        self._check_history(thread, history)
        self._check_ids(said)

    def _check_message(
        self, message: Message, rows: dict[str, Row], here: Counter[str], log: Counter[str],
        *, stopped: bool,
    ) -> None:  # fmt: skip
        marker, row = message.marker, rows.get(message.run_id or "")
        done = self._effects(marker)
        for name, times in done.items():
            if times > 1:
                self._wrong(f"{marker}: {name} {times} times")
        if row is None:
            self._check_absent(message, here[marker], stopped=stopped)
            return
        status, count = row["status"], here[marker]
        self._journal.tallies[status] += 1
        if count > 1 or (status == "success" and count != 1):
            self._wrong(f"{marker}: {status}, and {count} times in its thread")
        if message.status not in {None, status}:
            self._wrong(f"{marker}: {status}, and the API said {message.status}")
        if status == "success":
            self._check_success(message, done, log)
        elif status == "error":
            self._check_error(message, row)
        elif not stopped:
            self._wrong(f"{marker}: {status}, and nobody asked for it")

    def _check_absent(self, message: Message, count: int, *, stopped: bool) -> None:
        if not (message.rejected or message.gone or stopped):
            self._wrong(f"{message.marker}: acknowledged, and its run is lost")
        if count and not (message.rejected and message.unsure):
            self._wrong(f"{message.marker}: has no run, and is {count} times in its thread")
        self._journal.tallies["rejected" if message.rejected else "rolled back"] += 1

    def _check_success(self, message: Message, done: dict[str, int], log: Counter[str]) -> None:
        marker = message.marker
        escalated = log[f"{marker} keyless {ESCALATED}"]
        self._journal.tallies["escalated"] += escalated
        missing = [name for name, times in done.items() if not times]
        if missing and not (missing == ["keyless"] and escalated):
            self._wrong(f"{marker}: succeeded without {missing}")
        for node in NODES:
            times = log[f"{marker} {node}"] + log[f"{marker} {node} {ESCALATED}"]
            if times != 1:
                self._wrong(f"{marker}: {node} is {times} times in the log")
        if log[f"{marker} keyed {ESCALATED}"]:
            self._journal.tallies["keyed escalated"] += 1
        if message.body and list(message.body.get("messages", [])).count(marker) != 1:
            self._wrong(f"{marker}: waited, and got {str(message.body)[:300]}")

    def _check_error(self, message: Message, row: Row) -> None:
        error = row["error"] or {}
        if error.get("error") == "WorkerLost" and row["crashes"] >= 3:
            self._journal.tallies["quarantined"] += 1
        else:
            self._wrong(f"{message.marker}: failed with {error} after {row['crashes']} crashes")

    def _effects(self, marker: str) -> dict[str, int]:
        counts = {"ours": self._written[marker]}
        counts |= {name: done[marker] for name, done in self._remotes.done.items()}
        return counts

    def _check_order(self, said: Sequence[Message], here: Sequence[str]) -> None:
        """A message acknowledged before another was sent stands before it."""
        known = {message.marker: message for message in said if not message.delay}
        there = [known[marker] for marker in here if marker in known]
        for number, later in enumerate(there):
            for earlier in there[:number]:
                if later.acknowledged and later.acknowledged < earlier.began:
                    self._wrong(f"{later.marker} stands behind {earlier.marker}, sent after it")

    def _check_history(self, thread: str, history: Sequence[Row]) -> None:
        """One chain: runs follow each other, attempts rise, nothing is taken away."""
        for newer, older in pairwise(history):
            if newer["parent_checkpoint_id"] != older["checkpoint_id"]:
                self._wrong(
                    f"{thread}: {newer['checkpoint_id']} is not behind {older['checkpoint_id']}"
                )
            before = older["values"].get("messages", [])
            if newer["values"].get("messages", [])[: len(before)] != before:
                self._wrong(f"{thread}: {newer['checkpoint_id']} has lost messages")
        if history and history[-1]["parent_checkpoint_id"]:
            self._wrong(f"{thread}: the beginning of its history is gone")
        last, over = ("", 0), set()
        for state in reversed(history):
            now = state["metadata"]["run_id"], state["metadata"]["run_attempt"]
            if now[0] in over or (now[0] == last[0] and now[1] < last[1]):
                self._wrong(f"{thread}: run {now[0]} went on when it was over")
            if now[0] != last[0]:
                over.add(last[0])
            last = now

    def _check_stream(self, message: Message) -> None:
        events = message.events
        for one, two in pairwise(events):
            if two.id <= one.id:
                self._wrong(f"{message.marker}: event {two.id} came after {one.id}")
            elif not _follows(one, two):
                self._gap(message, one, two)
        attempts: dict[int, list[Seen]] = defaultdict(list)
        for event in events:
            attempts[event.id[0]].append(event)
        for epoch, of in attempts.items():
            if of[0].name not in {"metadata", "end", "error"}:
                self._gap(message, of[0], of[0])
            self._check_tokens(message, epoch, of)
        told = [event.data["attempt"] for event in events if event.name == "metadata"]
        if told != sorted(set(told)):
            self._wrong(f"{message.marker}: attempts {told}")
        if message.outcome and message.status and message.outcome != message.status:
            self._wrong(f"{message.marker}: its stream said {message.outcome}: {message.status}")
        self._journal.tallies["events"] += len(events)

    def _check_tokens(self, message: Message, epoch: int, events: Sequence[Seen]) -> None:
        tokens = [event for event in events if event.name == "custom"]
        spots = [_SPOKEN.index((one.data["node"], one.data["n"])) for one in tokens]
        self._journal.tallies["tokens"] += len(tokens)
        if any(one.data["marker"] != message.marker for one in tokens):
            self._wrong(f"{message.marker}: hears another run's tokens")
        for number, (one, two) in enumerate(pairwise(spots)):
            if two <= one:
                self._wrong(f"{message.marker}: token {_SPOKEN[two]} is repeated in {epoch}")
            elif two != one + 1:
                self._gap(message, tokens[number], tokens[number + 1])

    def _gap(self, message: Message, one: Seen, two: Seen) -> None:
        """A client may miss events only where Redis had lost them, or could not be reached."""
        if any(start <= two.at and end >= one.at - 1 for start, end in self._journal.redis_away):
            self._journal.tallies["gaps while Redis was away"] += 1
        else:
            self._wrong(
                f"{message.marker}: a gap between {one.id} {one.name} and {two.id} {two.name}"
            )

    def _check_ids(self, said: Sequence[Message]) -> None:
        """Runs of a thread share no epoch."""
        owners: dict[int, str] = {}
        for message in said:
            for event in message.events:
                if event.name == "end":
                    continue
                if owners.setdefault(event.id[0], message.marker) != message.marker:
                    self._wrong(f"{message.marker} and {owners[event.id[0]]} share {event.id[0]}")

    def _wrong(self, text: str) -> None:
        self._journal.wrong(text)


def _follows(one: Seen, two: Seen) -> bool:
    """The next number, or the first of another attempt; an end told by the row has any."""
    if two.name in {"end", "error"} and two.id[1] >= 2**53:
        return one.id[0] == two.id[0] or two.name == "end"
    return two.id == (one.id[0], one.id[1] + 1) or (two.id[0] > one.id[0] and two.id[1] == 1)
