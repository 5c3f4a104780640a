"""Who may do what, for `guarded.json`: alice and bob own what they make, denied may do nothing."""

from typing import Any

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> dict[str, Any]:
    name = (authorization or "").removeprefix("Bearer ")
    if name not in {"alice", "bob", "denied"}:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Who are you?")
    return {"identity": name, "permissions": ["write"]}


def _denied(ctx: Auth.types.AuthContext) -> bool:
    return bool(ctx.user.identity == "denied")


@auth.on
async def anything(ctx: Auth.types.AuthContext, value: Any) -> bool:
    return not _denied(ctx)


@auth.on.threads
async def own_threads(ctx: Auth.types.AuthContext, value: Any) -> Any:
    return _own(ctx, value)


@auth.on.crons
async def own_crons(ctx: Auth.types.AuthContext, value: Any) -> Any:
    return _own(ctx, value)


@auth.on.store
async def own_namespace(ctx: Auth.types.AuthContext, value: Any) -> Any:
    if _denied(ctx):
        return False
    value["namespace"] = (ctx.user.identity, *(value.get("namespace") or ()))
    return True


def _own(ctx: Auth.types.AuthContext, value: Any) -> Any:
    if _denied(ctx):
        return False
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}
