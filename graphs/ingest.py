"""The knowledge pipeline: load, clean, split, embed, publish."""

from pathlib import Path

from langgraph.graph import END, START, StateGraph

from nodes.ingest.clean import Clean
from nodes.ingest.embed import Embed
from nodes.ingest.load import Load
from nodes.ingest.publish import Publish
from nodes.ingest.split import Split
from nodes.ingest.state import Input, Open, State

Ingest = StateGraph[State, None, Input, State]


def build(knowledge: Open, root: Path) -> Ingest:
    """The topology over whatever opens the knowledge base; only files below `root` are read."""
    graph: Ingest = StateGraph(State, input_schema=Input)
    graph.add_node("load", Load(knowledge, root))
    graph.add_node("clean", Clean(knowledge))
    graph.add_node("split", Split(knowledge))
    graph.add_node("embed", Embed(knowledge))
    graph.add_node("publish", Publish(knowledge))
    graph.add_edge(START, "load")
    graph.add_edge("load", "clean")
    graph.add_edge("clean", "split")
    graph.add_edge("split", "embed")
    graph.add_edge("embed", "publish")
    graph.add_edge("publish", END)
    return graph
