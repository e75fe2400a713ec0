"""Measure the Fréchet distance against the number of network evaluations, for every sampler, from one trained model.

    PYTHONPATH=src .venv/bin/python benchmarks/samplers.py CHECKOUT [--samples 500] [--evaluations 4 10 20 50]

CHECKOUT is a checkout in which `dvc repro` has run. Rows go to results/samplers.csv; results/samplers.png plots those
of the same model. With autoguidance, half of the evaluations are those of the guiding model.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from common import RESULTS, Stopwatch, append_row, generate_samples, load_denoiser, score_samples
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, ScalarFormatter

from omokage.base.files import hash_file
from omokage.compute.device import prepare_device
from omokage.diffusion.model import load_model

# Sampler, timestep spacing and guidance scale.
CONFIGS = [
    ("ddpm", "trailing", 1),
    ("ddpm", "trailing", 2),
    ("ddpm-large", "trailing", 1),
    ("ddim", "trailing", 1),
    ("ddim", "trailing", 2),
    ("dpm-solver++", "trailing", 1),
    ("dpm-solver++", "log-snr", 1),
    ("heun", "trailing", 1),
]
GUIDANCE_SNAPSHOT = 0.5


def main() -> None:
    """Sample, score and append rows, then plot them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--samples", type=int, default=500, help="samples per row (default: %(default)s)")
    parser.add_argument("--evaluations", type=int, nargs="+", default=[4, 10, 20, 50], help="NFE")
    parser.add_argument("--only", nargs="+", help="measure these samplers only")
    args = parser.parse_args()
    device = prepare_device(threads=2)
    results = args.checkout / "results"
    network, spec = load_model(results / "model.safetensors", device)
    model = hash_file(results / "model.safetensors")[:8]
    for evaluations in args.evaluations:
        for sampler, spacing, scale in CONFIGS:
            if args.only and sampler not in args.only:
                continue
            denoiser = load_denoiser(network, spec, results / "snapshots.safetensors", scale, GUIDANCE_SNAPSHOT)
            steps, stopwatch = evaluations // scale, Stopwatch()
            samples = generate_samples(denoiser, spec, sampler, spacing, steps, args.samples)
            row = {
                "model": model,
                "sampler": sampler,
                "spacing": spacing,
                "guidance": scale,
                "evaluations": steps * scale,
                "seconds": stopwatch.seconds(),
                **score_samples(samples, args.checkout / "data"),
            }
            append_row("samplers", row)
    plot(model)


def plot(model: str) -> None:
    """Plot the rows of one model in results/samplers.csv: a panel per number of samples, a line per sampler."""
    table = pd.read_csv(RESULTS / "samplers.csv", dtype={"model": str})
    table = table[table.model == model].copy()
    table["label"] = table.sampler + ", " + table.spacing.where(table.guidance == 1, "guided")
    sns.set_theme(style="whitegrid", palette="colorblind")
    counts = sorted(table.n.unique())
    size = (1.8 + 4.6 * len(counts), 4)
    figure, panels = plt.subplots(1, len(counts), figsize=size, squeeze=False, layout="constrained")
    for axes, n in zip(panels[0], counts, strict=True):
        plot_panel(axes, table[table.n == n])
        axes.set_title(f"n = {n}")
    floor = table[table.n == counts[-1]].floor.iloc[0]
    panels[0][-1].text(axes.get_xlim()[1], floor, " real-vs-real", va="center", color="0.4")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    figure.savefig(RESULTS / "samplers.png", dpi=110, metadata={"Software": None})


def plot_panel(axes: Axes, table: pd.DataFrame) -> None:
    """Plot distance against NFE, one line for each label, and the floor as a dotted line."""
    sns.lineplot(table, x="evaluations", y="distance", hue="label", style="label", markers=True, ax=axes)
    axes.legend().remove()
    axes.set_xscale("log")
    axes.set_xticks(sorted(table.evaluations.unique()), minor=False)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axhline(table.floor.iloc[0], color="0.6", linestyle=":")
    axes.set(xlabel="network evaluations per image (NFE)", ylabel="Fréchet distance")


if __name__ == "__main__":
    main()
