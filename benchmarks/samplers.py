"""Measure the Fréchet distance against the number of network evaluations, for every sampler, from one trained model.

    PYTHONPATH=src .venv/bin/python benchmarks/samplers.py CHECKOUT [--samples 500] [--evaluations 4 6 10 20 40]

CHECKOUT is a checkout in which `dvc repro` has run. Its params.yaml sets the timestep spacing, and the autoguidance of
the guided rows. Rows go to results/samplers.csv; results/samplers.png plots those of the same model. An evaluation of
the guiding model counts as one of the network's, so a guided sampler takes fewer steps with as many evaluations.
"""

import argparse
import math
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from common import RESULTS, Stopwatch, append_row, generate_samples, load_denoiser, score_samples
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, ScalarFormatter

from omokage.base.files import hash_file
from omokage.compute.device import prepare_device
from omokage.config.params_file import check_params
from omokage.config.yaml_file import load_yaml
from omokage.diffusion.model import load_model
from omokage.diffusion.schedule import Schedule
from omokage.sampling.spacing import SPACINGS

# Sampler, and whether it is guided.
CONFIGS = [
    ("ddpm", False),
    ("ddpm", True),
    ("ddpm-large", False),
    ("ddim", False),
    ("ddim", True),
    ("dpm-solver++", False),
    ("dpm-solver++", True),
    ("heun", False),
]


def main() -> None:
    """Sample, score and append rows, then plot them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--samples", type=int, default=500, help="samples per row (default: %(default)s)")
    parser.add_argument("--evaluations", type=int, nargs="+", default=[4, 6, 10, 20, 40], help="NFE, at most")
    parser.add_argument("--only", nargs="+", help="measure these samplers only")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    args = parser.parse_args()
    device = prepare_device(args.threads)
    results = args.checkout / "results"
    p = check_params(load_yaml(args.checkout / "params.yaml"))
    spacing = p.timestep_spacing
    network, spec = load_model(results / "model.safetensors", device)
    model = hash_file(results / "model.safetensors")[:8]
    for evaluations in args.evaluations:
        for sampler, guided in CONFIGS:
            if args.only and sampler not in args.only:
                continue
            scale, min_log_snr = (p.guidance_scale, p.guidance_min_log_snr) if guided else (1.0, -math.inf)
            snapshots = results / "snapshots.safetensors"
            denoiser = load_denoiser(network, spec, snapshots, scale, p.guidance_snapshot, min_log_snr)
            steps = count_steps(denoiser.schedule, spacing, evaluations, min_log_snr) if guided else evaluations
            stopwatch = Stopwatch()
            samples = generate_samples(denoiser, spec, sampler, spacing, steps, args.samples)
            row = {
                "model": model,
                "sampler": sampler,
                "spacing": spacing,
                "guidance": scale,
                "guidance_min_log_snr": min_log_snr if guided else "",
                "sample_steps": steps,
                "evaluations": evaluations,
                "seconds": stopwatch.seconds(),
                **score_samples(samples, args.checkout / "data"),
            }
            append_row("samplers", row)
    plot(model)


def count_steps(schedule: Schedule, spacing: str, evaluations: int, min_log_snr: float) -> int:
    """Return the most steps with at most `evaluations`: two for each step at a log-SNR of at least `min_log_snr`."""

    def count_evaluations(steps: int) -> int:
        return steps + sum(float(schedule.log_snr[t]) >= min_log_snr for t in SPACINGS[spacing](schedule, steps))

    return max(steps for steps in range(1, evaluations + 1) if count_evaluations(steps) <= evaluations)


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
