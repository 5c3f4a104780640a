"""Any JSON in PostgreSQL's `jsonb`, which refuses NUL and half a surrogate pair.

For these stand U+E000 and their number, and for U+E000 itself as well.
"""

import json
import re
from typing import Any

_REFUSED = re.compile(r"\\u(?:0000|e000|d)")
_ESCAPES = re.compile(r"\\(?:ud[89ab]..\\ud[c-f]..|u(?P<refused>0000|e000|d[89a-f]..)|.)")
_SHIELDED = re.compile("\ue000([0-9a-f]{4})")


def dumps(value: Any) -> str:
    """JSON for `jsonb`. Raises `TypeError` for what is not JSON."""
    text = json.dumps(value)
    return _ESCAPES.sub(_shield, text) if _REFUSED.search(text) else text


def loads(text: str) -> Any:
    """What `dumps` was given, from what `jsonb` made of it."""
    return json.loads(_SHIELDED.sub(r"\\u\1", text) if "\ue000" in text else text)


def _shield(match: re.Match[str]) -> str:
    return f"\\ue000{match['refused']}" if match["refused"] else match[0]
