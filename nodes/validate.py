"""Decide whether a draft becomes the answer, is written again, or goes to a human."""

from dataclasses import dataclass

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from nodes.layers import CITATION, NO_ANSWER, WHOLE, Ground, object_to
from nodes.prompt import instructions, this_turn
from nodes.resources import Provider
from nodes.sentences import split
from nodes.state import Citation, Evidence, Request, State, Update, Verdict
from tools import Context

DRAFTS = 3
"""The first and two more."""


@dataclass(frozen=True)
class Validate:
    """Every layer over the whole draft; only what passes enters the state."""

    open: Provider

    async def __call__(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        if state.draft is None:  # its process died between the two steps: write it again
            return {}
        draft, objection = state.draft.unseal()
        ground = Ground.of(state, instructions("generate"))
        objection = objection or object_to(draft.text, ground, WHOLE)
        drafts = len(state.rejections) + 1
        if objection:
            return {
                "draft": None,
                "rejections": [*state.rejections, objection],
                "verdict": Verdict(accepted=False, layers=[], reason=objection, drafts=drafts),
            }
        verdict = Verdict(
            accepted=True, layers=[layer.__name__ for layer in WHOLE], reason=None, drafts=drafts
        )
        cited = cite(draft.text, state.passages)
        answer = AIMessage(
            draft.text.replace(NO_ANSWER, "").strip(),
            id=draft.id,
            additional_kwargs={"citations": cited, "verdict": verdict},
            usage_metadata=draft.usage_metadata,
        )
        return {
            "draft": None,
            "messages": [answer],
            "citations": cited,
            "verdict": verdict,
            "open_request": unfinished(state),
        }


def cite(text: str, passages: list[Evidence]) -> list[Citation]:
    """The passages that `text` cites, in its order, each with the sentence that rests on it."""
    known = {passage["id"]: passage for passage in passages}
    found: dict[str, Citation] = {}
    for sentence in split(text):
        for cited in CITATION.findall(sentence):
            passage = known[cited]
            found.setdefault(
                cited,
                Citation(
                    id=cited, document=passage["document"], title=passage["title"],
                    url=passage["url"], quote=CITATION.sub("", sentence).strip(),
                ),
            )  # fmt: skip
    return list(found.values())


def unfinished(state: State) -> Request | None:
    """The request, when it wanted a tool and this turn called none: the answer was a question."""
    request = state.request
    if request is None or request["intent"] in {"knowledge", "smalltalk", "out_of_scope"}:
        return None
    answered = {message.name for message in this_turn(state.messages)}
    return None if request["intent"] in answered else request
