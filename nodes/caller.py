"""Who calls, as the server's credential says: never as the request body or the state says."""

from dataclasses import dataclass

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from checkpoints import EPOCH
from engine.settings import Settings
from nodes.resources import Resources
from nodes.state import Identity
from nodes.usage import run_id
from tools import Context, Run


@dataclass(frozen=True)
class Caller:
    """The tenant, the customer that the credential names, or whether it may name any; what it may
    read.
    """

    tenant: str
    trusted: bool
    customer_id: str | None
    permissions: frozenset[str]


def caller(config: RunnableConfig, settings: Settings) -> Caller:
    """The credential that the server left in the run's config.

    Outside our server (in `langgraph dev`) there is none: development trusts its own machine,
    production trusts nobody.
    """
    user = config.get("configurable", {}).get("langgraph_auth_user")
    if isinstance(user, dict) and "tenant" in user:
        named = user.get("customer_id")
        permissions = frozenset(user["permissions"])
        return Caller(user["tenant"], bool(user["trusted"]), named, permissions)
    return Caller("default", not settings.production, None, frozenset())


def context_of(runtime: Runtime[Context]) -> Context:
    """The run's context; LangGraph has none when the caller sent none."""
    given: Context | None = runtime.context
    return given or Context()


async def identity(resources: Resources, config: RunnableConfig, context: Context) -> Identity:
    """The customer bound to this thread, read anew: state is a mirror that somebody may edit.

    Raises `Refused` when the credential names another customer than the bound one.
    """
    who = caller(config, resources.settings)
    named = context.customer_id if who.trusted and not who.customer_id else who.customer_id
    bound = await resources.identities.of(who.tenant, thread_id(config), named)
    return Identity(customer_id=bound.customer_id, level=bound.level)


async def run_for(resources: Resources, config: RunnableConfig, context: Context) -> Run:
    """For whom tools work in this run; `call_id` is still to be set for each call."""
    known = await identity(resources, config, context)
    return Run(
        tenant=caller(config, resources.settings).tenant,
        thread_id=thread_id(config),
        run_id=run_id(config),
        call_id="",
        customer_id=known["customer_id"],
        level=known["level"],
        locale=context.locale,
        epoch=config["configurable"].get(EPOCH),
    )


def thread_id(config: RunnableConfig) -> str:
    """The conversation that this config belongs to."""
    return str(config["configurable"]["thread_id"])
