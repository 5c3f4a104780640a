"""What a customer wants: by the local classifier, or by a small model with the same answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal, Protocol, cast

from langchain_core.messages import AIMessage, AnyMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, Field, ValidationError, create_model

from engine.models.chat import Chat
from engine.models.classifier import Classifier, train_or_load
from engine.models.encoder import Encoder
from engine.settings import Settings
from nodes.prompt import instructions, turns
from nodes.state import Request, Usage
from nodes.unheard import unheard
from nodes.usage import spent_on
from tools._runtime import Toolbox

SURE = 0.6
"""Below this a tool's intent may as well be a question: search too."""
FAINT = 0.5
"""Below this a message that names nothing is taken for a question."""
TALK = ("knowledge", "smalltalk", "out_of_scope")


class Sorted(BaseModel):
    """What the small model answers."""

    intent: str
    confidence: float = Field(ge=0, le=1)
    language: str = "en"


class Intents(Protocol):
    """Sorts the last message."""

    async def __call__(
        self, messages: Sequence[AnyMessage], locale: str, config: RunnableConfig
    ) -> tuple[Request, Usage | None]:
        """The request, and what it cost."""


@dataclass(frozen=True)
class LocalIntents:
    """The classifier trained on our seeds and on the tools' own examples."""

    classifier: Classifier
    toolbox: Toolbox

    async def __call__(
        self, messages: Sequence[AnyMessage], locale: str, config: RunnableConfig
    ) -> tuple[Request, Usage | None]:
        said = messages[-1].text
        found = await self.classifier.classify(said, top=len(self.toolbox.tools) + len(TALK))
        intent, confidence = chosen(found.scores, named=bool(self.toolbox.mentioned(said)))
        strange = found.out_of_scope and intent in TALK
        return request(intent, confidence, locale, strange=strange), None


@dataclass(frozen=True)
class ModelIntents:
    """A small language model with structured output."""

    model: Chat
    name: str
    tools: Mapping[str, str]

    async def __call__(
        self, messages: Sequence[AnyMessage], locale: str, config: RunnableConfig
    ) -> tuple[Request, Usage | None]:
        names = (*TALK, *self.tools)
        schema = create_model(
            "Intent",
            __base__=Sorted,
            intent=(Literal[names], ...),  # type: ignore[arg-type]  # made of the tools there are
        )
        brief = "\n".join(f"- {name}: {text}" for name, text in self.tools.items())
        recent = [message for turn in turns(messages)[-3:] for message in turn if message.text]
        prompt = [SystemMessage(f"{instructions('classify')}\n\n{brief}"), *recent]
        # As plain JSON: the client must not raise for an answer that does not fit.
        asked = self.model.with_structured_output(schema.model_json_schema(), include_raw=True)
        with unheard() as quiet:
            answer = cast("dict[str, Any]", await asked.ainvoke(prompt, quiet))
        usage = spent_on(self.name, AIMessage(**answer["raw"].model_dump()), config)
        try:
            said = schema.model_validate(answer["parsed"])
        except ValidationError:  # no reason to give up: search, and ask
            return request("knowledge", 0.0, locale), usage
        return request(said.intent, said.confidence, said.language), usage


def chosen(scores: Mapping[str, float], *, named: bool) -> tuple[str, float]:
    """The intent that a likelihood for each amounts to.

    A message that names an order is about that order; one that names nothing and only faintly
    resembles a request is a question: a search is better than a demand for an e-mail address.
    """
    best = max(scores, key=lambda name: scores[name])
    if named and best in TALK:
        best = max((name for name in scores if name not in TALK), key=lambda name: scores[name])
    if not named and best not in TALK and scores[best] < FAINT:
        best = "knowledge"
    return best, scores[best]


def request(intent: str, confidence: float, language: str, *, strange: bool = False) -> Request:
    """The request that an intent amounts to."""
    out = strange or intent == "out_of_scope"
    return Request(
        intent="out_of_scope" if out else intent,
        confidence=round(confidence, 4),
        out_of_scope=out,
        knowledge=not out
        and (intent == "knowledge" or (confidence < SURE and intent != "smalltalk")),
        language=language,
    )


async def open_intents(
    settings: Settings, toolbox: Toolbox, encoder: Encoder, small: Chat | None
) -> Intents:
    """The classifier is trained at the first start, and again when a tool's examples change."""
    if small is not None:
        described = {name: tool.__doc__ or name for name, tool in toolbox.tools.items()}
        return ModelIntents(small, settings.small_model, described)
    seeds = json.loads(files("nodes").joinpath("seeds.json").read_text(encoding="utf-8"))
    examples = {name: list(t.examples) for name, t in toolbox.tools.items() if t.examples} | seeds
    classifier = await train_or_load(examples, encoder, settings.data / "models")
    return LocalIntents(classifier, toolbox)
