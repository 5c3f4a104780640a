"""Documents that answers rest on: versions, hybrid search, and compression of what is found."""

from engine.knowledge.compress import compress
from engine.knowledge.knowledge import Knowledge, open_knowledge
from engine.knowledge.records import Draft, Listed, Passage, Piece, Progress, Published
from engine.knowledge.stage import Stage

__all__ = [
    "Draft",
    "Knowledge",
    "Listed",
    "Passage",
    "Piece",
    "Progress",
    "Published",
    "Stage",
    "compress",
    "open_knowledge",
]
