"""The layers of validation, from cheap to dear.

Each says what is wrong, never the wrong thing itself: an objection goes back to the model and into
the state, so it must not repeat what must not leave.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from langchain_core.messages import HumanMessage, ToolMessage

from nodes.prompt import this_turn
from nodes.sentences import split
from nodes.state import Evidence, State
from tools import Receipt

CITATION = re.compile(r"\[([\w./-]+#\d+)\]")
NO_ANSWER = "[none]"
"""A model ends an answer with this when the passages do not answer the question."""

_AMOUNT = r"\d[\d,]*(?:\.\d+)?"
_CURRENCY = r"[$€£]|USD|EUR|GBP|dollars?|euros?|pounds?"
_MONEY = re.compile(rf"(?:{_CURRENCY})\s?{_AMOUNT}|{_AMOUNT}\s?(?:{_CURRENCY})(?!\w)", re.I)
_NUMBER = re.compile(_AMOUNT)
_LIST_MARK = re.compile(r"(?m)^\s*\d{1,2}[.)]\s")
_IDENTIFIER = re.compile(
    r"#\w*\d{3,}|\b[a-z]+(?:_[a-z]+)*_\d{3,}\b|\b[A-Z]{1,4}-?\d{4,}\b|\b\d{7,}\b"
    r"|[\w.+-]+@[\w-]+\.[\w.-]*\w"
)
_URL = re.compile(r"(?:https?://|www\.)[^\s\])>\"']+|!\[[^\]]*\]\([^)]*\)")
_MONTH = re.compile(
    r"\b(january|february|march|april|may(?=\s+\d)|june|july|august|september|october|november"
    r"|december)\b",
    re.I,
)
_NAME = re.compile(r"\b[A-Z][a-z]{2,}(?:\s+[A-Z][a-z]{2,})+")
_SECRET = re.compile(
    r"\b(?:sk|pk)[-_][A-Za-z0-9_-]{12,}|\bAKIA[0-9A-Z]{12,}|BEGIN [A-Z ]*PRIVATE KEY"
    r"|\beyJ[\w-]{8,}\.|(?i:\bbearer\s+[\w.-]{12,})"
    r"|(?i:\b(?:password|api[ _]key)\s*(?:is|:|=)\s*(?=\S*\d)\S{6,})"
)
_DEED = (
    r"(?:cancel|refund|chang|updat|modif|return|exchang|replac|issu|creat|open|escalat|transfer|process"
    r"|submit|plac|remov|add|fil|arrang|schedul|book|sent)\w*(?:ed|d|t)\b"
)
_ADVERBS = r"(?: just| now| already| successfully| also| been)*"
_I_DID = re.compile(rf"\b(?:I|we)(?:['\u2019]ve| have| had)?{_ADVERBS} ({_DEED})", re.I)
_WAS_DONE = re.compile(rf"\b(?:has|have|is|are|was|were|been){_ADVERBS} ({_DEED})", re.I)
_DONE = re.compile(r"(?i)^\W*(?:done|completed|all set)\b")


@dataclass(frozen=True)
class Ground:
    """All that an answer may rest on: this turn's passages, this conversation's tool results."""

    passages: Sequence[Evidence]
    results: Sequence[str]
    receipts: Sequence[Receipt]
    said: Sequence[str]
    brief: str
    intent: str
    used_tools: bool = False
    """Whether a tool answered in this turn: then the answer may rest on that alone."""

    @classmethod
    def of(cls, state: State, brief: str) -> "Ground":
        """The ground of this turn; `brief` are the instructions that must not be recited."""
        return cls(
            passages=state.passages,
            results=[m.text for m in state.messages if isinstance(m, ToolMessage)],
            receipts=state.effects,
            said=[m.text for m in state.messages if isinstance(m, HumanMessage)],
            brief=brief,
            intent=state.request["intent"] if state.request else "",
            used_tools=any(isinstance(m, ToolMessage) for m in this_turn(state.messages)),
        )

    @cached_property
    def text(self) -> str:
        """Passages, results and receipts in one."""
        titles = [passage["title"] for passage in self.passages]
        return "\n".join(
            [*(p["text"] for p in self.passages), *titles, *self.results]
            + [receipt["text"] for receipt in self.receipts]
        )

    @cached_property
    def numbers(self) -> set[str]:
        """Every number, normalised."""
        return {_number(found) for found in _NUMBER.findall(self.text)}

    @cached_property
    def money(self) -> set[str]:
        """Every amount: with a currency, or written with cents."""
        amounts = {_number(found) for found in _MONEY.findall(self.text)}
        return amounts | {n for n in self.numbers if re.fullmatch(r"\d+\.\d\d", n)}

    @cached_property
    def words(self) -> set[str]:
        """Words of the ground and of what the customer said, in lower case."""
        text = " ".join([self.text, *self.said, self.brief])
        return set(re.findall(r"[a-z]{3,}", text.lower()))


Layer = Callable[[str, Ground], str | None]


def facts(text: str, ground: Ground) -> str | None:
    """Numbers, prices, dates, ids and links must come from a passage or a tool result."""
    bare = _LIST_MARK.sub(" ", CITATION.sub(" ", text))
    have = ground.text.lower()
    if any(found.rstrip(".,").lower() not in have for found in _URL.findall(bare)):
        return "a link is in no passage and no tool result"
    if any(found.lower() not in have for found in _IDENTIFIER.findall(bare)):
        return "an identifier is in no passage and no tool result"
    if any(_number(found) not in ground.money for found in _MONEY.findall(bare)):
        return "a price or an amount is in no passage and no tool result"
    if any(_number(found) not in ground.numbers for found in _NUMBER.findall(bare)):
        return "a number or a date is in no passage and no tool result"
    if any(found.lower() not in have for found in _MONTH.findall(bare)):
        return "a month is in no passage and no tool result"
    return None


def citations(text: str, ground: Ground) -> str | None:
    """Whatever is cited was really retrieved."""
    known = {passage["id"] for passage in ground.passages}
    if any(cited not in known for cited in CITATION.findall(text)):
        return "it cites a passage that was not retrieved"
    return None


def privacy(text: str, ground: Ground) -> str | None:
    """Nobody else's name, no secret, none of the instructions."""
    if _SECRET.search(text):
        return "it contains a secret"
    for name in _NAME.findall(CITATION.sub(" ", text)):
        if any(word.lower() not in ground.words for word in name.split()[1:]):
            return "it names somebody or something that is in no passage and no tool result"
    if _recited(text, ground.brief):
        return "it recites its instructions"
    return None


