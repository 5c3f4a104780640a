import re
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from engine.errors import ConfigError
from engine.graphs import Graphs
from engine.project.installation import install
from engine.project.manifest import Project
from engine.project.sources import load_sources, open_sources, wanted

pytestmark = pytest.mark.usefixtures("imports_as_before")

Write = Callable[..., Project]

AGENT = """
import contextlib
from typing import Any, Optional
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph_sdk.runtime import ServerRuntime
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    said: str


def built(said: Any) -> StateGraph:
    def say(state):
        return {"said": said}

    return StateGraph(State).add_node("say", say).add_edge(START, "say")


uncompiled = built("uncompiled")
compiled = built("compiled").compile(checkpointer=InMemorySaver())


@entrypoint()
def functional(state: dict) -> dict:
    return {"said": "functional"}


def plain():
    return built("plain")


async def awaited():
    return built("awaited").compile()


@contextlib.contextmanager
def managed():
    yield built("managed")


@contextlib.asynccontextmanager
async def managed_later():
    LIVING.append("managed_later")
    yield built("managed_later")
    LIVING.remove("managed_later")


LIVING = []


async def undecorated():
    yield built("undecorated")


def by_config(config: RunnableConfig):
    return built(config["configurable"]["word"])


async def by_anything(given):
    return built(given["configurable"]["word"])


@contextlib.asynccontextmanager
async def by_runtime(runtime: ServerRuntime[dict]):
    ert = runtime.execution_runtime
    yield built(ert.context["word"] if ert else "nothing")


def by_both(a: "Optional[RunnableConfig]", b: "ServerRuntime"):
    return built(a["configurable"]["word"] + b.access_context)
"""

FIXED = ["uncompiled", "compiled", "functional", "plain", "awaited", "managed", "managed_later"]
VARYING = {
    "by_config": "w",
    "by_anything": "w",
    "by_runtime": "c",
    "by_both": "wthreads.create_run",
}


def put(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text))


async def said(sources: Mapping[str, Any], name: str) -> Any:
    graphs = Graphs(sources, InMemorySaver(), InMemoryStore())
    config: RunnableConfig = {"configurable": {"word": "w", "thread_id": "1"}}
    async with graphs.open(name, "threads.create_run", config, {"word": "c"}) as graph:
        output = await graph.ainvoke({}, config)
        state = await graph.aget_state(config)
    assert state.values == output
    return output["said"]


async def test_every_form_of_a_graph_runs(write: Write, tmp_path: Path) -> None:
    put(tmp_path, "agent_forms.py", AGENT)
    names = [*FIXED, "undecorated", *VARYING]
    project = write(graphs={name: f"./agent_forms.py:{name}" for name in names})
    install(project, {})
    sources = load_sources(project)
    async with open_sources(project, sources) as opened:
        for name in (*FIXED, "undecorated"):
            assert await said(opened, name) == name
        for name, word in VARYING.items():
            assert await said(opened, name) == word
        import agent_forms  # type: ignore[import-not-found]

        assert agent_forms.LIVING == ["managed_later"]
    assert agent_forms.LIVING == []


async def test_a_file_is_imported_once_by_the_name_that_others_use(
    write: Write, tmp_path: Path
) -> None:
    put(tmp_path, "src/agent_pkg/__init__.py", "")
    put(tmp_path, "src/agent_pkg/words.py", "WORD = 'relative'")
    put(
        tmp_path,
        "src/agent_pkg/graph.py",
        "from agent_pkg import graph as itself\nfrom .words import WORD\n"
        + AGENT
        + "\nrelative = built(WORD)\n",
    )
    put(tmp_path, "flows/second.py", AGENT + "\nassert __name__ == 'flows.second'\n")
    put(tmp_path, "odd-folder/third.py", AGENT)
    project = write(
        graphs={
            "first": "./src/agent_pkg/graph.py:relative",
            "module": "agent_pkg.graph:plain",
            "second": "flows/second.py:plain",
            "third": "./odd-folder/third.py:plain",
        }
    )
    install(project, {})
    async with open_sources(project, load_sources(project)) as opened:
        assert await said(opened, "first") == "relative"
        assert await said(opened, "module") == "plain"
        assert await said(opened, "third") == "plain"


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("x = 1\nimport no_such_thing_x", "agent_bad.py:2", "No module named 'no_such_thing_x'"),
        ("def graph(:", "agent_bad.py:1", "SyntaxError"),
        ("def f():\n    raise KeyError('k')\n\nf()", "agent_bad.py:2", "KeyError: 'k'"),
        ("import sys\nsys.exit('no key')", "agent_bad.py:2", "SystemExit: no key"),
        ("other = 1", "langgraph.json:3", "./agent_bad.py has no graph"),
        ("\n\ngraph = 7", "agent_bad.py:3", "is of type int, which is no graph"),
        (
            "\ndef graph():\n    return 7",
            "agent_bad.py:2",
            "made what is of type int",
        ),
        ("def graph():\n    return {}['k']", "agent_bad.py:2", "KeyError: 'k'"),
        (
            "from langgraph.graph import StateGraph\n\ngraph = StateGraph(dict)",
            "agent_bad.py:3",
            "cannot be compiled: Graph must have an entrypoint",
        ),
        ("def graph(model, tools): ...", "agent_bad.py:1", "asks for model, which is neither"),
    ],
)
async def test_a_broken_graph_is_told_with_file_and_line(
    write: Write, tmp_path: Path, text: str, where: str, problem: str
) -> None:
    put(tmp_path, "agent_bad.py", text)
    project = write(graphs={"agent": "./agent_bad.py:graph"})
    install(project, {})
    with pytest.raises(ConfigError, match=re.escape(problem)) as raised:
        async with open_sources(project, load_sources(project)):
            pass
    assert str(raised.value).startswith(f"{tmp_path}/{where}: ")
    assert "graphs.agent" in str(raised.value)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("./gone.py:graph", "the file .*/gone.py does not exist"),
        ("./agent.ts:graph", "only graphs in Python"),
        ("no_such_module_x:graph", "No module named 'no_such_module_x'"),
    ],
)
def test_a_graph_that_is_nowhere_is_told(write: Write, path: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load_sources(write(graphs={"agent": path}))


def test_what_may_be_left_out_is_not_given() -> None:
    def make(config: dict[str, Any], model: str = "small", **more: Any) -> None: ...

    assert wanted(make) == {"config": "config"}
