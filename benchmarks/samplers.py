"""Distance against the number of network evaluations, for every sampler, from one trained model.

    python benchmarks/samplers.py CHECKOUT [--pictures 500] [--evaluations 4 10 20 50]

CHECKOUT is one in which `dvc repro` has run. Rows go to results/samplers.csv; results/samplers.png is drawn from the
same model's. Where there is guidance, half of the evaluations are the earlier network's.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from bench import RESULTS, Clock, Judge, draw, note, ready_to_draw
from matplotlib.ticker import NullLocator, ScalarFormatter

from omokage import model, provenance
from omokage.device import prepare

# Sampler, spacing and guidance.
WAYS = [
    ("ddpm", "trailing", 1),
    ("ddpm", "trailing", 2),
    ("ddpm-large", "trailing", 1),
    ("ddim", "trailing", 1),
    ("ddim", "trailing", 2),
    ("dpm-solver++", "trailing", 1),
    ("dpm-solver++", "log-snr", 1),
    ("heun", "trailing", 1),
]
GUIDE = 0.5


def main() -> None:
    """Draw, score and note, then draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--evaluations", type=int, nargs="+", default=[4, 10, 20, 50])
    parser.add_argument("--only", nargs="+", help="these samplers")
    chosen = parser.parse_args()
    device = prepare(threads=2)
    results, judge = chosen.checkout / "results", Judge(chosen.checkout / "data")
    network, spec = model.load(results / "model.safetensors", device)
    name = provenance.sha256(results / "model.safetensors")[:8]
    for evaluations in chosen.evaluations:
        for sampler, spacing, guidance in WAYS:
            if chosen.only and sampler not in chosen.only:
                continue
            ready = ready_to_draw(network, spec, results / "snapshots.safetensors", guidance, GUIDE)
            each, clock = evaluations // guidance, Clock()
            drawn = draw(ready, spec, sampler, spacing, each, chosen.pictures)
            row = {
                "model": name,
                "sampler": sampler,
                "spacing": spacing,
                "guidance": guidance,
                "evaluations": each * guidance,
            }
            note("samplers", {**row, "seconds": clock(), **judge(drawn)})
    figure(name)


def figure(name: str) -> None:
    """Draw the rows of one model in results/samplers.csv: one line a sampler, one panel for each number of pictures."""
    table = pd.read_csv(RESULTS / "samplers.csv", dtype={"model": str})
    table = table[table.model == name].copy()
    table["way"] = table.sampler + ", " + table.spacing.where(table.guidance == 1, "guided")
    sns.set_theme(style="whitegrid", palette="colorblind")
    counts = sorted(table.n.unique())
    drawing, panels = plt.subplots(
        1, len(counts), figsize=(1.8 + 4.6 * len(counts), 4), squeeze=False, layout="constrained"
    )
    for axes, n in zip(panels[0], counts, strict=True):
        some = table[table.n == n]
        sns.lineplot(some, x="evaluations", y="distance", hue="way", style="way", markers=True, ax=axes)
        axes.legend().remove()
        axes.set_xscale("log")
        axes.set_xticks(sorted(some.evaluations.unique()), minor=False)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.axhline(some.floor.iloc[0], color="0.6", linestyle=":")
        axes.set(title=f"n = {n}", xlabel="network evaluations a picture", ylabel="Fréchet distance")
    panels[0][-1].text(axes.get_xlim()[1], some.floor.iloc[0], " real faces", va="center", color="0.4")
    drawing.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    drawing.savefig(RESULTS / "samplers.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
