"""Example runs that the report assesses, and inputs for the stage `report`, without running a stage."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from omokage.base.job import Job
from omokage.config.parameters import DESCRIPTIONS
from omokage.evaluation.scores.copies import SEARCHES
from omokage.params.report import Params
from omokage.pipeline import graph
from omokage.report.run import TRIALS, Duration, LossRow, NoiseLevel, Run
from omokage.stamps.records import read_record
from omokage.stamps.timings import PATH as TIMINGS
from omokage.stamps.timings import identify_run
from support.clone import ROOT
from support.fixtures import UPSTREAM_STAGES, StageExample, hash_text, write_stage_record

UNTRUSTED_TEXT = "<script>alert(1)</script> | *A* & [B]"
EXAMPLE_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 60"><path d="M5 55 85 5" stroke="#0173b2"/></svg>'
)
IDENTICAL_STYLE = {"red": 0.5, "green": 0.0, "blue": -0.5, "contrast": 1.0, "saturation": 1.0, "sharpness": 1.0}
# The scores of samples that do not repeat each other. Of the real faces, 1 % are nearly identical by definition.
VARIED = {
    **{"distinct": 5000, "identical": 0.0, "identical_floor": 0.0, "near_identical": 0.012},
    **{"near_identical_floor": 0.01, "uniform": 0.0, "uniform_floor": 0.0, "colour_variety": 1.0},
}
NO_COPIES = dict.fromkeys(SEARCHES, 0.0)
GOOD_RUN = Run(
    losses=[LossRow(100 * row, 0.1 + 0.9 / row**2) for row in range(1, 41)],
    levels=[NoiseLevel(5.0, 0.30, 0.306), NoiseLevel(0.0, 0.10, 0.101), NoiseLevel(-5.0, 0.20, 0.203)],
    metrics={
        "score": "Fréchet distance",
        "extractor": "efficientnet-lite0",
        "resize": "clean, bicubic, 224",
        "seed": 0,
        "n": 5000,
        "n_reference": 5000,
        **{"distance": 4.0, "distance_low": 3.8, "distance_high": 4.2, "distance_floor": 3.6},
        **{"kid": 0.001, "kid_low": 0.0, "kid_high": 0.002, "kid_floor": 0.002},
        **{"precision": 0.85, "precision_floor": 0.9, "recall": 0.85, "recall_floor": 0.9},
        **{"density": 0.9, "density_floor": 1.0, "coverage": 0.9, "coverage_floor": 0.95},
        **VARIED,
        **{"feature_variance": 21.0, "face_rate": 0.93, "face_rate_floor": 0.95},
        **{"copied": 0.0, "copied_floor": 0.0, "close": 0.01, "copy_ratio": 0.8, "copy_ratio_floor": 0.79},
        **{"copies": NO_COPIES, "copies_floor": NO_COPIES, "close_floor": 0.01, "searches": SEARCHES},
        "searched": {"train": 45_000, "held_out": 5000, "feature_train": 500, "feature_held_out": 500},
        "style": IDENTICAL_STYLE,
        "style_floor": IDENTICAL_STYLE,
    },
    faces={
        "files": 50_003,
        "left_out": 3,
        "pictures": 50_000,
        "pictures_kept": 50_000,
        "pictures_repeated": 0,
        "pictures_dropped": 0,
        "kept": 50_000,
        "train": 45_000,
        "held_out": 5000,
        "dropped": {},
        "detected": 0,
        "whole": 50_000,
    },
    progress=[],
    study=[],
    batch_size=64,
    prediction="v",
    duration=Duration("cpu (AVX512)", training=320.8, total=7500.0),
)


def with_metrics(run: Run = GOOD_RUN, **metrics: Any) -> Run:
    """Return a copy of a run with some of its metrics replaced."""
    return replace(run, metrics={**run.metrics, **metrics})


def with_progress(*distances: float) -> Run:
    """Return the good run with a progress table of one row per thousand steps."""
    rows = [
        {"step": str(1000 * number), "pictures": "9", "distance": str(distance), "kid": "0.1", "n": "64"}
        for number, distance in enumerate(distances, 1)
    ]
    return replace(GOOD_RUN, progress=rows)


TINY_RUN = replace(with_metrics(distance=9.0, n=16, n_reference=16, kid_floor=-0.001), losses=[LossRow(2, 1.0)])


def make_denoising_frames(images: int, frames: int, side: int = 16) -> dict[str, Any]:
    """Return the arrays of sampling/frames.stack_frames: noise that fades to one colour for each image."""
    noise = np.random.default_rng(0).integers(0, 256, (frames, images, 3, side, side))
    clean = 200 - 20 * np.arange(images)[:, None, None, None] + np.zeros_like(noise)
    strength = np.linspace(1, 0, frames)[:, None, None, None, None]
    x_t = (strength * noise + (1 - strength) * clean).astype(np.uint8)
    log_snr = np.linspace(-6, 6, frames, dtype=np.float32)
    log_snr[-1] = np.inf
    return {"t": np.arange(-1, frames - 1)[::-1].copy(), "log_snr": log_snr, "x_t": x_t, "x0": clean.astype(np.uint8)}


def write_report_inputs(root: Path, title: str = f"Title {UNTRUSTED_TEXT}", run: Run = TINY_RUN) -> Job[Params]:
    """Write the inputs of the stage `report`, with the run records of the stages upstream, and return its job."""
    stage = graph.read_stages(ROOT)["report"]
    for folder in ("data", "results/runs", "results/figures"):
        (root / folder).mkdir(parents=True)
    (root / "data/manifest.json").write_text(json.dumps(_make_manifest()))
    _write_tables(root / "results", run)
    save_file(make_denoising_frames(3, 5), root / "results/frames.safetensors")
    figures = tuple(path for path in stage.data if path.startswith("results/figures/"))
    for number, path in enumerate(figures):
        _write_figure(root / path, number)
    (root / TRIALS).parent.mkdir(parents=True)
    (root / TRIALS).write_bytes((ROOT / TRIALS).read_bytes())
    examples = {name: _complete(name, example) for name, example in UPSTREAM_STAGES.items()}
    examples["train"] = replace(examples["train"], params={**examples["train"].params, "batch_size": 4})
    upstream_outs = tuple(path for example in examples.values() for path in example.outs)
    examples["figures"] = StageExample({"grid_side": 2}, deps=upstream_outs, outs=figures)
    for name, example in examples.items():
        write_stage_record(root, name, example, {}, {})
    train_record = read_record(root / "results/runs/train.json")
    (root / TIMINGS).write_text(json.dumps({"train": {"another run": 9.0, identify_run(train_record): 320.8}}))
    inputs = [path for path in stage.data if (root / path).exists()]
    return Job(
        params=Params(report_title=title),
        inputs={path: root / path for path in inputs},
        outputs={path: root / path for path in ("results/report.html", "results/report.md")},
        work=root / "work",
        threads=1,
        deps={path: hash_text(path) for path in inputs},
        code={"src/omokage/stages/report.py": hash_text("report")},
        packages={"jinja2": "3"},
    )


def _complete(name: str, example: StageExample) -> StageExample:
    """Return a stage's example with the defaults of the parameters that it lacks."""
    defaults = {key: DESCRIPTIONS[key].default for key in graph.read_stages(ROOT)[name].params or ()}
    return replace(example, params={**defaults, **example.params})


