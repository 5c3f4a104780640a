"""One file, one or many documents: Markdown, HTML, PDF, text, CSV of questions and answers."""

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePath

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from engine.knowledge import Draft
from nodes.ingest.markup import read_page

SUFFIXES = frozenset({".md", ".markdown", ".html", ".htm", ".pdf", ".txt", ".csv"})
LARGEST = 25_000_000
_PAGES = 2_000
_NAME = 80

# pypdf walks whatever structure a damaged file has, and stumbles as Python does
_STUMBLES = (
    PyPdfError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
    AssertionError, OSError, NotImplementedError,
)  # fmt: skip


class Unreadable(ValueError):
    """A file, or a row of it, that holds no document; the message says why."""


def read(data: bytes, file: str, locale: str) -> Iterator[Draft | Unreadable]:
    """The documents in a file, and in their place what is wrong with a row.

    `file` is its path below the source. Raises `Unreadable` when the whole file is of no use.
    """
    if len(data) > LARGEST:
        raise Unreadable(f"larger than {LARGEST // 1_000_000} MB")
    if not data.strip():
        raise Unreadable("empty")
    suffix = PurePath(file).suffix.lower()
    if suffix == ".csv":
        yield from _questions(_decoded(data), file, locale)
    elif suffix == ".pdf":
        yield _pdf(data, file, locale)
    elif suffix in {".html", ".htm"}:
        page = read_page(data)
        yield Draft(
            name_of(file), file, page.title or _spoken(file), page.body, page.url,
            page.locale or locale,
        )  # fmt: skip
    elif suffix == ".txt":
        yield _text(_decoded(data), file, locale)
    else:
        yield _markdown(_decoded(data), file, locale)


def name_of(file: str) -> str:
    """How answers cite a file: its path in lower-case letters, digits and dashes."""
    return slug(str(PurePath(file).with_suffix("")))


def slug(text: str) -> str:
    """Lower-case letters, digits and dashes; what cannot be written so becomes a short hash."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    lost = sum(character.isalnum() for character in text) > 2 * len(words)
    if len(words) <= _NAME and not lost and words:
        return words
    return f"{words[: _NAME - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")


def _decoded(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(f"not {encoding.removesuffix('-sig').upper()} text") from error
    if "\0" in text:
        raise Unreadable("not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _spoken(file: str) -> str:
    return re.sub(r"[-_]+", " ", PurePath(file).stem).strip().capitalize()


def _markdown(text: str, file: str, locale: str) -> Draft:
    """Front matter (`title`, `url`, `locale`, `audience`) is optional."""
    matter: dict[str, str] = {}
    if front := re.match(r"---\n(.*?)\n---\s*(?:\n|$)", text, re.S):
        text = text[front.end() :]
        for line in front[1].splitlines():
            name, _, value = line.partition(":")
            matter[name.strip().lower()] = value.strip().strip("\"'")
    heading = re.search(r"^# +(.+?) *#*$", text, re.M)
    return Draft(
        name_of(file),
        file,
        matter.get("title") or (heading[1] if heading else _spoken(file)),
        text,
        matter.get("url") or None,
        matter.get("locale") or locale,
        matter.get("audience", ""),
    )


def _text(text: str, file: str, locale: str) -> Draft:
    first, _, rest = text.strip().partition("\n\n")
    titled = "\n" not in first and len(first) <= 80 and not first.endswith((".", "!", "?", ":"))
    if titled and rest.strip():
        return Draft(name_of(file), file, first.strip(), rest, locale=locale)
    return Draft(name_of(file), file, _spoken(file), text, locale=locale)


def _pdf(data: bytes, file: str, locale: str) -> Draft:
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("needs a password")
        if len(reader.pages) > _PAGES:
            raise Unreadable(f"more than {_PAGES} pages")
        pages = [page.extract_text() for page in reader.pages]
        title = str((reader.metadata.title if reader.metadata else None) or "")
    except Unreadable:
        raise
    except _STUMBLES as error:
        raise Unreadable(f"broken PDF ({type(error).__name__}: {error})") from error
    if not any(page.strip() for page in pages):
        raise Unreadable("a PDF without text, such as a scan")
    body = "\n\n".join(_flowing(page) for page in pages)
    return Draft(name_of(file), file, title.strip() or _spoken(file), body, locale=locale)


def _flowing(page: str) -> str:
    """Lines of a page as paragraphs, words mended that a line end had cut."""
    mended = re.sub(r"(\w)-\n(?=[a-z])", r"\1", page)
    return re.sub(r"(?<![.!?:\n])\n(?![\n*\u2022\u2013-]|\d+[.)])", " ", mended)


def _questions(text: str, file: str, locale: str) -> Iterator[Draft | Unreadable]:
    rows = csv.DictReader(io.StringIO(text), strict=True)
    try:
        columns = {name.strip().lower(): name for name in rows.fieldnames or ()}
        if not {"question", "answer"} <= columns.keys():
            raise Unreadable("no columns named question and answer")
        for row in rows:
            cell = {
                name: (row[column] or "").strip()
                for name, column in columns.items()
                if isinstance(row[column], str)
            }
            if not cell.get("question") or not cell.get("answer"):
                yield Unreadable(f"line {rows.line_num}: no question or no answer")
                continue
            yield Draft(
                f"{name_of(file)}-{slug(cell['question'])}",
                file,
                cell["question"],
                cell["answer"],
                cell.get("url") or None,
                cell.get("locale") or locale,
                cell.get("audience", ""),
            )
    except csv.Error as error:
        raise Unreadable(f"line {rows.line_num}: {error}") from error
