"""A chat model without a network: it answers in the documents' own sentences, or calls a tool.

It invents nothing. Knowledge questions get up to three sentences of the passages, each with its
citation; requests that a tool handles get the tool's call, its words, or one question for what is
missing. It reads the prompt of the generate step, so the graph treats it like any other model.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field, PrivateAttr, SkipValidation

from engine.errors import ConfigError
from engine.models.calls import NOT_DONE, Call, Spec, next_step, report, withdrawn
from engine.models.encoder import Encoder
from engine.models.sentences import Ranker, Scored, Sentence, sentences_of
from engine.models.turn import Turn, read

NO_ANSWER = "[none]"
"""Ends a reply that says the passages do not answer the question."""
UNANSWERED = (
    "I am sorry, I could not find an answer to that in our help pages. "
    f"Shall I hand you over to a human? {NO_ANSWER}"
)
OUT_OF_SCOPE = "I am sorry, that is nothing I can help with."
SMALL_TALK = "Hello! How can I help you today?"
FIT = 0.45
"""Least cosine + .3 term share of the best sentence, with an encoder."""
SHARE = 0.4
"""Least share of the question's rare words in the best sentence, without one."""
CLOSE = 0.7
"""Further sentences score at least this share of the best one's."""
MOST = 3
SURE = 0.6
"""Below this an intent may be wrong: an answer from the documents goes before a question."""
_PIECE = re.compile(r".+?(?:(?<=[.!?\]])\s+(?!\[)|\n|$)", re.DOTALL)


class ExtractiveChat(BaseChatModel):
    """Extracts, never generates. Async; `invoke` works where no loop runs."""

    encoder: Annotated[Encoder | None, SkipValidation] = Field(default=None, repr=False)
    count_tokens: Callable[[str], int] | None = Field(default=None, repr=False)
    """Counts for the usage ledger; about four characters a token without it."""
    tools: tuple[Any, ...] = Field(default=(), repr=False)
    model_name: str = "local:extractive"
    _ranker: Ranker = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Remember sentence vectors for as long as this model (or a binding of it) lives."""
        super().model_post_init(context)
        self._ranker = Ranker(self.encoder)

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A copy that may call `tools`, whose metadata it reads (see `engine.models.calls`)."""
        return self.model_copy(update={"tools": tuple(tools)})

    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Raises `ConfigError`: extracted sentences are no JSON; `local:intent` classifies."""
        raise ConfigError(
            f"{self.model_name} writes no structured output: set FRONTDESK_SMALL_MODEL to "
            "local:intent or to an openai: model."
        )

    @property
    def _llm_type(self) -> str:
        return "extractive"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return asyncio.run(self._agenerate(messages, stop))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        whole: AIMessageChunk | None = None
        async for chunk in self._astream(messages, stop):
            piece = chunk.message
            if isinstance(piece, AIMessageChunk):
                whole = piece if whole is None else whole + piece
        said = whole or AIMessageChunk(content="")
        message = AIMessage(
            said.content, tool_calls=said.tool_calls, usage_metadata=said.usage_metadata
        )
        info = {"finish_reason": "tool_calls" if said.tool_calls else "stop"}
        return ChatResult(
            generations=[ChatGeneration(message=message, generation_info=info)],
            llm_output={"model_name": self.model_name},
        )

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """A sentence a chunk (or the tool calls), then an empty chunk with the usage."""
        reply = await self._reply(read(messages))
        if isinstance(reply, str):
            said = _PIECE.findall(reply)
            for piece in said:
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        else:
            said = [f"{call.name}{call.args}" for call in reply]
            yield ChatGenerationChunk(message=_calling(reply))
        usage = self._usage(messages, "".join(said))
        end = AIMessageChunk(content="", usage_metadata=usage, chunk_position="last")
        info = {
            "finish_reason": "stop" if isinstance(reply, str) else "tool_calls",
            "model_name": self.model_name,
        }
        yield ChatGenerationChunk(message=end, generation_info=info)

    async def _reply(self, turn: Turn) -> str | list[Call]:
        specs = {spec.name: spec for spec in map(Spec, self.tools)}
        if turn.intent in specs:
            step = next_step(turn, specs)
            if isinstance(step, list):
                return step
            unsure = turn.confidence < SURE and not turn.results
            said = (unsure and await self._extract(turn)) or _without(step, turn.rejected)
        elif turn.intent in {"smalltalk", "out_of_scope"}:
            said = SMALL_TALK if turn.intent == "smalltalk" else OUT_OF_SCOPE
        else:
            found = report([each for each in turn.results if not each.failed])
            parts = [_without(found, turn.rejected), await self._extract(turn)]
            said = " ".join(filter(None, parts)) or report(turn.results)
            if said and turn.passages and not parts[1]:
                said += f" {NO_ANSWER}"
        if withdrawn(turn) and NOT_DONE not in said:
            said = f"{NOT_DONE} {said}"
        return said or UNANSWERED

    async def _extract(self, turn: Turn) -> str:
        """Up to three sentences with their citations, or nothing when none answers.

        After a rejection one sentence has to do, and not the one that was objected to.
        """
        sentences = sentences_of(turn.passages)
        ranked = await self._ranker.rank(turn.question, sentences)
        least = FIT if self.encoder else SHARE
        if not ranked or max(each.fit for each in ranked) < least:
            return ""
        said = [f"{each.text} [{each.passage.id}]" for each in _chosen(ranked, sentences)]
        if turn.rejected:
            said = _PIECE.findall(_without(" ".join(said), turn.rejected))[:1]
        return " ".join(said).strip()

    def _usage(self, messages: Sequence[BaseMessage], said: str) -> UsageMetadata:
        count = self.count_tokens or (lambda text: len(text) // 4 + 1)
        read, written = sum(count(message.text) for message in messages), count(said)
        return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _chosen(ranked: Sequence[Scored], sentences: Sequence[Sentence]) -> list[Sentence]:
    """The best sentence's passage first, in its order; what leans on a sentence follows it."""
    best = ranked[0]
    kept = [s.sentence for s in ranked[:MOST] if s.score >= CLOSE * best.score]
    for sentence in list(kept):
        place = sentences.index(sentence)
        before = sentences[place - 1] if place else sentence
        same = before.passage is sentence.passage
        if sentence.leans and same and before not in kept and len(kept) < MOST:
            kept.append(before)
    first = best.sentence.passage
    return sorted(kept, key=lambda s: (s.passage is not first, s.rank, sentences.index(s)))


def _without(said: str, rejected: str) -> str:
    """The sentences without those that a rejection names by number or by what it quotes."""
    numbers = {int(number) for number in re.findall(r"[Ss]entence (\d+)", rejected)}
    quoted = re.findall(r"[\"“]([^\"”]{3,})[\"”]", rejected)
    left = [
        piece
        for number, piece in enumerate(_PIECE.findall(said), start=1)
        if number not in numbers and not any(quote in piece for quote in quoted)
    ]
    return "".join(left).strip()


def _calling(calls: Sequence[Call]) -> AIMessageChunk:
    chunks = [
        tool_call_chunk(
            name=call.name, args=json.dumps(call.args), id=f"call-{uuid4().hex}", index=number
        )
        for number, call in enumerate(calls)
    ]
    return AIMessageChunk(content="", tool_call_chunks=chunks)
