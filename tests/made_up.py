"""Runs that never were: what figures and reports are made of, small, with records of the stages before them."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conftest import ROOT
from PIL import Image
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from omokage import pipeline
from omokage.data import shards, text
from omokage.job import Job
from omokage.params import figures as figures_params
from omokage.params import report as report_params
from omokage.report.run import Level, Loss, Run
from omokage.stages import figures

# Parameters, inputs, outputs and facts of a stage.
Upstream = tuple[dict[str, Any], list[str], list[str], dict[str, Any]]
TRAINING = {"device": "cpu", "precision": "float32", "parameters": 7, "mean": [0.5, 0.4, 0.3], "std": 0.3}
UPSTREAM: dict[str, Upstream] = {
    "download": (
        {"source": "folder", "folder": "../secret/mine"},
        ["remote://checkout/../secret/mine"],
        ["data/pictures.zip"],
        {},
    ),
    "detect": ({"crop": "auto"}, ["data/pictures.zip"], ["data/sightings.csv"], {}),
    "faces": (
        {"image_size": 8},
        ["data/pictures.zip", "data/sightings.csv"],
        ["data/faces", "data/card.safetensors", "results/faces.json"],
        {},
    ),
    "weights": ({"extractor": "x"}, [], ["data/weights"], {}),
    "reference": ({"extractor": "x"}, ["data/faces", "data/weights"], ["data/reference"], {}),
    "train": (
        {"schedule": "cosine", "lr": 1e-3},
        ["data/faces"],
        ["results/model.safetensors", "results/loss.csv", "results/noise_levels.csv"],
        TRAINING,
    ),
    "sample": (
        {"sampler": "ddim", "sample_steps": 20, "guidance": 1.5},
        ["results/model.safetensors"],
        ["results/samples.safetensors", "results/frames.safetensors"],
        {"device": "cpu"},
    ),
    "transform": (
        {"transform_steps": 50},
        ["data/faces", "results/model.safetensors"],
        ["results/transformed.safetensors"],
        {"device": "cpu"},
    ),
    "evaluate": (
        {"extractor": "x"},
        ["data/reference", "results/samples.safetensors"],
        ["results/metrics.json", "results/neighbours.csv", "results/progress.csv", "results/study.csv"],
        {},
    ),
}
SCORES = {
    **{"score": "Fréchet distance", "extractor": "x", "n": 9, "n_reference": 9},
    **{"distance": 20.0, "distance_floor": 4.0, "distance_low": 18.0, "distance_high": 23.0},
    **{"kid": 0.02, "kid_floor": -0.001, "kid_low": 0.01, "kid_high": 0.03},
    **{"precision": 0.7, "recall": 0.5, "density": 0.6, "coverage": 0.6},
    **{"precision_floor": 0.9, "recall_floor": 0.9, "density_floor": 1.01, "coverage_floor": 0.95},
}
NEIGHBOURS = """sample,train,train_distance,held_out,held_out_distance,feature_train,feature_train_distance,\
feature_held_out,feature_held_out_distance
0,1,30.5,2,20.0,0,0.5,0,0.4
1,5,9.5,0,31.0,0,0.5,0,0.4
2,3,20.5,8,7.0,0,0.5,0,0.4
"""
PROGRESS = "step,pictures,distance,kid,n\n20,640,90.5,0.1,100\n40,1280,50.5,0.05,100\n"
STUDY = """weights,sampler,evaluations,distance,kid,n
ema,ddim,10,40.5,0.04,100
ema,ddim,20,30.5,0.03,100
raw,heun,10,50.5,0.05,100
"""
NAUGHTY = "<script>alert(1)</script> | *A* & [B]"
SIDE = 16
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 60"><path d="M5 55 85 5" stroke="#0173b2"/></svg>'
ALIKE = {"red": 0.5, "green": 0.0, "blue": -0.5, "contrast": 1.0, "saturation": 1.0, "sharpness": 1.0}
GOOD = Run(
    losses=[Loss(100 * row, 0.1 + 0.9 / row**2) for row in range(1, 41)],
    levels=[Level(5.0, 0.30, 0.306), Level(0.0, 0.10, 0.101), Level(-5.0, 0.20, 0.203)],
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
        **{"copied": 0.01, "copy_ratio": 0.8, "copy_ratio_floor": 0.79},
        "style": ALIKE,
        "style_floor": ALIKE,
    },
    faces={
        "pictures": 50_000,
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
)


def scored(run: Run = GOOD, **metrics: Any) -> Run:
    return replace(run, metrics={**run.metrics, **metrics})


TINY = replace(scored(distance=9.0, n=16, n_reference=16, kid_floor=-0.001), losses=[Loss(2, 1.0)])


def digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


def record(root: Path, stage: str, upstream: Upstream, code: dict[str, str], packages: dict[str, str]) -> None:
    """Write the record of a stage that made what is in `upstream`."""
    params, deps, outs, facts = upstream
    told = {
        "stage": stage,
        "params": params,
        "deps": {path: digest(path) for path in deps},
        "code": code,
        "packages": packages,
        "outs": {path: digest(path) for path in outs},
        "threads": 2,
        "facts": facts,
    }
    (root / f"results/runs/{stage}.json").write_text(json.dumps([told]))


def a_card(noise: Callable[[int], torch.Tensor]) -> dict[str, torch.Tensor]:
    shown = noise(2).repeat_interleave(12, 2).repeat_interleave(12, 3)
    boxes = [[0, 10, 10, 50, 50, 1], [0, 50, 20, 90, 60, 0], [1, 0, 0, 96, 96, 1]]
    colours = {f"{split}_colours": noise(3)[:, :, 0, 0].contiguous() for split in ("train", "held_out")}
    return {
        "pictures": shown,
        "boxes": torch.tensor(boxes, dtype=torch.int16),
        "train_faces": noise(5),
        "held_out_faces": noise(4),
        "dropped": shown.clone(),
        "kinds": torch.from_numpy(text.encode(["duplicate", "no face found"])),
        "sizes": torch.tensor([40, 300], dtype=torch.int32),
        **colours,
    }


def a_run(root: Path) -> Job[figures_params.Params]:
    """Write small inputs of every kind, and the records that made them."""
    source = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randint(0, 256, (*shape, 3, 8, 8), dtype=torch.uint8, generator=source)

    (root / "results/runs").mkdir(parents=True)
    shards.write(root / "data/faces", "held_out", noise(9))
    shards.write(root / "data/faces", "train", noise(12))
    save_file({"samples": noise(9)}, root / "results/samples.safetensors")
    save_file(a_card(noise), root / "data/card.safetensors")
    tally = {"train": 70, "held_out": 20, "dropped": {"duplicate": 9, "no face found": 1}}
    (root / "results/faces.json").write_text(json.dumps({"faces": tally}))
    film = {"t": torch.arange(5).flip(0).contiguous(), "x_t": noise(5, 4), "x0": noise(5, 4)}
    save_file(film, root / "results/frames.safetensors")
    made = {"faces": noise(2), "varied": noise(2, 3), "there_and_back": noise(2), "between": noise(3, 4)}
    save_file(
        made | {"strengths": torch.tensor([0.2, 0.5, 0.9]), "errors": torch.tensor([1.5, 2.5])},
        root / "results/transformed.safetensors",
    )
    rows = [f"{step},0.001,{1 / step},{1 / step if step > 20 else ''}" for step in (10, 20, 30, 40)]
    (root / "results/loss.csv").write_text("\n".join(["step,lr,loss,held_out", *rows, ""]))
    levels = [f"{t},{4 - t},{0.1 + t / 10},{0.12 + t / 10}" for t in range(8)]
    (root / "results/noise_levels.csv").write_text("\n".join(["t,log_snr,train,held_out", *levels, ""]))
    (root / "results/metrics.json").write_text(json.dumps(SCORES))
    for name, table in (("neighbours", NEIGHBOURS), ("progress", PROGRESS), ("study", STUDY)):
        (root / f"results/{name}.csv").write_text(table)
    for stage, upstream in UPSTREAM.items():
        record(root, stage, upstream, {f"src/omokage/stages/{stage}.py": digest(stage)}, {"torch": "2"})
    inputs = [path for _, _, outs, _ in UPSTREAM.values() for path in outs if (root / path).exists()]
    inputs += [f"results/runs/{stage}.json" for stage in UPSTREAM]
    modules = ("stages/figures", "figures/style", "figures/loss", "figures/samples", "figures/animation")
    return Job(
        params=figures_params.Params(
            schedule="cosine",
            timesteps=1000,
            zero_snr=False,
            log_snr_shift=0.0,
            figure_style="whitegrid",
            figure_palette="colorblind",
            figure_dpi=50,
            grid_side=2,
        ),
        inputs={path: root / path for path in inputs},
        outputs={f"results/figures/{name}": root / "results/figures" / name for name in figures.FIGURES},
        work=root / "work",
        threads=1,
        deps={path: digest(path) for path in inputs},
        code={f"src/omokage/{module}.py": digest(module) for module in modules},
        packages={"matplotlib": "3"},
    )


def a_film(faces: int, moments: int, side: int = SIDE) -> dict[str, Any]:
    """Noise that fades to one colour a face."""
    noise = np.random.default_rng(0).integers(0, 256, (moments, faces, 3, side, side))
    clean = 200 - 20 * np.arange(faces)[:, None, None, None] + np.zeros_like(noise)
    left = np.linspace(1, 0, moments)[:, None, None, None, None]
    x_t = (left * noise + (1 - left) * clean).astype(np.uint8)
    return {"t": np.arange(moments)[::-1].copy(), "x_t": x_t, "x0": clean.astype(np.uint8)}


def a_report(root: Path, title: str = f"Title {NAUGHTY}", judged: Run = TINY) -> Job[report_params.Params]:
    """Write the inputs of a report, with records of the stages that made them, and return its job."""
    stage = pipeline.read(ROOT)["report"]
    for folder in ("data", "results/runs", "results/figures"):
        (root / folder).mkdir(parents=True)
    faces = {**judged.faces, "dropped": {NAUGHTY: 2, "duplicate": 11, "blurred": 9}}
    (root / "results/faces.json").write_text(json.dumps({"faces": faces}))
    (root / "results/metrics.json").write_text(json.dumps(judged.metrics))
    _write(root / "results/loss.csv", [{"step": row.step, "loss": row.loss} for row in judged.losses])
    levels = [{"log_snr": row.log_snr, "train": row.train, "held_out": row.held_out} for row in judged.levels]
    _write(root / "results/noise_levels.csv", levels)
    _write(root / "results/progress.csv", judged.progress or [{"step": "5", "distance": 9.5, "kid": 0.1, "n": 4}])
    (root / "results/study.csv").write_text("weights,sampler,evaluations,distance,kid,n\n")
    save_arrays(a_film(3, 5), root / "results/frames.safetensors")
    licence = {
        "title": NAUGHTY,
        "author": NAUGHTY,
        "url": "javascript:alert(1)",
        "licence": "CC0",
        "licence_url": "https://a.org/(x)",
    }
    manifest = {"source": "folder", "name": NAUGHTY, "version": "1", "licences": [licence], "count": 20, "pictures": []}
    (root / "data/manifest.json").write_text(json.dumps(manifest))
    drawn = [path for path in stage.data if path.startswith("results/figures/")]
    for number, path in enumerate(drawn):
        if path.endswith(".svg"):
            (root / path).write_text(SVG)
        else:
            noise = np.random.default_rng(number).normal(128, 9 * number, (60, 90)).clip(0, 255)
            Image.fromarray(noise.astype(np.uint8)).convert("P").save(root / path)
    records = dict(UPSTREAM)
    params, deps, outs, facts = records["train"]
    records["train"] = ({**params, "batch_size": 4, "prediction": "v"}, deps, outs, facts)
    before = [path for _, _, outs, _ in records.values() for path in outs]
    records["figures"] = ({"grid_side": 2}, before, drawn, {})
    for name, upstream in records.items():
        record(root, name, upstream, {}, {})
    inputs = [path for path in stage.data if (root / path).exists()]
    return Job(
        params=report_params.Params(report_title=title),
        inputs={path: root / path for path in inputs},
        outputs={path: root / path for path in ("results/report.html", "results/report.md")},
        work=root / "work",
        threads=1,
        deps={path: digest(path) for path in inputs},
        code={"src/omokage/stages/report.py": digest("report")},
        packages={"jinja2": "3"},
    )


def _write(path: Path, rows: list[Any]) -> None:
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows), ""]
    path.write_text("\n".join(lines))
