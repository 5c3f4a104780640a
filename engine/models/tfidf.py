"""TF-IDF over words and over pieces of words, in plain Python: the same in training and in use."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.models.minilm import Array

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Grams:
    """What a text consists of, and how often."""

    words: Counter[str]
    """Words and pairs of neighbours."""
    pieces: Counter[str]
    """2 to 5 characters that stay within a word, with the spaces around it."""


@dataclass(frozen=True)
class Row:
    """The features of one text that are not zero."""

    columns: NDArray[np.int32]
    values: Array


@dataclass(frozen=True)
class Tfidf:
    """Like scikit-learn with `sublinear_tf`; words and pieces are each scaled to length 1."""

    vocabulary: Mapping[str, int]
    idf: Array

    def __call__(self, grams: Grams) -> Row:
        """Grams that the vocabulary does not know are left out."""
        columns, values = [], []
        for counted in (grams.words, grams.pieces):
            known = {
                self.vocabulary[gram]: n for gram, n in counted.items() if gram in self.vocabulary
            }
            at = np.fromiter(known, np.int32, len(known))
            counts = np.fromiter(known.values(), np.float32, len(known))
            weights = (1 + np.log(counts)) * self.idf[at]
            columns.append(at)
            values.append(weights / (np.linalg.norm(weights) or 1))
        return Row(np.concatenate(columns), np.concatenate(values))


def fit_tfidf(texts: Sequence[Grams]) -> Tfidf:
    """Learn the vocabulary of `texts`, and how rare each of its grams is."""
    frequency: Counter[str] = Counter()
    for text in texts:
        frequency.update(text.words.keys())
        frequency.update(text.pieces.keys())
    vocabulary = {gram: column for column, gram in enumerate(sorted(frequency))}
    found = np.array([frequency[gram] for gram in vocabulary], np.float32)
    return Tfidf(vocabulary, np.log((1 + len(texts)) / (1 + found)) + 1)


def count_grams(text: str) -> Grams:
    """Of a text in any case. A tab marks words: no piece holds one."""
    words = [f"\t{word}" for word in _WORD.findall(text.lower())]
    pairs = [f"{first} {second}" for first, second in pairwise(words)]
    return Grams(Counter([*words, *pairs]), Counter(_pieces(text.lower())))


def _pieces(text: str) -> Iterator[str]:
    for word in text.split():
        padded = f" {word} "
        for size in range(2, 6):
            last = max(len(padded) - size, 0)
            for at in range(last + 1):
                yield padded[at : at + size]
            if last == 0:
                break
