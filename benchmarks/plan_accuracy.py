"""Compare the times that `omokage plan` predicts with the times that the stages then take.

python benchmarks/plan_accuracy.py [CHANGE ...]

runs the pipeline in a clone with small parameters, then once for each CHANGE, such as "steps=400" or
"image_size=64 attention_resolutions=[8]". Before each run, the time of every stage that will run is predicted from the
runs before. Appends a row per stage and change to benchmarks/results/plan_accuracy.csv. The clone is kept below
.dvc/tmp/benchmarks, but starts without recorded times.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import ROOT, WORK, append_row, load_preset, parse_changes

from omokage.config.params_file import render_params
from omokage.pipeline.durations import read_records
from omokage.pipeline.plan import plan_steps
from omokage.pipeline.workflow import THREADS

BASE: dict[str, Any] = {
    "avatar_count": 1000,
    "steps": 150,
    "samples": 128,
    "progress_samples": 32,
    "reference_faces": 128,
    "transform_steps": 20,
}
CHANGES = (
    "steps=600",
    "batch_size=128",
    "batch_size=16 steps=300",
    "samples=500",
    "sample_steps=40",
    "sampler=heun guidance_scale=1.0",
    "sampler_study=['ddim:20','dpm-solver++:10']",
    "transform_steps=60",
    "reference_faces=300",
    "avatar_count=3000",
    "image_size=64 attention_resolutions=[8]",
    "image_size=64 attention_resolutions=[8] steps=300 batch_size=32 samples=256",
)
SHORTEST = 1.0  # seconds; shorter stages are not compared


def main(changes: tuple[str, ...]) -> None:
    """Run the pipeline with each change, and append the predicted and the measured times."""
    clone = WORK / "plan_accuracy"
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    subprocess.run(
        [sys.executable, "-m", "dvc", "config", "--local", "remote.checkout.url", "."], cwd=clone, check=True
    )
    run_pipeline(clone, load_preset("laptop-32", BASE).values())
    for change in changes:
        values = load_preset("laptop-32", BASE | parse_changes(change.split())).values()
        predicted = {step.stage: step.seconds for step in plan_steps(clone, values)}
        measured = run_pipeline(clone, values)
        for stage, seconds in measured.items():
            if seconds >= SHORTEST:
                guess = predicted.get(stage)
                ratio = round(guess / seconds, 2) if guess else ""
                row = {"change": change, "stage": stage, "predicted_s": round(guess, 1) if guess else "unknown"}
                append_row("plan_accuracy", {**row, "measured_s": round(seconds, 1), "ratio": ratio})
                print(f"{change:60} {stage:10} {row['predicted_s']:>8} {seconds:8.1f} {ratio}", flush=True)


def run_pipeline(clone: Path, values: Mapping[str, Any]) -> dict[str, float]:
    """Run what is out of date in the clone, and return the seconds of each stage that ran."""
    (clone / "params.yaml").write_text(render_params(values), encoding="utf-8")
    before = len(read_records(clone))
    subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--quiet"],
        cwd=clone,
        check=True,
        env={**os.environ, "OMOKAGE_PYTHON": sys.executable, "OMOKAGE_THREADS": str(THREADS)},
    )
    return {record["stage"]: record["seconds"] for record in read_records(clone)[before:]}


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or CHANGES)
