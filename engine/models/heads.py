"""The trained part of the classifier: plain numbers, and how they judge a text.

Two heads are added: a linear one over TF-IDF and the sentence vector (trained as LinearSVC), and
least squares over the nearness to every example, which is better when there are few. What
resembles no example, or resembles the background more, is out of scope.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from engine.models.minilm import Array
from engine.models.tfidf import Grams, Tfidf

NEIGHBOURS = 5
_ARRAYS = ("sparse", "dense", "bias", "vectors", "pulls")


@dataclass(frozen=True)
class Calibration:
    """Measured on held-out examples."""

    temperature: float = 1.0
    """Divides decisions before softmax."""
    margin: tuple[float, float] = (0.0, 1.0)
    """Mean and standard deviation of what belongs to an intent; `closeness` likewise."""
    closeness: tuple[float, float] = (0.0, 1.0)
    threshold: float = 0.0
    """Texts that are less typical are out of scope."""


@dataclass(frozen=True)
class Evidence:
    """What the heads say of some texts."""

    decisions: Array
    """(texts, intents): the higher, the likelier."""
    margin: Array
    """(texts,): the best decision, less that for the background."""
    closeness: Array
    """(texts,): mean cosine to the 5 nearest examples, less that to the nearest background."""


@dataclass(frozen=True)
class Heads:
    """The trained numbers. With a background, it is the last output and the last examples."""

    intents: tuple[str, ...]
    tfidf: Tfidf
    sparse: Array
    """(features, outputs)"""
    dense: Array
    """(dimensions, outputs)"""
    bias: Array
    vectors: Array
    """(examples, dimensions)"""
    pulls: Array
    """(examples, outputs): how much nearness to an example speaks for an output."""
    background: int
    """How many of the examples are background."""
    calibration: Calibration = field(default_factory=Calibration)

    def weigh(self, texts: Sequence[Grams], vectors: Array) -> Evidence:
        """Judge texts; `vectors` (texts, dimensions) are theirs."""
        cosines = vectors @ self.vectors.T
        outputs = vectors @ self.dense + self.bias
        outputs += nearness(cosines) @ self.pulls
        for n, row in enumerate(map(self.tfidf, texts)):
            outputs[n] += row.values @ self.sparse[row.columns]
        inside = len(self.vectors) - self.background
        decisions = outputs[:, : len(self.intents)]
        margin, closeness = decisions.max(axis=1), _nearest(cosines[:, :inside])
        if self.background:
            margin = margin - outputs[:, -1]
            closeness = closeness - _nearest(cosines[:, inside:])
        return Evidence(decisions, margin, closeness)

    def probabilities(self, evidence: Evidence) -> Array:
        """(texts, intents), each row summing to 1."""
        scaled = evidence.decisions / np.float32(self.calibration.temperature)
        weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        likely: Array = weights / weights.sum(axis=1, keepdims=True)
        return likely

    def strangeness(self, evidence: Evidence) -> Array:
        """(texts,) from 0 to 1: margin and closeness in standard deviations, summed."""
        strange: Array = 1 / (1 + np.exp(self.typicality(evidence) - self.calibration.threshold))
        return strange

    def typicality(self, evidence: Evidence) -> Array:
        """(texts,): 0 for an average example of the intents, negative for what is less like one."""
        (mean, deviation), (mean2, deviation2) = self.calibration.margin, self.calibration.closeness
        typical: Array = (evidence.margin - mean) / deviation + (
            evidence.closeness - mean2
        ) / deviation2
        return typical


def save_heads(heads: Heads, path: Path, key: str = "") -> None:
    """Write `path`.npz and `path`.json: numbers and names, nothing that runs when it is read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {
        "key": key,
        "intents": heads.intents,
        "background": heads.background,
        "calibration": asdict(heads.calibration),
        "vocabulary": list(heads.tfidf.vocabulary),
    }
    with TemporaryDirectory(dir=path.parent) as scratch:
        written = Path(scratch) / path.name
        arrays = {name: getattr(heads, name) for name in _ARRAYS}
        np.savez(written.with_suffix(".npz"), key=key, idf=heads.tfidf.idf, **arrays)
        written.with_suffix(".json").write_text(json.dumps(names), encoding="utf-8")
        for suffix in (".npz", ".json"):
            written.with_suffix(suffix).replace(path.with_suffix(suffix))


def load_heads(path: Path, key: str = "") -> Heads | None:
    """What `save_heads` wrote, or None when it is not there or was written with another key."""
    if not (path.with_suffix(".npz").is_file() and path.with_suffix(".json").is_file()):
        return None
    names = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
        if names["key"] != key or str(stored["key"]) != key:
            return None
        vocabulary = {gram: column for column, gram in enumerate(names["vocabulary"])}
        return Heads(
            intents=tuple(names["intents"]),
            tfidf=Tfidf(vocabulary, stored["idf"]),
            background=names["background"],
            calibration=Calibration(**names["calibration"]),
            **{name: stored[name] for name in _ARRAYS},
        )


def nearness(cosines: Array) -> Array:
    """A Gaussian kernel of the distance between vectors of length 1."""
    near: Array = cosines - 1
    near *= 2
    return np.exp(near, out=near)


def _nearest(cosines: Array) -> Array:
    """Mean of the 5 largest of each row."""
    k = min(NEIGHBOURS, cosines.shape[1])
    mean: Array = np.partition(cosines, -k, axis=1)[:, -k:].mean(axis=1)
    return mean
