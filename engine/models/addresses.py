"""Find a postal address in a message: "... to 12 Elm Street, Apt 4, Denver, CO 80203, USA".

Read backwards from the postcode: state before it, country behind it, up to four parts in front,
the first of them beginning with a house number.
"""

import re

_POSTCODE = re.compile(r"(?<![\w#])\d{5}(?:-\d{4})?(?!\w)")
_STREET = re.compile(r"(?<![\w#])\d{1,6}[A-Za-z]?\s+(?=[A-Za-z]).*", re.DOTALL)
_STATE = re.compile(r"(?:^|[\s,])([A-Za-z]{2})\.?\s*$")
_COUNTRY = re.compile(r"[\s,]*((?:U\.?S\.?A?\.?|[A-Z][a-z]+(?:\s[A-Z][a-z]+)?))\b")
_LABEL = re.compile(r"^(?:city|state|street|in)\s*:?\s+", re.I)
PARTS = 5


def address_in(text: str) -> dict[str, str]:
    """The parts of the last address in `text` by name; empty when there is no house number."""
    codes = list(_POSTCODE.finditer(text))
    for code in reversed(codes[-PARTS:]):
        parts = re.split(r"[,;\n]", text[: code.start()])
        if found := _parsed(parts[-PARTS:]):
            country = _COUNTRY.match(text, code.end())
            if country and text[code.end() : country.start(1)].strip(" ") in {"", ","}:
                found["country"] = country[1].rstrip(".")
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