def _make_manifest() -> dict[str, Any]:
    licence = {
        "title": UNTRUSTED_TEXT,
        "author": UNTRUSTED_TEXT,
        "url": "javascript:alert(1)",
        "licence": "CC0",
        "licence_url": "https://a.org/(x)",
    }
    return {
        "source": "folder",
        "name": UNTRUSTED_TEXT,
        "version": "1",
        "licences": [licence],
        "count": 20,
        "pictures": [],
    }


def _write_tables(folder: Path, run: Run) -> None:
    faces = {**run.faces, "dropped": {UNTRUSTED_TEXT: 2, "duplicate": 11, "blurred": 9}}
    (folder / "curation.json").write_text(json.dumps(faces))
    (folder / "scores.json").write_text(json.dumps(run.metrics))
    _write_csv(folder / "loss.csv", [{"step": row.step, "loss": row.loss} for row in run.losses])
    half_size = [f"{row.step},{row.loss}" for row in run.half_size_losses]
    (folder / "half_size_loss.csv").write_text("\n".join(["step,loss", *half_size, ""]))
    levels = [{"log_snr": row.log_snr, "train": row.train, "held_out": row.held_out} for row in run.levels]
    _write_csv(folder / "noise_levels.csv", levels)
    _write_csv(folder / "progress.csv", run.progress or [{"step": "5", "distance": 9.5, "kid": 0.1, "n": 4}])
    (folder / "study.csv").write_text("weights,sampler,evaluations,distance,kid,n\n")


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows), ""]
    path.write_text("\n".join(lines))


def _write_figure(path: Path, number: int) -> None:
    """Write an SVG, or noise whose contrast depends on the number of the figure."""
    if path.suffix == ".svg":
        path.write_text(EXAMPLE_SVG)
        return
    noise = np.random.default_rng(number).normal(128, 9 * number, (60, 90)).clip(0, 255)
    Image.fromarray(noise.astype(np.uint8)).convert("P").save(path)
