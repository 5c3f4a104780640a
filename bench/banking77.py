"""Intents on BANKING77: `python -m bench.banking77` with FRONTDESK_EVAL_DATA set.

Trains the local classifier on four fifths of the training part, 77 close intents, and measures on
the fifth that is held back. Nothing was chosen by looking at that fifth. Exits with 1 below the
limit. About two minutes.
"""

import asyncio
import csv
import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.model_selection import train_test_split

from engine.models.classifier import Prediction, train
from engine.models.encoder import open_encoder
from engine.settings import Settings

LIMIT = 0.93
SEED = 77


async def main() -> int:
    if not (data := os.environ.get("FRONTDESK_EVAL_DATA")):
        print("bench.banking77 skipped: FRONTDESK_EVAL_DATA is not set")
        return 0
    texts, labels = read(Path(data) / "banking77" / "train.csv")
    kept, held, kept_labels, held_labels = train_test_split(
        texts, labels, test_size=0.2, random_state=SEED, stratify=labels
    )
    examples = defaultdict(list)
    for text, label in zip(kept, kept_labels, strict=True):
        examples[label].append(text)
    settings = Settings(_env_file=None)
    encoder = await open_encoder(settings.embedding_model, settings)
    started = perf_counter()
    classifier = await train(examples, encoder, folds=2)
    seconds = perf_counter() - started
    found = await asyncio.gather(*(classifier.classify(text) for text in held))
    right = np.array([one.intent for one in found]) == np.array(held_labels)
    figure = float(right.mean())
    line = {
        "bench": "banking77",
        "accuracy": round(figure, 4),
        "limit": LIMIT,
        "calibration_error": round(calibration_error(found, right), 4),
        "trained_on": len(kept),
        "measured_on": len(held),
        "encoder": encoder.name,
        "train_seconds": round(seconds, 1),
        "command": "python -m bench.banking77",
    }
    print(json.dumps(line))
    return int(figure < LIMIT)


def read(path: Path) -> tuple[list[str], list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def calibration_error(found: list[Prediction], right: np.ndarray) -> float:
    """Mean gap between confidence and accuracy in ten bins (ECE, Guo et al. 2017)."""
    confidence = np.array([one.confidence for one in found])
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [
        abs(right[bins == n].mean() - confidence[bins == n].mean()) * (bins == n).mean()
        for n in np.unique(bins)
    ]
    return float(sum(gaps))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
