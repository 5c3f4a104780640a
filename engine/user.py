"""The caller, as graphs find it."""

from typing import Any


class User(dict[str, Any]):
    """What is known of the caller: `user.identity` as well as `user["identity"]`.

    That is `langgraph_sdk.auth.types.BaseUser`, and plain data where it is stored.
    """

    def __getattr__(self, name: str) -> Any:
        if name == "display_name":
            return self.get(name) or self["identity"]
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None
