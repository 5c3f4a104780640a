"""Read every document below a path into a new stage."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from langchain_core.runnables import RunnableConfig
from langgraph.types import StreamWriter

from engine.errors import Forbidden, NotFound
from engine.knowledge import Draft, Stage
from nodes.ingest.read import LARGEST, SUFFIXES, Unreadable, read
from nodes.ingest.split import SPLITTER
from nodes.ingest.state import Open, Problem, State, Update, tenant_of


@dataclass(frozen=True)
class Load:
    """Takes only files below `root`, links resolved: a path may come from an API call.

    A file that cannot be read is a problem, and what was published of it before stays.
    """

    knowledge: Open
    root: Path

    async def __call__(
        self, state: State, *, config: RunnableConfig, writer: StreamWriter
    ) -> Update:
        tenant = tenant_of(state, config)
        path = await asyncio.to_thread(self._allowed, state.path)
        files = await asyncio.to_thread(lambda: list(self._files(path)))
        source = state.source or path.name
        stage = await (await self.knowledge()).begin(tenant, source, SPLITTER)
        problems: list[Problem] = []
        names: set[str] = set()
        for done, (file, name) in enumerate(files, start=1):
            found = await asyncio.to_thread(_documents, file, name, state.locale)
            problems += await _take(stage, source, name, found, names)
            writer({"step": "load", "done": done, "total": len(files), "file": name})
        return {
            "tenant": tenant, "source": source, "stage": stage.id, "files": len(files),
            "documents": 0, "unchanged": 0, "removed": 0, "chunks": 0, "version": 0,
            "problems": problems,
        }  # fmt: skip

    def _allowed(self, asked: str) -> Path:
        root = self.root.resolve()
        path = (root / asked).resolve()
        if not path.is_relative_to(root):
            raise Forbidden("Only files below the folder that was allowed can be ingested.")
        if not path.exists():
            raise NotFound(f"{path.name} does not exist.")
        return path

    def _files(self, path: Path) -> Iterator[tuple[Path, str]]:
        """Files with a suffix that we read, and their paths below `path`; hidden ones are left."""
        if path.is_file():
            yield path, path.name
            return
        root = self.root.resolve()
        for file in sorted(path.rglob("*")):
            below = file.relative_to(path)
            if (
                file.suffix.lower() in SUFFIXES
                and file.is_file()
                and not any(part.startswith(".") for part in below.parts)
                and file.resolve().is_relative_to(root)
            ):
                yield file, below.as_posix()


async def _take(
    stage: Stage, source: str, file: str, found: list[Draft | Unreadable], names: set[str]
) -> list[Problem]:
    problems = [Problem(file=file, reason=str(one)) for one in found if isinstance(one, Unreadable)]
    drafts = [one for one in found if isinstance(one, Draft)]
    for draft in drafts:
        await stage.add(_named(draft, names))
    if not drafts:
        await stage.keep(source, file)
    return problems


def _named(draft: Draft, names: set[str]) -> Draft:
    """The draft under a name that no other document of this stage has."""
    name = draft.document
    if name in names:
        name = f"{draft.document}-{PurePath(draft.file).suffix.removeprefix('.')}"
    number = 2
    while name in names:
        name = f"{draft.document}-{number}"
        number += 1
    names.add(name)
    return replace(draft, document=name)


def _documents(path: Path, file: str, locale: str) -> list[Draft | Unreadable]:
    try:
        if path.suffix.lower() not in SUFFIXES:
            raise Unreadable(f"not one of {', '.join(sorted(SUFFIXES))}")
        if path.stat().st_size > LARGEST:
            raise Unreadable(f"larger than {LARGEST // 1_000_000} MB")
        return list(read(path.read_bytes(), file, locale))
    except Unreadable as error:
        return [error]
    except OSError as error:
        return [Unreadable(error.strerror or str(error))]
