"""Bring every text into one shape, and find the documents that have not changed."""

import asyncio
import re
import unicodedata
from dataclasses import dataclass, replace

from langchain_core.runnables import RunnableConfig
from langgraph.types import StreamWriter

from engine.knowledge import Draft
from nodes.ingest.state import Open, Problem, State, Update, tenant_of

_UNSEEN = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)[^)]*\)")
_INNER_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")


@dataclass(frozen=True)
class Clean:
    """Tidies each draft; one that equals its published revision is done, vectors included."""

    knowledge: Open

    async def __call__(
        self, state: State, *, config: RunnableConfig, writer: StreamWriter
    ) -> Update:
        stage = (await self.knowledge()).stage(state.stage, tenant_of(state, config))
        problems = list(state.problems)
        done, total = 0, (await stage.progress()).loaded
        while drafts := await stage.waiting("loaded"):
            for draft in drafts:
                tidied = await asyncio.to_thread(tidy_draft, draft)
                if tidied.body:
                    await stage.clean(tidied)
                else:
                    await stage.drop(draft)
                    await stage.keep(state.source, draft.file)
                    problems.append(Problem(file=draft.file, reason="no text in it"))
                done += 1
                writer({"step": "clean", "done": done, "total": total, "file": draft.file})
        progress = await stage.progress()
        return {
            "documents": progress.documents,
            "unchanged": progress.documents - progress.cleaned,
            "problems": problems,
        }


def tidy_draft(draft: Draft) -> Draft:
    """The draft with its title on one line and its body tidied."""
    title = " ".join(tidy(draft.title).split())
    return replace(draft, title=title or draft.file, body=tidy(draft.body))


def tidy(text: str) -> str:
    """Markdown without what readers do not see: comments, invisible characters, targets of images.

    Links keep their address behind their words, for answers may quote it.
    """
    text = _CONTROL.sub("", _UNSEEN.sub("", unicodedata.normalize("NFC", text)))
    parts = re.split(r"(^```.*?^```[ \t]*$)", text.replace("\t", "    "), flags=re.M | re.S)
    parts[::2] = [_prose(part) for part in parts[::2]]
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).strip()


def _prose(text: str) -> str:
    text = _COMMENT.sub("", text)
    text = _IMAGE.sub(r"\1", text)
    text = _LINK.sub(_with_address, text)
    text = _INNER_LINK.sub(r"\1", text)
    text = _STRONG.sub(r"\2", text)
    text = re.sub(r"(?<=\S)[ \u00a0]{2,}", " ", text.replace("\u00a0", " "))
    return re.sub(r"[ ]+$", "", text, flags=re.M)


def _with_address(link: re.Match[str]) -> str:
    words, address = link.groups()
    return words if words == address else f"{words} ({address})"
