"""What goes into the knowledge and what comes out of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """A piece of a document that may answer a question.

    `score` orders the passages of one search (1 is the best that both searches agree on) and says
    nothing across searches; `similarity` is the cosine of query and passage and does.
    """

    id: str
    """`document#n`, as answers cite it."""
    document: str
    title: str
    heading: str
    """The title and the headings it stands under, outermost first, for people to read."""
    url: str | None
    text: str
    score: float
    version: int
    similarity: float = 0.0


@dataclass(frozen=True)
class Listed:
    """A document of the published version."""

    document: str
    title: str
    url: str | None
    locale: str
    audience: str
    source: str
    file: str
    chunks: int


@dataclass(frozen=True)
class Piece:
    """A chunk before it is embedded."""

    heading: str
    text: str


@dataclass(frozen=True)
class Draft:
    """A document on its way in; `body` is Markdown, whatever the file was."""

    document: str
    """Its name in citations: lower-case letters, digits and dashes, unique in the tenant."""
    file: str
    """The path below the source that it was read from."""
    title: str
    body: str
    url: str | None = None
    locale: str = "en"
    audience: str = ""
    """The permission that reading it needs; empty for everyone."""
    id: int = 0
    """Set by the stage."""
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class Published:
    """What readers see from now on."""

    version: int
    documents: int
    chunks: int
    removed: int = 0
    """Documents of the version before that are gone."""
    changed: bool = True
    """False when the stage held what was published already: the version stays as it was."""


@dataclass(frozen=True)
class Progress:
    """How far a stage is: documents and chunks in it, and documents waiting for each step."""

    documents: int
    chunks: int
    loaded: int
    cleaned: int
    split: int
