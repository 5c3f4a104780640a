"""Who calls, as the server's credential says: never as the request body says."""

from dataclasses import dataclass

from langchain_core.runnables import RunnableConfig

from engine.settings import Settings
from nodes.state import Identity, State
from tools import Context, Run


@dataclass(frozen=True)
class Caller:
    """The tenant, whether the caller may name the customer, and what it may read."""

    tenant: str
    trusted: bool
    permissions: frozenset[str]


def caller(config: RunnableConfig, settings: Settings) -> Caller:
    """The credential that the server left in the run's config.

    Outside our server (in `langgraph dev`) there is none: development trusts its own machine,
    production trusts nobody.
    """
    user = config.get("configurable", {}).get("langgraph_auth_user")
    if isinstance(user, dict) and "tenant" in user:
        return Caller(user["tenant"], bool(user["trusted"]), frozenset(user["permissions"]))
    return Caller("default", not settings.production, frozenset())


def run_of(
    state: State, config: RunnableConfig, settings: Settings, context: Context | None, call_id: str
) -> Run:
    """For whom one tool call works, from the bound identity."""
    configurable = config.get("configurable", {})
    identity = state.identity or Identity(customer_id=None, level="anonymous")
    return Run(
        tenant=caller(config, settings).tenant,
        thread_id=str(configurable["thread_id"]),
        run_id=str(configurable.get("run_id", "")),
        call_id=call_id,
        customer_id=identity["customer_id"],
        level=identity["level"],
        locale=context.locale if context else "en",
    )
