"""Which of a request's headers graphs find in `configurable`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers

from engine.project.manifest import HeadersPart

_SECRET = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-api-key", "x-service-key", "x-tenant-id"}
)
"""What a pattern does not mean: runs are stored, so these have to be named."""


@dataclass(frozen=True)
class Chosen:
    """Headers by name, in which `*` stands for anything; what is excluded is not included."""

    includes: Sequence[re.Pattern[str]] = ()
    excludes: Sequence[re.Pattern[str]] = ()
    named: frozenset[str] = frozenset()

    @classmethod
    def of(cls, part: HeadersPart) -> "Chosen":
        """As a project asks for it."""
        includes, excludes = (
            [re.compile(re.escape(name.lower()).replace(r"\*", ".*")) for name in names]
            for names in (part.includes, part.excludes)
        )
        return cls(includes, excludes, frozenset(map(str.lower, part.includes)))

    def of_request(self, headers: Headers) -> dict[str, str]:
        """Their values by lower-cased name."""
        if not self.includes:
            return {}
        return {name: value for name, value in headers.items() if self._has(name)}

    def _has(self, name: str) -> bool:
        if name in _SECRET and name not in self.named:
            return False
        if any(pattern.fullmatch(name) for pattern in self.excludes):
            return False
        return any(pattern.fullmatch(name) for pattern in self.includes)
