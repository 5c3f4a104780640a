"""The support desk: guard, identify, classify, retrieve beside CRM reads, generate, validate."""

from typing import Any, cast

from langgraph.graph import END, START, StateGraph

from nodes.classify import Classify
from nodes.confirm import Confirm
from nodes.crm import Crm
from nodes.generate import Generate
from nodes.guard import Guard
from nodes.handoff import Handoff
from nodes.identify import Identify
from nodes.remember import Remember
from nodes.reply import Reply
from nodes.resources import Provider
from nodes.retrieve import Retrieve
from nodes.state import Input, Output, State
from nodes.usage import timed
from nodes.validate import DRAFTS, Validate
from tools import Context

STEPS = (
    Guard,
    Identify,
    Classify,
    Retrieve,
    Crm,
    Confirm,
    Generate,
    Validate,
    Reply,
    Handoff,
    Remember,
)

Support = StateGraph[State, Context, Input, Output]


def build(resources: Provider) -> Support:
    """The topology over whatever opens the resources; compile it with a checkpointer."""
    graph: Support = StateGraph(
        State, context_schema=Context, input_schema=Input, output_schema=Output
    )
    for step in STEPS:
        name = step.__name__.lower()
        # LangGraph gives a node config and runtime; its types know nodes with one of the two.
        graph.add_node(name, cast("Any", timed(name, step(resources))))
    graph.add_edge(START, "guard")
    graph.add_conditional_edges("guard", after_guard, ["identify", "reply"])
    graph.add_conditional_edges("identify", after_identify, ["confirm", "classify", "reply"])
    graph.add_conditional_edges(
        "classify", after_classify, ["retrieve", "crm", "generate", "reply"]
    )
    graph.add_edge("retrieve", "generate")
    graph.add_conditional_edges("crm", after_crm, ["confirm", "generate"])
    graph.add_conditional_edges("confirm", after_confirm, ["generate", "guard"])
    graph.add_conditional_edges("generate", after_generate, ["crm", "validate"])
    graph.add_conditional_edges(
        "validate", after_validate, ["remember", "generate", "reply", "handoff"]
    )
    for name in ("reply", "handoff"):
        graph.add_edge(name, "remember")
    graph.add_edge("remember", END)
    return graph


def after_guard(state: State) -> str:
    return "reply" if state.refusal else "identify"


def after_identify(state: State) -> str:
    if state.refusal:
        return "reply"
    return "confirm" if state.decision and state.pending else "classify"


def after_classify(state: State) -> list[str]:
    request = state.request
    if request is None or request["out_of_scope"] or request["intent"] == "smalltalk":
        return ["reply"]
    needed = ["retrieve"] if request["knowledge"] else []
    needed += ["crm"] if state.reads else []
    return needed or ["generate"]


def after_crm(state: State) -> str:
    return "confirm" if state.pending else "generate"


def after_confirm(state: State) -> str:
    """A resume that was neither yes nor no is a new message."""
    return "guard" if state.messages[-1].type == "human" else "generate"


def after_generate(state: State) -> str:
    return "validate" if state.draft else "crm"


def after_validate(state: State) -> str:
    if state.verdict is None:
        return "generate"
    if state.verdict["accepted"]:
        return "remember"
    if len(state.rejections) < DRAFTS:
        return "generate"
    used_tools = any(message.type == "tool" for message in state.messages)
    return "handoff" if used_tools else "reply"
