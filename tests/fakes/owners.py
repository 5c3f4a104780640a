"""A project's own `Auth`: whoever says a name is believed, and has what it made."""

from typing import Any

from langgraph_sdk import Auth


def owners() -> Auth:
    auth = Auth()

    @auth.authenticate
    async def who(authorization: str) -> str:
        return authorization.removeprefix("Bearer ")

    @auth.on
    async def owned(ctx: Auth.types.AuthContext, value: Any) -> Any:
        metadata = value.setdefault("metadata", {})
        metadata["owner"] = ctx.user.identity
        return {"owner": ctx.user.identity}

    @auth.on.store
    async def apart(ctx: Auth.types.AuthContext, value: Any) -> None:
        value["namespace"] = (ctx.user.identity, *(value["namespace"] or ()))

    @auth.on.assistants
    async def open_to_all(ctx: Auth.types.AuthContext, value: Any) -> None:
        assert ctx.user.is_authenticated

    return auth
