"""Collect and plot a study of schedule, prediction and learning rate on the avatars, made with `dvc exp run`.

    dvc exp run --queue --name study -S schedule=cosine,sigmoid,linear -S prediction=v,eps,x0 -S lr=4e-3,1e-3 \\
        -S batch_size=32 -S steps=400 -S samples=200 -S progress_samples=0 evaluate
    dvc queue start    # until `dvc queue status` says Success for each
    dvc exp show --csv | PYTHONPATH=src .venv/bin/python benchmarks/hyperparameter_study.py

With `-S seed=1,2` as well, the same command repeats runs with other seeds. Experiments exist only in the clone that ran
them, so the table is saved as results/study.csv, with a plot in results/study.png.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

import pandas as pd
from common import RESULTS
from matplotlib.axes import Axes

from omokage.figures.style import open_figure

PARAMETERS = ["schedule", "prediction", "lr", "seed", "steps", "samples"]
# What all runs have in common. The report says so.
CONDITIONS = ["source", "image_size", "optimiser", "batch_size"]
SCORES = ["distance", "distance_low", "distance_high", "distance_floor", "kid", "precision", "recall"]


def main() -> None:
    """Write the table of the experiments whose name begins with `study`, and plot it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    experiments = pd.read_csv(sys.stdin)
    study = experiments[experiments["Experiment"].str.startswith("study", na=False)]
    results = pd.DataFrame([read_results(revision) for revision in study["rev"]], index=study.index)
    table = study[["Experiment", *PARAMETERS, *CONDITIONS]].join(results).sort_values("distance").round(4)
    table.to_csv(RESULTS / "study.csv", index=False, lineterminator="\n")
    plot(table)


def read_results(revision: str) -> dict[str, float]:
    """Return the scores of an experiment, and the seconds of its training."""

    def read(path: str) -> Any:
        shown = subprocess.run(["git", "show", f"{revision}:{path}"], capture_output=True, check=True)
        return json.loads(shown.stdout)

    scores, seconds = read("results/scores.json"), read("results/timings.json")["train"].values()
    return {key: scores[key] for key in SCORES} | {"train.seconds": [*seconds][-1]}


def plot(table: pd.DataFrame) -> None:
    """Plot distance against learning rate, a panel for each prediction and a line for each schedule.

    A line connects the means over the seeds. Each run is a marker.
    """
    predictions = sorted(set(table["prediction"]))
    with open_figure("whitegrid", "colorblind", 110, (9.0, 3.6), columns=len(predictions), sharey=True) as figure:
        for axes, prediction in zip(figure.panels, predictions, strict=True):
            rows = table[table["prediction"] == prediction]
            for number, (schedule, runs) in enumerate(rows.groupby("schedule")):
                colour, means = figure.colours[number], runs.groupby("lr")["distance"].mean()
                axes.plot(means.index, means, color=colour)
                axes.scatter(runs["lr"], runs["distance"], s=16, color=colour, marker="os^"[number], label=schedule)
            axes.axhline(table["distance_floor"].iloc[0], color="0.5", linestyle=":")
            axes.set_title(f"prediction {prediction}")
            set_rate_axis(axes, sorted(set(table["lr"])))
        figure.panels[0].set_ylabel("Fréchet distance (dotted: floor)")
        figure.panels[0].legend(title="schedule")
        figure.render_image().quantize(64).save(RESULTS / "study.png", optimize=True)


def set_rate_axis(axes: Axes, rates: list[float]) -> None:
    """Give the horizontal axis a logarithmic scale with a tick for each learning rate."""
    axes.set_xscale("log")
    axes.set_xticks(rates, labels=[f"{rate:g}" for rate in rates], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("lr")


if __name__ == "__main__":
    main()
