"""Find who somebody is and where they live in a message.

An address ("... to 12 Elm Street, Apt 4, Denver, CO 80203, USA") is read backwards from the
postcode: state before it, country behind it, up to four parts in front, the first of them
beginning with a house number.
"""

import re
from collections.abc import Callable

_NAME = r"([^\W\d_][\w'’-]*)\s+((?:(?:de|van|von|der|la|el|al)\s+)?[^\W\d_][\w'’-]*)"
_NAMES = (
    re.compile(
        r"\b(?i:my (?:full )?name is|my name['’]s|name['’]s|name\s*[:=]|name is|under)\s+" + _NAME
    ),
    re.compile(r"\b(?i:i am|i['’]m|this is|it['’]?s)\s+(?=[A-Z])" + _NAME),
    re.compile(
        r"(?:^|[.!?:,]\s*)" + _NAME + r"(?:\W+(?i:here|and|at|my|in|from|the|is|zip|code|post|"
        r"postal|postcode|zipcode)\b)*\W+\d{5}\b"
    ),
    re.compile(r"^\W*([A-Z][\w'’-]+)\s+([A-Z][\w'’-]+)\W*$"),
)
_FIRST = re.compile(r"(?i:first name)\W*(?:(?i:is)\s+)?([^\W\d_][\w'’-]*)")
_LAST = re.compile(r"(?i:(?:last|family|sur) ?name)\W*(?:(?i:is)\s+)?([^\W\d_][\w'’-]*)")
_POSTCODE = re.compile(r"(?<![\w#])\d{5}(?:-\d{4})?(?!\w)")
_STREET = re.compile(r"(?<![\w#])\d{1,6}[A-Za-z]?\s+(?=[A-Za-z]).*", re.DOTALL)
_STATE = re.compile(r"(?:^|[\s,])([A-Za-z]{2})\.?\s*$")
_COUNTRY = re.compile(
    r"[\s,]*(U\.?S\.?A?\b|United States\b)|"
    r"\s*[,\n]\s*((?!Thank|Please)[A-Z][a-z]+(?: [A-Z][a-z]+)?)"
)
_LABEL = re.compile(r"^(?:city|state|street|in)\s*:?\s+", re.I)
PARTS = 5


def address_in(text: str) -> dict[str, str]:
    """The parts of the last address in `text` by name; empty when there is no house number."""
    codes = list(_POSTCODE.finditer(text))
    for code in reversed(codes[-PARTS:]):
        parts = re.split(r"[,;\n]", text[: code.start()])
        if found := _parsed(parts[-PARTS:]):
            if country := _COUNTRY.match(text, code.end()):
                found["country"] = country[1] or country[2]
            return {**found, "postcode": code[0]}
    return {}


def _parsed(parts: list[str]) -> dict[str, str]:
    starts = [n for n, part in enumerate(parts) if _STREET.search(part)]
    if not starts:
        return {}
    street = _STREET.search(parts[starts[-1]])
    rest = [_LABEL.sub("", part.strip()) for part in parts[starts[-1] + 1 :]]
    found = {"address1": street[0].strip() if street else ""}
    tail = rest.pop() if rest else ""
    if state := _STATE.search(tail):
        found["state"] = state[1].upper()
        tail = tail[: state.start()].strip()
    elif rest and not tail.strip():
        tail = rest.pop()
    if tail and "state" not in found and rest:
        found["state"], tail = tail, rest.pop()
    if not tail and rest:
        tail = rest.pop()
    if tail:
        found["city"] = tail
    if rest:
        found["address2"] = ", ".join(part for part in rest if part)
    return found


def _named(text: str, part: int) -> str | None:
    spelled = (_FIRST if part == 1 else _LAST).search(text)
    if spelled:
        return spelled[1]
    found = next((match for pattern in _NAMES if (match := pattern.search(text))), None)
    return found[part] if found else None


def _part(name: str) -> Callable[[str], str | None]:
    return lambda text: address_in(text).get(name)


def _postcode(text: str) -> str | None:
    found = _POSTCODE.findall(text)
    return found[-1] if found else None


FINDERS: dict[str, Callable[[str], str | None]] = {
    "first_name": lambda text: _named(text, 1),
    "last_name": lambda text: _named(text, 2),
    "postcode": _postcode,
    **{name: _part(name) for name in ("address1", "address2", "city", "state", "country")},
}
