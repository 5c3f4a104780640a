"""What was measured, as a table, and against the goals."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.checkpoints.contenders import OFFICIAL
from bench.server.inside import BARE
from bench.server.load import Durability

OURS, SERVER, DEV = "tiered", "server", "dev"
SHOWN = {
    BARE: "in process, no checkpointer",
    OFFICIAL: "in process, official Postgres saver",
    OURS: "in process, our checkpointer",
    SERVER: "our server",
    DEV: "official dev server",
}


@dataclass(frozen=True)
class Row:
    """Milliseconds of half the runs and of 95 %, and runs a second."""

    p50: float
    p95: float
    rate: float

    @classmethod
    def of(cls, rows: Sequence["Row"]) -> "Row":
        """The medians of several rounds."""
        return cls(
            *(median([getattr(row, name) for row in rows]) for name in ("p50", "p95", "rate"))
        )


@dataclass
class Measured:
    """By contender; `rows` by how many ran at once, too."""

    durability: Durability
    rows: dict[tuple[str, int], Row] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    total: dict[str, float] = field(default_factory=dict)
    commits: dict[str, float] = field(default_factory=dict)
    growth: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """Markdown."""
        widths = sorted({width for _, width in self.rows})
        heads = [f"{width} at once: p50, p95 ms, runs/s" for width in widths]
        head = [f"durability {self.durability}", *heads]
        head += ["stream: first, all ms", "commits a run", "last of 100 turns to first"]
        lines = ["", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for name in self.first:
            cells = [SHOWN[name], *(self._cell(name, width) for width in widths)]
            cells.append(f"{self.first[name]:.1f}, {self.total[name]:.1f}")
            cells += [f"{self.commits[name]:.1f}", f"{self.growth[name]:.2f}"]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def _cell(self, name: str, width: int) -> str:
        row = self.rows.get((name, width))
        return f"{row.p50:.1f}, {row.p95:.1f}, {row.rate:.0f}" if row else ""


def verdicts(found: Measured) -> int:
    """Prints each goal with what was reached; how many were missed."""
    return sum(not judge() for judge in _goals(found))


def _goals(found: Measured) -> list[Callable[[], bool]]:
    goals: list[Callable[[], bool]] = []

    def goal(text: str, value: float, limit: float, *, most: bool, unit: str = "") -> None:
        met = value <= limit if most else value >= limit
        sign = "at most" if most else "at least"
        said = f"{text}: {value:.2f}{unit} (goal {sign} {limit:g}{unit})"

        def judge() -> bool:
            print(f"{said}: {'reached' if met else 'MISSED'}")
            return met

        goals.append(judge)

    rows, kind = found.rows, found.durability
    if {OURS, SERVER} <= found.first.keys():
        more = rows[SERVER, 1].p50 - rows[OURS, 1].p50
        goal(f"{kind}: a wait alone takes more than in process", more, 4, most=True, unit=" ms")
        for width in sorted({width for name, width in rows if name == SERVER and width > 1}):
            share = rows[SERVER, width].rate / rows[OURS, width].rate
            goal(f"{kind}: share of the runs/s in process, {width} at once", share, 0.6, most=False)
        more = found.first[SERVER] - found.first[OURS]
        goal(f"{kind}: the first token comes later by", more, 5, most=True, unit=" ms")
    if {BARE, SERVER} <= found.first.keys():
        times, least = (4, 0.35) if kind == "async" else (2.5, 0.55)
        ratio = rows[SERVER, 1].p50 / rows[BARE, 1].p50
        goal(f"{kind}: a wait alone, in waits of the bare graph", ratio, times, most=True)
        if (SERVER, 16) in rows:
            share = rows[SERVER, 16].rate / rows[BARE, 16].rate
            goal(f"{kind}: share of the bare graph's runs/s, 16 at once", share, least, most=False)
    if (DEV, 16) in rows and (SERVER, 16) in rows:
        times = rows[SERVER, 16].rate / rows[DEV, 16].rate
        goal(f"{kind}: runs/s in those of the official dev server", times, 5, most=False)
    if SERVER in found.growth:
        goal(f"{kind}: turn 100 in turns 1", found.growth[SERVER], 1.3, most=True)
    return goals


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
