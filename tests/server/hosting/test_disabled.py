import pytest

from engine.project.manifest import HttpPart
from server.hosting.disabled import disabled, part_of


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/assistants/search", "assistants"),
        ("/threads", "threads"),
        ("/threads/1/state/checkpoint", "threads"),
        ("/threads/1/stream", "threads"),
        ("/threads/1/runs", "runs"),
        ("/threads/1/runs/2/join", "runs"),
        ("/threads/1/runs/crons", "crons"),
        ("/runs/stream", "runs"),
        ("/runs/crons/search", "crons"),
        ("/store/items", "store"),
        ("/mcp", "mcp"),
        ("/a2a/1", "a2a"),
        ("/.well-known/agent-card.json", "a2a"),
        ("/openapi.json", "meta"),
        ("/ok", ""),
        ("/", ""),
        ("/threadsomething", ""),
    ],
)
def test_each_path_belongs_to_a_part(path: str, part: str) -> None:
    assert part_of(path) == part


def test_crons_go_with_runs() -> None:
    assert disabled(HttpPart()) == frozenset()
    assert disabled(HttpPart(disable_runs=True)) == {"runs", "crons"}
    assert disabled(HttpPart(disable_crons=True, disable_ui=True)) == {"crons"}
