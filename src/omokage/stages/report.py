"""Say in words and pictures how the run went."""

import csv
import json
from pathlib import Path
from typing import Any

from omokage import provenance
from omokage.job import Job
from omokage.params.report import Params
from omokage.report.page import Page, Picture
from omokage.report.verdict import Level, Loss, Run

STAGES = ("download", "detect", "faces", "weights", "reference", "train", "sample", "evaluate", "figures")
FIGURES = {
    "samples": "samples.png",
    "loss": "loss.png",
    "noise_levels": "noise_levels.png",
    "scores": "scores.png",
    "animation": "denoising.gif",
    "denoising": "denoising.png",
    "schedule": "schedule.png",
    "noising": "noising.png",
    "contact": "contact.png",
    "data_card": "data_card.png",
}


def run(job: Job[Params]) -> None:
    """Write the report as HTML and as Markdown, from the run's tables, records and figures."""
    records = {stage: provenance.record(job.input(f"results/runs/{stage}.json")) for stage in STAGES}
    training, colours = records["train"]["params"], records["figures"]["facts"]["colours"]
    judged = Run(
        losses=[Loss(int(row["step"]), float(row["loss"])) for row in _rows(job.input("results/loss.csv"))],
        levels=[
            Level(float(row["log_snr"]), float(row["train"]), float(row["held_out"]))
            for row in _rows(job.input("results/noise_levels.csv"))
        ],
        metrics=_json(job.input("results/metrics.json")),
        faces=_json(job.input("results/faces.json"))["faces"],
        batch_size=training["batch_size"],
        prediction=training["prediction"],
        samples_colour=colours["samples"],
        held_out_colour=colours["held_out"],
    )
    stamp = {
        "report": "results/report",
        "params": job.params.values(),
        "deps": dict(job.deps),
        "code": dict(job.code),
        "packages": dict(job.packages),
        "runs": provenance.chain(job.deps, list(records.values())),
    }
    page = Page(
        title=job.params.report_title,
        run=judged,
        pictures={
            name: Picture.load(name, job.input(f"results/figures/{file}"), Path(file).suffix)
            for name, file in FIGURES.items()
        },
        records=list(records.values()),
        own_params=job.params.values(),
        manifest=_json(job.input("data/manifest.json")),
        stamp=provenance.text(stamp),
    )
    job.output("results/report.html").write_text(page.html(), encoding="utf-8")
    job.output("results/report.md").write_text(page.markdown(), encoding="utf-8")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
