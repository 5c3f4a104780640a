"""Intents and what is none of them on CLINC150: `python -m bench.clinc150`.

With FRONTDESK_EVAL_DATA set: trains the local classifier on the training part, 150 intents in ten
domains, and measures on the validation part: 3,000 texts in scope, 100 out of scope. Its
out-of-scope examples for training are not used: a desk cannot list all that it does not do.
Exits with 1 below the limit. About four minutes and 5 GB of memory.
"""

import asyncio
import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.metrics import roc_auc_score

from engine.models.classifier import train
from engine.models.encoder import open_encoder
from engine.settings import Settings

LIMIT = 0.96


async def main() -> int:
    if not (data := os.environ.get("FRONTDESK_EVAL_DATA")):
        print("bench.clinc150 skipped: FRONTDESK_EVAL_DATA is not set")
        return 0
    path = Path(data) / "clinc150" / "data_full_train_val.json"
    parts = json.loads(path.read_text(encoding="utf-8"))
    examples = defaultdict(list)
    for text, label in parts["train"]:
        examples[label].append(text)
    settings = Settings(_env_file=None)
    encoder = await open_encoder(settings.embedding_model, settings)
    started = perf_counter()
    classifier = await train(examples, encoder, folds=2)
    seconds = perf_counter() - started
    texts = [text for text, _ in parts["val"] + parts["oos_val"]]
    found = await asyncio.gather(*(classifier.classify(text) for text in texts))
    inside = len(parts["val"])
    right = [one.intent == label for one, (_, label) in zip(found, parts["val"], strict=False)]
    outside = np.arange(len(texts)) >= inside
    figure = float(roc_auc_score(outside, [one.strangeness for one in found]))
    line = {
        "bench": "clinc150",
        "out_of_scope_auroc": round(figure, 4),
        "limit": LIMIT,
        "in_scope_accuracy": round(float(np.mean(right)), 4),
        "in_scope_refused": round(float(np.mean([one.out_of_scope for one in found[:inside]])), 4),
        "out_of_scope_recall": round(
            float(np.mean([one.out_of_scope for one in found[inside:]])), 4
        ),
        "encoder": encoder.name,
        "train_seconds": round(seconds, 1),
        "command": "python -m bench.clinc150",
    }
    print(json.dumps(line))
    return int(figure < LIMIT)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
