"""HTML as Markdown: headings, lists, tables and links stay, what a page hides or repeats goes."""

import re
from dataclasses import dataclass

from bs4 import BeautifulSoup
from bs4.element import NavigableString, Tag

_FURNITURE = [
    "script", "style", "noscript", "template", "svg", "iframe", "form", "button", "nav", "header",
    "footer", "aside", "head",
]  # fmt: skip
_BLOCKS = {
    "p", "div", "section", "article", "main", "body", "blockquote", "ul", "ol", "dl",
    "figure", "details", "summary", "dt", "dd", "caption",
}  # fmt: skip
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0", re.I)


@dataclass(frozen=True)
class Page:
    """A web page without its furniture; `body` is Markdown."""

    title: str
    body: str
    url: str | None
    locale: str | None


def read_page(data: bytes) -> Page:
    """The content of an HTML page in any encoding that it declares."""
    soup = BeautifulSoup(data, "html.parser")
    title = soup.title.get_text() if soup.title else ""
    canonical = soup.find("link", rel="canonical")
    root = soup.find("html")
    url = _attribute(canonical, "href")
    locale = _attribute(root, "lang")
    for tag in soup(_FURNITURE):
        # a page's own heading often stands in a <header> of its article
        if tag.name == "header" and tag.find_parent(["article", "main"]):
            continue
        tag.decompose()
    for tag in soup.find_all(_is_hidden):
        tag.decompose()
    first = soup.find("h1")
    heading = first.get_text() if first else ""
    return Page(" ".join((heading.strip() or title).split()), _markdown(soup), url, locale)


def _attribute(tag: Tag | NavigableString | None, name: str) -> str | None:
    value = tag.get(name) if isinstance(tag, Tag) else None
    return value if isinstance(value, str) and value else None


def _is_hidden(tag: Tag) -> bool:
    return (
        tag.has_attr("hidden")
        or tag.get("aria-hidden") == "true"
        or bool(_HIDDEN.search(str(tag.get("style") or "")))
    )


def _markdown(soup: BeautifulSoup) -> str:
    for text in soup.find_all(string=True):
        if not text.find_parent("pre") and type(text) is NavigableString:
            text.replace_with(re.sub(r"\s+", " ", text))
    for tag in reversed(soup.select("*")):  # what is inside first
        tag.replace_with(NavigableString(_rendered(tag)))
    lines = (line.strip() for line in soup.get_text().splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _rendered(tag: Tag) -> str:
    text = tag.get_text()
    if re.fullmatch(r"h[1-6]", tag.name):
        return f"\n\n{'#' * int(tag.name[1])} {' '.join(text.split())}\n\n"
    if tag.name == "a" and str(tag.get("href") or "").startswith("http"):
        return f"[{text.strip()}]({tag['href']})"
    if tag.name == "table":
        return f"\n\n{_table(text)}\n\n"
    if tag.name in _BLOCKS:
        return f"\n\n{text}\n\n"
    return {
        "li": f"\n- {text.strip()}",
        "tr": f"\n| {text.strip()}",
        "td": f"{' '.join(text.split())} | ",
        "th": f"{' '.join(text.split())} | ",
        "br": "\n",
        "hr": "\n\n",
        "pre": f"\n\n```\n{text.strip()}\n```\n\n",
    }.get(tag.name, text)


def _table(text: str) -> str:
    """Rows as they are, and the rule below the first that makes them a Markdown table."""
    rows = [line.strip() for line in text.splitlines() if line.strip()]
    for n, row in enumerate(rows):
        if row.startswith("|"):
            return "\n".join([*rows[: n + 1], "|---" * (row.count("|") - 1) + "|", *rows[n + 1 :]])
    return text
