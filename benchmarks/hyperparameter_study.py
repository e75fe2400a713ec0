"""Collect a study of schedule, prediction and learning rate on the avatars, made with `dvc exp run`.

    omokage presets use laptop-32
    dvc exp run --queue --name study -S schedule=cosine,sigmoid,linear -S prediction=v,eps,x0 -S lr=4e-3,1e-3 \\
        -S batch_size=32 -S steps=400 -S samples=200 -S progress_samples=0 evaluate
    dvc queue start    # until `dvc queue status` says Success for each
    dvc exp show --csv | PYTHONPATH=src .venv/bin/python benchmarks/hyperparameter_study.py

With `-S seed=1,2` as well, the same command repeats runs with other seeds. Experiments exist only in the clone that ran
them, so the table is saved as results/study.csv. The pipeline's stage `figures` plots it for the report.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

import pandas as pd
from common import RESULTS

PARAMETERS = ["schedule", "prediction", "lr", "seed", "steps", "samples"]
# What all runs have in common. The report says so.
CONDITIONS = ["source", "image_size", "optimiser", "batch_size"]
SCORES = ["distance", "distance_low", "distance_high", "distance_floor", "kid", "precision", "recall"]


def main() -> None:
    """Write the table of the experiments whose name begins with `study`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    experiments = pd.read_csv(sys.stdin)
    study = experiments[experiments["Experiment"].str.startswith("study", na=False)]
    results = pd.DataFrame([read_results(revision) for revision in study["rev"]], index=study.index)
    table = study[["Experiment", *PARAMETERS, *CONDITIONS]].join(results).sort_values("distance").round(4)
    table.to_csv(RESULTS / "study.csv", index=False, lineterminator="\n")


def read_results(revision: str) -> dict[str, float]:
    """Return the scores of an experiment, and the seconds of its training."""

    def read(path: str) -> Any:
        shown = subprocess.run(["git", "show", f"{revision}:{path}"], capture_output=True, check=True)
        return json.loads(shown.stdout)

    scores, seconds = read("results/scores.json"), read("results/timings.json")["train"].values()
    return {key: scores[key] for key in SCORES} | {"train.seconds": [*seconds][-1]}


if __name__ == "__main__":
    main()
