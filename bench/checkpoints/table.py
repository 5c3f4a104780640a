"""One table: what every contender needed, how much better than another ours are, and the goals."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.checkpoints.contenders import OFFICIAL, OURS


@dataclass(frozen=True)
class Row:
    """One measure of all contenders, by round; figures of one round were taken side by side."""

    title: str
    rounds: Mapping[str, Sequence[float]]
    goal: float = 0
    """How many times better than `base` the Postgres saver has to be; 0 for no goal."""
    base: str = OFFICIAL
    more: bool = False
    """Whether more is better."""
    exact: tuple[str, int] | None = None
    """Instead of `goal`: a contender, and the figure it has to reach."""

    def ratio(self, name: str) -> float | None:
        """The median of the rounds' ratios, above 1 where `name` is better than the base."""
        if name not in self.rounds or self.base not in self.rounds or name == self.base:
            return None
        pairs = zip(self.rounds[name], self.rounds[self.base], strict=True)
        ratios = [(a, b) if self.more else (b, a) for a, b in pairs]
        return statistics.median(a / b for a, b in ratios) if all(b for _, b in ratios) else None

    def verdict(self) -> str:
        """The goal, and whether it was reached."""
        if self.exact is not None:
            name, figure = self.exact
            if name not in self.rounds:
                return ""
            return f"{name} = {figure}: {_mark(statistics.median(self.rounds[name]) == figure)}"
        ratio = self.ratio(OURS[0])
        if not self.goal or ratio is None:
            return ""
        return f">= {self.goal:g}x {self.base}: {_mark(ratio >= self.goal)}"


def _mark(reached: bool) -> str:  # noqa: FBT001
    return "reached" if reached else "MISSED"


def show(rows: Sequence[Row], names: Sequence[str], *, judged: bool = True) -> str:
    """The table as plain text, `judged` by the goals.

    The ratios are ours to the base of each row: to the official saver unless its goal says else,
    above 1 where ours is better.
    """
    ours = [name for name in OURS if name in names]
    lines = [["", *names, *(f"{name} is" for name in ours), "goal of postgres" * judged]]
    for row in rows:
        figures = [statistics.median(row.rounds[n]) if n in row.rounds else None for n in names]
        ratios = [row.ratio(name) for name in ours]
        lines.append(
            [
                row.title,
                *("-" if figure is None else _figure(figure) for figure in figures),
                *("-" if ratio is None else f"{_figure(ratio)}x" for ratio in ratios),
                row.verdict() if judged else "",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n in (0, len(line) - 1) else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _figure(value: float) -> str:
    """Three digits that count."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
