"""One page of a search: where it begins, how long it is, how it is sorted."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Page:
    """`limit` rows from `offset` on."""

    limit: int = 10
    offset: int = 0
    sort_by: str | None = None
    sort_order: Literal["asc", "desc"] | None = None

    def clause(self, sortable: Collection[str], *, default: str, tie: str) -> str:
        """`order by … limit … offset …`. Columns come from `sortable`, never from the request."""
        column = self.sort_by if self.sort_by in sortable else default
        direction = "asc" if self.sort_order == "asc" else "desc"
        return (
            f" order by {column} {direction}, {tie} {direction}"
            f" limit {int(self.limit)} offset {int(self.offset)}"
        )
