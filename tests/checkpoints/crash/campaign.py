"""Many runs one after the other on one stage. By hand, to see a failure again:

python -m tests.checkpoints.crash.campaign 'tiered:Redis lies stale:17'
"""

import json
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.checkpoints.crash.kinds import Kind, kinds_for
from tests.checkpoints.crash.servers import die_with_parent
from tests.checkpoints.crash.stage import Child, Run, Stage
from tests.checkpoints.crash.targets import Order
from tests.checkpoints.crash.verifier import Verdict, run_verifier


@dataclass
class Report:
    """What came of a run."""

    order: Order
    verdict: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0


def run_campaign(orders: Sequence[Order]) -> Iterator[Report]:
    """All of them on the servers that the first one needs."""
    folder = Path(tempfile.mkdtemp(prefix="crash-")).resolve()
    folder.chmod(0o755)
    try:
        stage = Stage(folder, orders[0].saver)
        try:
            for order in orders:
                yield _one_run(stage, order)
        finally:
            stage.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _one_run(stage: Stage, order: Order) -> Report:
    """The story is told twice on the same threads, and everything is read back each time."""
    begun = time.monotonic()
    kind = kinds_for(order.saver)[order.kind]
    report = Report(order)
    run = Run(stage, order)
    try:
        for _ in range(2):
            kind.story(run)
            report.verdict = _verdict(run, kind)
            if report.verdict.violations:
                break
    except Exception:  # noqa: BLE001 - a server that does not start, a client that hangs
        report.verdict.violations.append(traceback.format_exc())
    finally:
        run.close()
    report.seconds = time.monotonic() - begun
    return report


def _verdict(run: Run, kind: Kind) -> Verdict:
    out = run.folder / "verdict"
    out.unlink(missing_ok=True)
    Child(lambda: run_verifier(run.folder, run.readers(), kind.rules, out), run.errors).join()
    verdict = Verdict(**json.loads(out.read_text())) if out.exists() else Verdict()
    said = run.errors.read_text() if run.errors.exists() else ""
    if not out.exists() or any(client.failed for client in run.clients) or said:
        verdict.violations.append(f"said: {said[-3000:]}")
    return verdict


def parsed(line: str) -> Report:
    """A report as `main` prints it."""
    fields: dict[str, Any] = json.loads(line)
    order, verdict = Order(**fields["order"]), Verdict(**fields["verdict"])
    return Report(order, verdict, fields["seconds"])


def main() -> None:
    die_with_parent()
    for report in run_campaign([Order(*word.split(":")) for word in sys.argv[1:]]):
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
