"""A study made by the pipeline's own commands: schedule x prediction x learning rate, on the avatars.

    dvc exp run --queue --name study -S schedule=cosine,sigmoid -S prediction=v,eps -S lr=1e-3,4e-3 \\
        -S steps=400 -S samples=200 -S progress_samples=0
    dvc queue start    # until `dvc queue status` says Success eight times
    dvc exp show --csv | PYTHONPATH=src .venv/bin/python benchmarks/study.py

Experiments live in the clone that made them; so the table is kept in results/study.csv, and drawn as results/study.png.
"""

import sys

import pandas as pd
from bench import RESULTS

from omokage.figures.style import plot

CHANGED = ["schedule", "prediction", "lr", "steps", "samples"]
SCORES = ["distance", "distance_low", "distance_high", "distance_floor", "kid", "precision", "recall", "train.seconds"]


def main() -> None:
    """Keep the table's experiments called `study`, with what was changed and the scores, and draw them."""
    # A metric's name has its file before it where a parameter has the same name.
    shown = pd.read_csv(sys.stdin).rename(columns=lambda name: name.removeprefix("results/metrics.json:"))
    table = shown[shown["Experiment"].str.startswith("study", na=False)][["Experiment", *CHANGED, *SCORES]]
    table = table.sort_values("distance").round(4)
    table.to_csv(RESULTS / "study.csv", index=False, lineterminator="\n")
    with plot("whitegrid", "colorblind", 110, (7.0, 3.6), columns=2, sharey=True) as drawing:
        for axes, (prediction, some) in zip(drawing.panels, table.groupby("prediction"), strict=True):
            for number, (schedule, rows) in enumerate(some.sort_values("lr").groupby("schedule")):
                spread = [rows["distance"] - rows["distance_low"], rows["distance_high"] - rows["distance"]]
                look = {"color": drawing.colours[number], "marker": "os"[number], "capsize": 4}
                axes.errorbar(rows["lr"], rows["distance"], yerr=spread, label=schedule, **look)
            axes.axhline(table["distance_floor"].iloc[0], color="0.5", linestyle=":")
            axes.set_xscale("log")
            axes.set_xticks(rates := sorted(set(table["lr"])), labels=[f"{rate:g}" for rate in rates], minor=False)
            axes.minorticks_off()
            axes.set_title(f"prediction {prediction}")
            axes.set_xlabel("lr")
        drawing.panels[0].set_ylabel("Fréchet distance (dotted: real faces)")
        drawing.panels[0].legend(title="schedule")
        drawing.image().quantize(64).save(RESULTS / "study.png", optimize=True)


if __name__ == "__main__":
    main()
