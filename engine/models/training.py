"""Trains the heads of a classifier, and measures on held-out examples how far to trust them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.models.heads import Calibration, Evidence, Heads, nearness
from engine.models.minilm import Array
from engine.models.tfidf import Grams, Row, fit_tfidf

VECTOR_WEIGHT = 1.5  # of the sentence vector beside TF-IDF, whose rows have length 1.4
NEARNESS_WEIGHT = 2.0  # of the second head beside the first
RIDGE = 0.1
REFUSED = 0.03  # share of the examples themselves that may count as out of scope

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Texts, their vectors, and what they are."""

    texts: Sequence[Grams]
    vectors: Array
    labels: Labels
    """Index the intents; one more, the last, is the background."""

    def only(self, chosen: NDArray[np.bool_]) -> "Sample":
        """The chosen ones, in their order."""
        texts = [text for text, take in zip(self.texts, chosen, strict=True) if take]
        return Sample(texts, self.vectors[chosen], self.labels[chosen])


def fit_heads(intents: tuple[str, ...], sample: Sample, folds: int) -> Heads:
    """Train on all, calibrated by `folds` trainings that each leave a part out."""
    parts = _folds(sample.labels, folds)
    decisions = np.zeros((len(parts), len(intents)), np.float32)
    margin, closeness = np.zeros((2, len(parts)), np.float32)
    for part in range(folds):
        left = parts == part
        held = sample.only(left)
        judged = _fit(intents, sample.only(~left)).weigh(held.texts, held.vectors)
        decisions[left], margin[left], closeness[left] = (
            judged.decisions,
            judged.margin,
            judged.closeness,
        )
    inside = sample.labels < len(intents)
    evidence = Evidence(decisions[inside], margin[inside], closeness[inside])
    return _calibrated(_fit(intents, sample), evidence, sample.labels[inside])


def _folds(labels: Labels, folds: int) -> Labels:
    """A part for each example; every label is spread evenly over the parts."""
    parts = np.zeros(len(labels), np.int64)
    shuffled = np.random.default_rng(0)
    for label in np.unique(labels):
        members = shuffled.permutation(np.flatnonzero(labels == label))
        parts[members] = np.arange(len(members)) % folds
    return parts


def _fit(intents: tuple[str, ...], sample: Sample) -> Heads:
    tfidf = fit_tfidf(sample.texts)
    rows = [tfidf(text) for text in sample.texts]
    weights, bias = _fit_linear(rows, len(tfidf.idf), sample)
    outputs = np.unique(sample.labels)
    wanted = np.where(sample.labels[:, None] == outputs, 1, -1).astype(np.float32)
    kernel = nearness(sample.vectors @ sample.vectors.T)
    kernel[np.diag_indices_from(kernel)] += RIDGE
    return Heads(
        intents=intents,
        tfidf=tfidf,
        sparse=weights[: len(tfidf.idf)],
        dense=VECTOR_WEIGHT * weights[len(tfidf.idf) :],
        bias=bias,
        vectors=sample.vectors,
        pulls=NEARNESS_WEIGHT * np.linalg.solve(kernel, wanted),
        background=int(np.sum(sample.labels >= len(intents))),
    )


def _fit_linear(rows: Sequence[Row], features: int, sample: Sample) -> tuple[Array, Array]:
    """LinearSVC, one output against the rest: weights (features + dimensions, outputs), bias."""
    # A second to import, and most starts find trained heads.
    from scipy.sparse import csr_array, hstack  # noqa: PLC0415
    from sklearn.svm import LinearSVC  # noqa: PLC0415

    starts = np.cumsum([0, *(len(row.columns) for row in rows)], dtype=np.int32)
    sparse = csr_array(
        (
            np.concatenate([row.values for row in rows]),
            np.concatenate([row.columns for row in rows]),
            starts,
        ),
        shape=(len(rows), features),
    )
    x = hstack([sparse, VECTOR_WEIGHT * sample.vectors], format="csr")
    svc = LinearSVC(C=0.5, class_weight="balanced", tol=1e-3, random_state=0)
    svc.fit(x, sample.labels)
    weights, bias = svc.coef_.T.astype(np.float32), svc.intercept_.astype(np.float32)
    if weights.shape[1] == 1:  # of two classes it describes only the second
        weights, bias = np.hstack([-weights, weights]), np.hstack([-bias, bias])
    return np.ascontiguousarray(weights), bias


def _calibrated(heads: Heads, evidence: Evidence, labels: Labels) -> Heads:
    """By what heads trained on the other parts said of each example."""
    measured = Calibration(
        temperature=_temperature(evidence.decisions, labels),
        margin=(float(evidence.margin.mean()), float(evidence.margin.std()) or 1.0),
        closeness=(float(evidence.closeness.mean()), float(evidence.closeness.std()) or 1.0),
    )
    usual = replace(heads, calibration=measured).typicality(evidence)
    threshold = float(np.quantile(usual, REFUSED))
    return replace(heads, calibration=replace(measured, threshold=threshold))


def _temperature(decisions: Array, labels: Labels) -> float:
    """The one that makes the right labels likeliest (Guo et al. 2017).

    One wrong label more than there was is reckoned with, as Platt did: a few examples without an
    error prove no certainty.
    """
    intents = decisions.shape[1]
    doubt = 1 / (len(labels) + 2)
    wanted = np.full_like(decisions, doubt / (intents - 1))
    wanted[np.arange(len(labels)), labels] = 1 - doubt

    def loss(temperature: float) -> float:
        scaled = decisions / temperature
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        logs = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return -float((wanted * logs).sum())

    return float(min(np.geomspace(0.05, 5, 100), key=loss))
