"""What requests and answers have in common: bodies, pages, JSON."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from fastapi import Depends, Request
from pydantic import BaseModel, Field, model_validator
from starlette.responses import Response

from engine.errors import Invalid
from engine.pages import Page
from engine.runtime import Engine
from engine.serialise import dumps

Object = dict[str, Any]
Limit = Annotated[int, Field(ge=1, le=1000)]
Offset = Annotated[int, Field(ge=0)]


_IDS = frozenset({"assistant_id", "thread_id", "checkpoint_id"})


class Body(BaseModel):
    """A JSON object. Unknown fields are ignored; null means not given, as an empty id does.

    Of `nullable` fields null says something.
    """

    nullable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {k: v for k, v in data.items() if k in cls.nullable or not _absent(k, v)}
        return data


def _absent(key: str, value: Any) -> bool:
    return value is None or (value == "" and key in _IDS)


class Checkpoint(Body):
    """A place in a thread's history; which thread is not for it to say."""

    checkpoint_id: str | None = None
    checkpoint_ns: str | None = None
    checkpoint_map: dict[str, str] | None = None

    def pointer(self) -> Object:
        return self.model_dump(exclude_none=True)


class Paged(Body):
    """A search: which page, in which order, which fields."""

    limit: Limit = 10
    offset: Offset = 0
    sort_order: Literal["asc", "desc"] | None = None
    select: list[str] | None = None

    def page(self, sort_by: str | None) -> Page:
        """One row more than asked for: it tells whether there is another page."""
        return Page(self.limit + 1, self.offset, sort_by, self.sort_order)

    def answer(
        self, rows: Sequence[Object], fields: Collection[str], *, always: Collection[str] = ()
    ) -> "Json":
        """The page, with the headers that lead to the next one.

        `always`: what is shown of a row, if it has it, whatever was chosen. Raises `Invalid`.
        """
        known(self.select, fields)
        shown = [
            {**select(row, self.select), **{key: row[key] for key in always if key in row}}
            for row in rows[: self.limit]
        ]
        more = len(rows) > self.limit
        headers = {"X-Pagination-Total": str(self.offset + len(shown) + more)}
        if more:
            headers["X-Pagination-Next"] = str(self.offset + self.limit)
        return Json(shown, headers=headers)


class Json(Response):
    """A JSON document of anything that the engine holds."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dumps(content)


def select(row: Object, chosen: Collection[str] | None) -> Object:
    """The chosen fields of a row, all without a choice."""
    if not chosen:
        return row
    return {name: row[name] for name in chosen if name in row}


def known(chosen: Collection[str] | None, fields: Collection[str]) -> None:
    """Raises `Invalid` for a chosen field that there is not."""
    if unknown := [name for name in chosen or () if name not in fields]:
        raise Invalid(f"Invalid select columns: {unknown}. Expected: {set(fields)}")


def moment(at: datetime, precision: str = "microseconds") -> str:
    return at.astimezone(UTC).isoformat(timespec=precision)


async def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


TheEngine = Annotated[Engine, Depends(_engine)]
