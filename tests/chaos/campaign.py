"""Many runs on processes that die. Prints its tallies; ends with 1 when anything was wrong.

python -m tests.chaos.campaign --runs 1000 --threads 100 --seed 7
"""

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from random import Random

import psycopg

from tests.chaos.clients import Customers
from tests.chaos.faults import WEIGHTS, Faults
from tests.chaos.graphs import TABLE
from tests.chaos.journal import Journal, Message
from tests.chaos.remotes import Remotes, serving
from tests.chaos.stage import Stage, prepare
from tests.chaos.verifier import Verifier
from tests.checkpoints.crash.servers import die_with_parent
from tests.checkpoints.crash.workload import dice


async def run_campaign(
    seed: int, runs: int, threads: int, weights: Mapping[str, int], folder: Path, patience: float
) -> Journal:
    """Everything that was seen, and what was wrong with it.

    `patience`: seconds in which all has to end when nothing goes wrong any more.
    """
    journal, remotes = Journal(), Remotes(dice(f"{seed} remotes"))
    async with serving(remotes) as url:
        stage = await asyncio.to_thread(Stage, folder, url)
        customers = Customers(stage.apis, journal, dice(f"{seed} customers"))
        try:
            with psycopg.connect(stage.postgres.url(), autocommit=True) as conn:
                conn.execute(TABLE)
            for desk in stage.desks:
                desk.start()
            talks = _planned(dice(f"{seed} plan"), runs, threads)
            faults = Faults(stage, journal, dice(f"{seed} faults"), weights)
            await _unfold(customers, talks, faults, journal, patience)
            await _verify(
                customers, Verifier(journal, remotes, stage.postgres.url()), journal, folder
            )
            journal.tallies["answers lost by remotes"] = remotes.lost
        finally:
            await customers.close()
            await asyncio.to_thread(stage.close)
    return journal


async def _unfold(
    customers: Customers,
    talks: Sequence[Sequence[Message]],
    faults: Faults,
    journal: Journal,
    patience: float,
) -> None:
    """Until everybody has heard how each of their runs ended."""
    for thread in sorted({message.thread for talk in talks for message in talk}):
        await customers.make_thread(thread)
    journal.messages.extend(message for talk in talks for message in talk)
    talking = asyncio.gather(*(customers.converse(talk) for talk in talks))
    injecting = asyncio.create_task(faults.inject())
    try:
        last = (0, time.monotonic())
        while not talking.done() and time.monotonic() - last[1] < patience:
            await asyncio.wait({talking}, timeout=1)
            heard = [one for one in journal.messages if one.acknowledged or one.rejected]
            progress = len(heard) + sum(one.status is not None for one in heard)
            if progress > last[0]:
                last = (progress, time.monotonic())
            if len(heard) == len(journal.messages):
                break
    finally:
        injecting.cancel()
        with suppress(asyncio.CancelledError):
            await injecting
        await faults.mended()
    try:
        await asyncio.wait_for(talking, patience)
    except TimeoutError:
        for message in journal.messages:
            if message.outcome is None and message.status is None and not message.rejected:
                journal.wrong(
                    f"{message.marker}: run {message.run_id} ({message.mode}, {message.strategy}) "
                    f"of thread {message.thread} has not ended"
                )
    await asyncio.sleep(3)  # what paused processes still want to do


def _planned(rng: Random, runs: int, threads: int) -> list[list[Message]]:
    """Who says what: on every third thread two at the same time."""
    talks: list[list[Message]] = []
    for number in range(threads):
        share = runs // threads + (number < runs % threads)
        thread = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        said = [_message(rng, f"t{number:03}m{n:02}", thread) for n in range(share)]
        talks += [said[::2], said[1::2]] if number % 3 == 0 else [said]
    return [talk for talk in talks if talk]


def _message(rng: Random, marker: str, thread: str) -> Message:
    strategies = ["enqueue", "interrupt", "rollback", "reject"]
    (strategy,) = rng.choices(strategies, [80, 7, 6, 7])
    (mode,) = rng.choices(["create", "stream", "wait"], [4, 4, 2])
    (cancel,) = rng.choices([None, "interrupt", "rollback"], [92, 5, 3])
    delay = 0.5 if rng.random() < 0.03 else 0.0
    pace = rng.choice([0.0, 0.02, 0.05, 0.1])
    return Message(marker, thread, mode, strategy, pace, delay=delay, cancel=cancel)


async def _verify(customers: Customers, verifier: Verifier, journal: Journal, folder: Path) -> None:
    """Where a thread is wrong, all that is known of it is left in the folder."""
    verifier.check_runs()
    for thread in sorted({message.thread for message in journal.messages}):
        before = len(journal.violations)
        answer = await customers.ask("GET", f"/threads/{thread}/history?limit=1000")
        verifier.check_thread(thread, answer.json())
        if len(journal.violations) > before:
            said = [asdict(one) for one in journal.messages if one.thread == thread]
            rows = [row for row in verifier.runs if row["thread_id"] == thread]
            known = {"messages": said, "runs": rows, "history": answer.json()}
            (folder / f"{thread}.json").write_text(json.dumps(known, indent=1, default=str))


def table(journal: Journal, seed: int, seconds: float) -> str:
    """The tallies, a line each."""
    lines = [f"\nseed {seed}: {len(journal.messages)} messages in {seconds:.0f} s"]
    lines += [f"  {name:40}{count:7}" for name, count in sorted(journal.faults.items())]
    lines.append(f"  {'faults':40}{sum(journal.faults.values()):7}\n")
    lines += [f"  {name:40}{count:7}" for name, count in sorted(journal.tallies.items())]
    lines.append(f"  {'violations':40}{len(journal.violations):7}")
    return "\n".join(lines) + "\n"


def main() -> int:
    die_with_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.getrandbits(32))
    parser.add_argument("--faults", nargs="*", default=sorted(WEIGHTS), choices=sorted(WEIGHTS))
    parser.add_argument("--patience", type=float, default=90.0)
    parser.add_argument("--keep", action="store_true", help="keep the logs of the processes")
    asked = parser.parse_args()
    prepare()
    folder = Path(tempfile.mkdtemp(prefix="chaos-")).resolve()
    folder.chmod(0o755)
    began = time.monotonic()
    weights = {name: WEIGHTS[name] for name in asked.faults}
    try:
        journal = asyncio.run(
            run_campaign(asked.seed, asked.runs, asked.threads, weights, folder, asked.patience)
        )
        sys.stdout.write(table(journal, asked.seed, time.monotonic() - began))
        sys.stdout.write("".join(f"VIOLATION {text}\n" for text in journal.violations[:60]))
    finally:
        if asked.keep:
            sys.stdout.write(f"logs in {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if journal.violations else 0


if __name__ == "__main__":
    sys.exit(main())
