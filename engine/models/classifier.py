"""Sorts a text into one of a few intents, says how sure it is, and whether it is none of them."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from engine.errors import ConfigError
from engine.models.encoder import Encoder
from engine.models.heads import Heads, load_heads, save_heads
from engine.models.tfidf import count_grams
from engine.models.training import Sample, fit_heads

_VERSION = 1  # of how heads are trained: another number trains them again
_READ_CHARS = 1_000  # about as far as the encoder reads
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class Prediction:
    """What a text most likely wants."""

    intent: str
    confidence: float
    """Probability of `intent` among the intents, calibrated on held-out examples."""
    out_of_scope: bool
    strangeness: float
    """From 0 to 1, above 0.5 out of scope."""
    scores: dict[str, float]
    """The likeliest intents with their probabilities."""


@dataclass(frozen=True)
class Classifier:
    """Trained heads and the encoder they were trained with."""

    encoder: Encoder
    heads: Heads

    async def classify(self, text: str, top: int = 5) -> Prediction:
        """The intent of `text`; `scores` lists the `top` likeliest."""
        clean = normalised(text)
        evidence = self.heads.weigh([count_grams(clean)], await self.encoder.encode([clean]))
        (likely,) = self.heads.probabilities(evidence)
        strangeness = float(self.heads.strangeness(evidence)[0])
        order = np.argsort(-likely)[:top]
        return Prediction(
            intent=self.heads.intents[order[0]],
            confidence=float(likely[order[0]]),
            out_of_scope=strangeness > 0.5,
            strangeness=strangeness,
            scores={self.heads.intents[n]: float(likely[n]) for n in order},
        )


def normalised(text: str) -> str:
    """How the classifier reads a text: numbers count by their shape, not by their digits."""
    return _DIGIT.sub("0", text[:_READ_CHARS])


async def train(
    examples: Mapping[str, Sequence[str]],
    encoder: Encoder,
    *,
    background: str | None = None,
    folds: int = 4,
) -> Classifier:
    """Learn from a few examples of each intent (16 or more, in several registers).

    `background` names examples that belong to no intent: they are never predicted, but what is
    like them is out of scope. To calibrate, `folds` more trainings leave out a part each.
    Raises `ConfigError` with fewer than two intents, or fewer examples of one than `folds`.
    """
    names = sorted(name for name in examples if name != background)
    if len(names) < 2:
        raise ConfigError("A classifier needs examples of at least two intents.")
    groups = {name: examples[name] for name in names}
    if background is not None and examples.get(background):
        groups[background] = examples[background]  # behind the intents
    for name, group in groups.items():
        if len(group) < folds:
            raise ConfigError(f"{name} needs at least {folds} examples, not {len(group)}.")
    texts = [normalised(text) for group in groups.values() for text in group]
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups.values()])
    sample = Sample([count_grams(text) for text in texts], await encoder.encode(texts), labels)
    heads = await asyncio.to_thread(fit_heads, tuple(names), sample, folds)
    return Classifier(encoder, heads)


async def train_or_load(
    examples: Mapping[str, Sequence[str]],
    encoder: Encoder,
    folder: Path,
    *,
    background: str = "out_of_scope",
) -> Classifier:
    """The classifier kept in `folder`, trained first when the examples or the encoder changed."""
    told = json.dumps([_VERSION, encoder.name, background, examples], sort_keys=True)
    key = sha256(told.encode()).hexdigest()
    path = folder / "intents"
    heads = await asyncio.to_thread(load_heads, path, key)
    if heads is not None:
        return Classifier(encoder, heads)
    classifier = await train(examples, encoder, background=background)
    await asyncio.to_thread(save_heads, classifier.heads, path, key)
    return classifier
