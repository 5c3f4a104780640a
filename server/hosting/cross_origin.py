"""What browsers on other sites may do."""

from typing import Any

from engine.project.manifest import CorsPart

_EXPOSED = ["x-pagination-total", "x-pagination-next", "content-location", "location"]
_ANYTHING = ["*"]


def cross_origin(part: CorsPart | None) -> dict[str, Any]:
    """Options of Starlette's middleware: everything, or what a project allows.

    The headers that clients of the API read are exposed in any case, and pages on the internet may
    ask a server on the machine they are shown on, where their origin may.
    """
    fixed = {"allow_private_network": True}
    if part is None:
        everything = dict.fromkeys(("allow_origins", "allow_methods", "allow_headers"), _ANYTHING)
        return {**everything, **fixed, "expose_headers": _EXPOSED}
    return {
        "allow_origins": part.allow_origins or [],
        "allow_origin_regex": part.allow_origin_regex,
        "allow_methods": part.allow_methods or _ANYTHING,
        "allow_headers": part.allow_headers or _ANYTHING,
        "allow_credentials": part.allow_credentials,
        "expose_headers": list(dict.fromkeys([*_EXPOSED, *part.expose_headers])),
        "max_age": part.max_age,
        **fixed,
    }