def deeds(text: str, ground: Ground) -> str | None:
    """Whatever it claims to have done has a receipt."""
    receipts = " ".join(f"{r['tool']} {r['text']}" for r in ground.receipts).lower()
    if _DONE.match(text) and not ground.receipts:
        return "it says that something was done, and there is no receipt"
    for claim in _I_DID.findall(text):
        if _stem(claim) not in receipts:
            return "it claims an action that has no receipt"
    known = (" ".join(ground.results) + " " + receipts).lower()
    passages = " ".join(passage["text"] for passage in ground.passages).lower()
    for claim in _WAS_DONE.findall(text):
        if _stem(claim) not in known and not (CITATION.search(text) and _stem(claim) in passages):
            return "it claims an action that has no receipt"
    return None


def structure(text: str, ground: Ground) -> str | None:
    """Something a customer can read: neither empty, nor endless, nor a program's output."""
    plain = CITATION.sub("", text).strip()
    if not plain:
        return "it is empty"
    if len(plain) > 4_000:
        return "it is too long"
    if plain[0] in "{[<" or "```" in plain or "<passage" in plain or "tool_call" in plain:
        return "it is not plain text for a customer"
    must_cite = ground.intent == "knowledge" and ground.passages and not ground.used_tools
    if must_cite and NO_ANSWER not in text and not CITATION.search(text):
        return f"it cites no passage; cite one, or end with {NO_ANSWER} if none answers"
    return None


FAST: tuple[Layer, ...] = (privacy, facts, citations, deeds)
"""Checked for each sentence before it leaves."""
WHOLE: tuple[Layer, ...] = (structure, *FAST)
"""Checked for the whole answer before it becomes one."""


def object_to(text: str, ground: Ground, layers: Sequence[Layer]) -> str | None:
    """The first objection to `text`, with the number of the sentence where that helps."""
    for number, sentence in enumerate(split(text), start=1):
        for layer in layers:
            if layer is not structure and (wrong := layer(sentence, ground)):
                return f"Sentence {number}: {wrong}."
    if structure in layers and (wrong := structure(text, ground)):
        return f"The answer cannot be sent: {wrong}."
    return None


def _number(text: str) -> str:
    digits = re.sub(r"[^\d.]", "", text).rstrip(".")
    whole, _, cents = digits.partition(".")
    return f"{whole.lstrip('0') or '0'}.{cents}" if cents.strip("0") else whole.lstrip("0") or "0"


def _stem(verb: str) -> str:
    return re.sub(r"(?:l?led|ed|d)$", "", verb.lower())[:7]


def _recited(text: str, brief: str, run: int = 12) -> bool:
    """Whether `run` words in a row stand in the instructions."""
    words, source = re.findall(r"\w+", text.lower()), " ".join(re.findall(r"\w+", brief.lower()))
    return any(" ".join(words[i : i + run]) in source for i in range(max(0, len(words) - run + 1)))
