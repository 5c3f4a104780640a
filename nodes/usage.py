"""What a run costs: milliseconds by node, tokens by model."""

from collections.abc import Awaitable, Callable
from time import perf_counter

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from nodes.state import State, Tokens, Update, Usage, add_usage
from tools import Context

Step = Callable[[State, RunnableConfig, Runtime[Context]], Awaitable[Update]]


def timed(name: str, step: Step) -> Step:
    """`step`, with its duration added to the usage ledger."""

    async def run(state: State, config: RunnableConfig, runtime: Runtime[Context]) -> Update:
        began = perf_counter()
        update = await step(state, config, runtime)
        spent = Usage(
            run_id=run_id(config), tokens={}, ms={name: round((perf_counter() - began) * 1000, 2)}
        )
        return update | {"usage": add_usage(update.get("usage"), spent)}

    return run


def spent_on(model: str, message: AIMessage, config: RunnableConfig) -> Usage:
    """The tokens that `message` says it took."""
    counted = message.usage_metadata
    tokens = Tokens(
        input=counted["input_tokens"] if counted else 0,
        output=counted["output_tokens"] if counted else 0,
    )
    return Usage(run_id=run_id(config), tokens={model: tokens}, ms={})


def run_id(config: RunnableConfig) -> str:
    """The id of the run that this config belongs to."""
    return str(config.get("configurable", {}).get("run_id") or config.get("run_id") or "")
