from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from engine.drawing import draw, schemas
from engine.factories import Compiled


@tool
def look(where: str) -> str:
    """Look there."""
    return where


def agent() -> Compiled:
    inner = StateGraph(MessagesState).add_node("tools", ToolNode([look])).add_edge(START, "tools")
    outer = StateGraph(MessagesState).add_node("inner", inner.compile())
    return outer.add_edge(START, "inner").compile(name="Agent")


def test_nodes_within_nodes_are_drawn_by_their_whole_name_with_their_tools() -> None:
    shown = {node["id"]: node for node in draw(agent(), depth=True)["nodes"]}
    assert shown["inner:tools"] == {
        "id": "inner:tools",
        "type": "runnable",
        "data": {"name": "inner:tools"},
        "metadata": {"__tools": ["look"]},
    }


def test_the_state_of_a_graph_is_titled_as_its_other_schemas_are() -> None:
    graph = agent()
    assert schemas(graph)["state_schema"]["title"] == "AgentState"
    graph.name = "agent"
    assert schemas(graph)["state_schema"]["title"] == "agent_state"
