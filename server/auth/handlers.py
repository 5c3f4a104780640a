"""The project's own authentication and authorization: the `langgraph_sdk.Auth` it names."""

import inspect
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from langgraph_sdk import Auth
from langgraph_sdk.auth.types import AuthContext, StudioUser
from starlette.requests import HTTPConnection, Request

from engine.caller import Caller
from engine.errors import ConfigError, Forbidden
from engine.serialise import loads
from server.errors import Answer

log = logging.getLogger(__name__)

asked_of: ContextVar[Caller | None] = ContextVar("frontdesk_asked_of", default=None)
"""About whom a handler is being asked."""

STUDIO = "langgraph-studio-user"
_STUDIO_USER = {"identity": STUDIO, "permissions": ["authenticated"]}


class User(dict[str, Any]):
    """What a handler found out about the caller, as attributes and as items."""

    @property
    def identity(self) -> str:
        return str(self["identity"])

    @property
    def display_name(self) -> str:
        return str(self.get("display_name") or self.identity)

    @property
    def is_authenticated(self) -> bool:
        return bool(self.get("is_authenticated", True))

    @property
    def permissions(self) -> list[str]:
        return list(self.get("permissions") or ())

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error


class _Headers(dict[Any, Any]):
    """A request's headers: bytes by their name in bytes, text by its name in text, in any case."""

    def __missing__(self, name: Any) -> str:
        if isinstance(name, str):
            return str(self[name.lower().encode("latin-1")], "latin-1")
        raise KeyError(name)

    def get(self, name: Any, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - `get` is what this is

    def __contains__(self, name: object) -> bool:
        found = name.lower().encode("latin-1") if isinstance(name, str) else name
        return super().__contains__(found)


@dataclass(frozen=True)
class Handlers:
    """Asks the handlers of one `Auth`."""

    auth: Auth

    def check(self) -> None:
        """Raises `ConfigError` where nobody could be let in."""
        if self.auth._authenticate_handler is None:  # noqa: SLF001 - the SDK has no other way
            raise ConfigError("The `auth` object of langgraph.json has no @auth.authenticate.")

    @property
    def wants_body(self) -> bool:
        """Whether the authenticator reads request bodies."""
        return "body" in self._wanted

    async def caller(self, connection: HTTPConnection, body: bytes) -> Caller:
        """Whom the authenticator takes it for. Raises `Answer`."""
        found = self._given(connection, body)
        arguments = {name: found[name] for name in self._wanted if name in found}
        handler: Any = self.auth._authenticate_handler  # noqa: SLF001
        try:
            user = _user(await handler(**arguments))
        except Auth.exceptions.HTTPException as error:
            raise Answer(error.status_code, str(error.detail), error.headers) from error
        except AssertionError as error:
            raise Answer(401, str(error) or "Unauthorized") from error
        if not user.is_authenticated:
            raise Answer(401, "Unauthorized")
        return _caller(user)

    async def allow(
        self, caller: Caller, resource: str, action: str, value: dict[str, Any]
    ) -> Mapping[str, Any]:
        """What the handler of this action wants objects' metadata to contain.

        Raises `Forbidden`, or `Answer` for what the handler answers instead.
        """
        handler = self._handler(resource, action)
        if handler is None:
            return {}
        user: Any = User(caller.user or {})
        if caller.user is _STUDIO_USER:
            user = StudioUser(STUDIO, is_authenticated=True)
        context = AuthContext(
            permissions=user.permissions,
            user=user,
            resource=resource,  # type: ignore[arg-type]
            action=action,  # type: ignore[arg-type]
        )
        asked = asked_of.set(caller)
        try:
            said = await handler(ctx=context, value=value)
        except Auth.exceptions.HTTPException as error:
            raise Answer(error.status_code, str(error.detail), error.headers) from error
        except AssertionError as error:
            raise Forbidden(str(error) or "Forbidden") from error
        finally:
            asked_of.reset(asked)
        if said is False:
            raise Forbidden("Forbidden")
        try:
            return {} if said is None or said is True else contained(said)
        except (TypeError, AttributeError) as error:
            log.error("the handler of %s.%s returns no filter: %s", resource, action, error)
            raise Answer(500, f"The handler of {resource}.{action} returns no filter.") from error

    @property
    def _wanted(self) -> tuple[str, ...]:
        handler: Any = self.auth._authenticate_handler  # noqa: SLF001
        return tuple(inspect.signature(handler).parameters)

    def _handler(self, resource: str, action: str) -> Any:
        """The most particular one."""
        known = self.auth._handlers  # noqa: SLF001
        for key in ((resource, action), (resource, "*"), ("*", action), ("*", "*")):
            if found := known.get(key):
                return found[-1]
        everywhere = self.auth._global_handlers  # noqa: SLF001
        return everywhere[-1] if everywhere else None

    def _given(self, connection: HTTPConnection, body: bytes) -> dict[str, Any]:
        """What an authenticator may ask for, by name."""
        scope = connection.scope
        http = scope["type"] == "http"
        return {
            "request": Request(scope) if http else connection,
            "body": _json(body),
            "path": scope["path"],
            "method": scope.get("method", "GET"),
            "scope": scope,
            "path_params": dict(scope.get("path_params") or {}),
            "query_params": dict(connection.query_params),
            "headers": _Headers(scope["headers"]),
            "authorization": connection.headers.get("authorization"),
        }


def contained(said: Mapping[str, Any]) -> dict[str, Any]:
    """A handler's filter, as what metadata must contain. Raises `TypeError` for other operators."""
    return {key: _contained(key, value) for key, value in said.items()}


def _contained(key: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    operators = set(value)
    if operators == {"$eq"}:
        return value["$eq"]
    if operators == {"$contains"}:
        found = value["$contains"]
        return list(found) if isinstance(found, (list, tuple)) else [found]
    raise TypeError(f"a filter on `{key}` is a value, $eq or $contains, not {sorted(operators)}")


def studio() -> Caller:
    """Studio, on the machine of whoever develops."""
    permissions = ("authenticated",)
    return Caller(STUDIO, "default", trusted=True, permissions=permissions, user=_STUDIO_USER)


def known(user: Mapping[str, Any]) -> Caller:
    """Whom a graph was told of."""
    return _caller(User(user))


def _caller(user: User) -> Caller:
    customer = user.get("customer_id")
    return Caller(
        identity=user.identity,
        tenant=str(user.get("tenant") or "default"),
        trusted=user.get("trusted") is True,
        permissions=tuple(user.permissions),
        customer_id=None if customer is None else str(customer),
        user=dict(user) | {"display_name": user.display_name},
    )


def _user(said: Any) -> User:
    if isinstance(said, (tuple, list)) and len(said) == 2:  # as Starlette's backends answer
        permissions, user = said
        return User({**_user(user), "permissions": list(permissions)})
    if isinstance(said, str):
        return User(identity=said)
    if isinstance(said, Mapping):
        return User(said)
    if hasattr(said, "identity"):
        known = ("identity", "display_name", "permissions", "is_authenticated")
        return User(
            dict(getattr(said, "__dict__", {}))
            | {key: getattr(said, key) for key in known if hasattr(said, key)}
        )
    raise Answer(500, "The authenticator returned no user.")


def _json(body: bytes) -> Any:
    try:
        return loads(body)
    except ValueError:
        return None
