"""Cut documents into passages of about 120 words that know under which headings they stand."""

import asyncio
import re
from dataclasses import dataclass

from langchain_core.runnables import RunnableConfig
from langchain_text_splitters import MarkdownHeaderTextSplitter, RecursiveCharacterTextSplitter
from langgraph.types import StreamWriter

from engine.knowledge import Draft, Piece
from nodes.ingest.state import Open, State, Update, tenant_of

SPLITTER = "headings-120-20"
"""Names this way of cutting: change it with the code, and every document is embedded again."""
_WORDS, _OVERLAP = 120, 20
_BELOW = " \u203a "  # an angle: a heading and what stands below it
_LEVELS = [("#" * level, str(level)) for level in range(1, 7)]
_SEPARATORS = [
    r"\n{2,}", r"\n", r"(?<=[.!?\u2026])\s+", r"(?<=[\u3002\uff01\uff1f])", r"\s+", "",
]  # fmt: skip


@dataclass(frozen=True)
class Split:
    """Splits at headings first, then at paragraphs, lines and sentences."""

    knowledge: Open

    async def __call__(
        self, state: State, *, config: RunnableConfig, writer: StreamWriter
    ) -> Update:
        stage = (await self.knowledge()).stage(state.stage, tenant_of(state, config))
        done, total = 0, (await stage.progress()).cleaned
        while drafts := await stage.waiting("cleaned"):
            for draft in drafts:
                await stage.split(draft, await asyncio.to_thread(pieces, draft))
                done += 1
                writer({"step": "split", "done": done, "total": total, "file": draft.file})
        return {}


def pieces(draft: Draft) -> list[Piece]:
    """The passages of a document in order, each with its title and headings in one line."""
    sections = MarkdownHeaderTextSplitter(_LEVELS).split_text(draft.body)
    cutter = RecursiveCharacterTextSplitter(
        separators=_SEPARATORS,
        is_separator_regex=True,
        keep_separator="end",
        chunk_size=_WORDS,
        chunk_overlap=_OVERLAP,
        length_function=_size,
    )
    found = [
        Piece(_heading(draft.title, section.metadata), text.strip())
        for section in sections
        for text in cutter.split_text(re.sub(r" *\n", "\n", _paragraphs(section.page_content)))
        if text.strip()
    ]
    # a document of headings only still says something
    return found or [Piece(draft.title, draft.body)]


def _paragraphs(section: str) -> str:
    """The header splitter joins paragraphs by two spaces and a line end."""
    return section.replace("  \n", "\n\n")


def _heading(title: str, metadata: dict[str, str]) -> str:
    path = [metadata[level] for level in sorted(metadata)]
    return _BELOW.join([title, *(path[1:] if path and path[0] == title else path)])


def _size(text: str) -> int:
    """Words; long ones, and languages that do not part them, count by their bytes."""
    return max(len(text.split()), len(text.encode()) // 8)
