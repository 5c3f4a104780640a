"""From what one turn takes to what so many conversations need: utilisation and Little's laws."""

from collections.abc import Mapping
from dataclasses import dataclass

FULL = 0.7
"""How busy a core may be on average: above, waiting grows faster than work."""
CONVERSATIONS = (1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True)
class Demands:
    """What one turn takes: CPU in seconds, by part, and what is asked of the stores."""

    cpu: Mapping[str, float]
    commits: float
    wal: float
    """Bytes of write-ahead log."""
    commands: float
    """Commands to Redis."""
    model_seconds: float
    cycle_seconds: float


def says(demands: Demands) -> str:
    """The demands of a turn, and a table of what conversations need."""
    engine, postgres, redis = (demands.cpu[part] for part in ("engine", "postgres", "redis"))
    lines = [
        f"a turn takes: engine {1000 * engine:.1f} ms, Postgres {1000 * postgres:.1f} ms with "
        f"{demands.commits:.1f} commits and {demands.wal / 1000:.1f} kB of write-ahead log, Redis "
        f"{1000 * redis:.1f} ms with {demands.commands:.1f} commands",
        "conversations   turns/s   live runs   engine cores   Postgres cores   Redis cores"
        "   commits/s   WAL MB/s   Redis commands/s",
    ]
    for number in CONVERSATIONS:
        rate = number / demands.cycle_seconds
        lines.append(
            f"{number:13,} {rate:9,.0f} {rate * demands.model_seconds:11,.0f}"
            f" {rate * engine / FULL:14,.1f} {rate * postgres / FULL:16,.1f}"
            f" {rate * redis / FULL:13,.1f} {rate * demands.commits:11,.0f}"
            f" {rate * demands.wal / 1e6:10,.1f} {rate * demands.commands:18,.0f}"
        )
    return "\n".join(lines)
