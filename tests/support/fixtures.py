"""Write small inputs for the stage `figures`, and run records of the stages before it, without running a stage."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from omokage.base.job import Job
from omokage.data import shards, text_arrays
from omokage.evaluation.scores.copies import SEARCHES
from omokage.evaluation.scores.style import compute_histograms
from omokage.figures.registry import FIGURES
from omokage.params.figures import Params
from omokage.report.run import TRIALS
from omokage.sampling.sample_sets import save_sample_sets
from support.clone import ROOT


@dataclass(frozen=True)
class StageExample:
    """The content of a stage's run record, except hashes. `facts` are how the stage ran, such as the device."""

    params: Mapping[str, Any] = field(default_factory=dict)
    deps: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


# The parts of a network with one level, in the form of training/network_parts.py, with made-up numbers of parameters.
NETWORK: list[dict[str, Any]] = [
    {"kind": kind, "side": side, "channels": channels, "blocks": blocks, "heads": heads, "parameters": number}
    for number, (kind, side, channels, blocks, heads) in enumerate(
        [
            ("embedding", 0, 32, 0, 0),
            ("first", 4, 16, 0, 0),
            ("down", 4, 16, 1, 2),
            ("middle", 4, 16, 2, 2),
            ("up", 4, 16, 2, 2),
            ("finish", 8, 16, 1, 0),
            ("last", 8, 3, 0, 0),
        ],
        start=1,
    )
]
UPSTREAM_STAGES = {
    "download": StageExample(
        {"source": "folder", "folder": "../secret/mine"},
        deps=("remote://checkout/../secret/mine",),
        outs=("data/pictures.zip",),
    ),
    "detect": StageExample({"crop": "auto"}, deps=("data/pictures.zip",), outs=("data/detections.csv",)),
    "faces": StageExample(
        {"image_size": 8},
        deps=("data/pictures.zip", "data/detections.csv"),
        outs=("data/faces", "data/card.safetensors", "results/curation.json"),
    ),
    "extractor_weights": StageExample({"extractor": "x"}, outs=("data/extractor_weights",)),
    "reference": StageExample(
        {"extractor": "x"}, deps=("data/faces", "data/extractor_weights"), outs=("data/reference",)
    ),
    "train": StageExample(
        {"schedule": "cosine", "lr": 1e-3},
        deps=("data/faces",),
        outs=(
            *("results/model.safetensors", "results/half_size_loss.csv", "results/loss.csv"),
            "results/noise_levels.csv",
        ),
        facts={
            **{"device": "cpu", "precision": "float32", "parameters": 28, "mean": [0.5, 0.4, 0.3], "std": 0.3},
            "network": NETWORK,
        },
    ),
    "sample": StageExample(
        {"ema_kind": "ema", "sampler": "ddim", "sample_steps": 20, "guidance_scale": 1.5},
        deps=("results/model.safetensors",),
        outs=tuple(f"results/{name}.safetensors" for name in ("samples", "frames", "counterpart", "study")),
        facts={"device": "cpu", "images": 24},
    ),
    "transform": StageExample(
        {"transform_steps": 50, "transform_between": 8, "transform_strengths": [0.5, 0.95]},
        deps=("data/faces", "results/model.safetensors"),
        outs=("results/transformed.safetensors",),
        facts={"device": "cpu", "round_trip_grey_levels": [1.5, 4.25]},
    ),
    "evaluate": StageExample(
        {"extractor": "x"},
        deps=("data/reference", "results/samples.safetensors"),
        outs=("results/scores.json", "results/neighbours.csv", "results/progress.csv", "results/study.csv"),
    ),
}
METRICS = {
    **{"score": "Fréchet distance", "extractor": "x", "n": 9, "n_reference": 9},
    **{"distance": 20.0, "distance_floor": 4.0, "distance_low": 18.0, "distance_high": 23.0},
    **{"kid": 0.02, "kid_floor": -0.001, "kid_low": 0.01, "kid_high": 0.03},
    **{"precision": 0.7, "recall": 0.5, "density": 0.6, "coverage": 0.6},
    **{"precision_floor": 0.9, "recall_floor": 0.9, "density_floor": 1.01, "coverage_floor": 0.95},
    **{"face_rate": 0.6, "face_rate_floor": 0.95},
    "searches": SEARCHES,
    "style_histograms": compute_histograms(
        {group: torch.arange(9 * 48, dtype=torch.uint8).view(9, 3, 4, 4) for group in ("samples", "train", "held_out")}
    ),
}
NEIGHBOURS_CSV = """sample,kind,train,train_distance,held_out,held_out_distance,feature_train,feature_train_distance,\
feature_held_out,feature_held_out_distance,mirrored,right,down
0,none,1,30.5,2,20.0,0,0.5,0,0.4,0,0,0
1,none,5,9.5,0,31.0,0,0.5,0,0.4,0,1,0
2,none,3,20.5,8,7.0,0,0.5,0,0.4,1,0,0
"""
PROGRESS_CSV = "step,pictures,distance,kid,n\n20,640,90.5,0.1,100\n40,1280,50.5,0.05,100\n"
STUDY_CSV = """weights,sampler,evaluations,distance,kid,n
ema,ddim,10,40.5,0.04,100
ema,ddim,20,30.5,0.03,100
raw,heun,10,50.5,0.05,100
"""


def hash_text(text: str) -> str:
    """Return the sha256 of a text. The fixtures use the sha256 of a path as the hash of the file at that path."""
    return hashlib.sha256(text.encode()).hexdigest()


def write_stage_record(
    root: Path, stage: str, example: StageExample, code: Mapping[str, str], packages: Mapping[str, str]
) -> None:
    """Write the run record that the stage would have written."""
    record = {
        "stage": stage,
        "params": example.params,
        "deps": {path: hash_text(path) for path in example.deps},
        "code": code,
        "code_deps": {},
        "packages": packages,
        "outs": {path: hash_text(path) for path in example.outs},
        "threads": 2,
        "facts": example.facts,
    }
    (root / f"results/runs/{stage}.json").write_text(json.dumps(record))


def make_data_card(random_images: Callable[[int], Tensor]) -> dict[str, Tensor]:
    """Return the arrays of data/card.safetensors, with random images."""
    images = random_images(2).repeat_interleave(12, 2).repeat_interleave(12, 3)
    boxes = [[0, 10, 10, 50, 50, 1], [0, 50, 20, 90, 60, 0], [1, 0, 0, 96, 96, 1]]
    colours = {f"{split}_colours": random_images(3)[:, :, 0, 0].contiguous() for split in ("train", "held_out")}
    return {
        "pictures": images,
        "boxes": torch.tensor(boxes, dtype=torch.int16),
        "train_faces": random_images(5),
        "held_out_faces": random_images(4),
        "dropped": images.clone(),
        "kinds": torch.from_numpy(text_arrays.encode(["duplicate", "no face found"])),
        "sizes": torch.tensor([40, 300], dtype=torch.int32),
        **colours,
    }


def write_figure_inputs(root: Path) -> Job[Params]:
    """Write the inputs of the stage `figures`, with the run records of the stages upstream, and return its job."""
    (root / "results/runs").mkdir(parents=True)
    _write_images(root)
    _write_tables(root)
    (root / TRIALS).parent.mkdir(parents=True)
    (root / TRIALS).write_bytes((ROOT / TRIALS).read_bytes())
    for stage, example in UPSTREAM_STAGES.items():
        write_stage_record(root, stage, example, {f"src/omokage/stages/{stage}.py": hash_text(stage)}, {"torch": "2"})
    inputs = [path for example in UPSTREAM_STAGES.values() for path in example.outs if (root / path).exists()]
    inputs += [*(f"results/runs/{stage}.json" for stage in UPSTREAM_STAGES), TRIALS]
    modules = ("stages/figures", "figures/style", "figures/loss", "figures/samples", "figures/animation")
    return Job(
        params=Params(
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
        outputs={f"results/figures/{name}": root / "results/figures" / name for name in FIGURES},
        work=root / "work",
        threads=1,
        deps={path: hash_text(path) for path in inputs},
        code={f"src/omokage/{module}.py": hash_text(module) for module in modules},
        packages={"matplotlib": "3"},
    )


def _write_images(root: Path) -> None:
    generator = torch.Generator().manual_seed(0)

    def random_images(*shape: int) -> Tensor:
        return torch.randint(0, 256, (*shape, 3, 8, 8), dtype=torch.uint8, generator=generator)

    shards.write_faces(root / "data/faces", "held_out", random_images(9))
    shards.write_faces(root / "data/faces", "train", random_images(12))
    save_file({"samples": random_images(9)}, root / "results/samples.safetensors")
    # The rows of STUDY_CSV, without the scores.
    labels = [row.split(",")[:3] for row in ("ema,ddpm,20", *STUDY_CSV.splitlines()[1:])]
    sets = [{"weights": weights, "sampler": name, "evaluations": int(count)} for weights, name, count in labels]
    save_sample_sets(root / "results/counterpart.safetensors", sets[:1], random_images(1, 9))
    save_sample_sets(root / "results/study.safetensors", sets[1:], random_images(3, 9))
    save_file(make_data_card(random_images), root / "data/card.safetensors")
    log_snr = torch.tensor([-math.inf, -2.0, 0.0, 2.0, math.inf])
    frames = {"t": torch.arange(-1, 4).flip(0).contiguous(), "log_snr": log_snr}
    frames |= {"x_t": random_images(5, 4), "x0": random_images(5, 4)}
    save_file(frames, root / "results/frames.safetensors")
    transformed = {
        "faces": random_images(2),
        "varied": random_images(2, 3),
        "there_and_back": random_images(2),
        "between": random_images(3, 4),
        "strengths": torch.tensor([0.2, 0.5, 0.9]),
        "errors": torch.tensor([1.5, 2.5]),
    }
    save_file(transformed, root / "results/transformed.safetensors")


def _write_tables(root: Path) -> None:
    counts = {"train": 70, "held_out": 20, "dropped": {"duplicate": 9, "no face found": 1}}
    errors = {10: ",", 20: "0.07,0.08", 30: ",", 40: "0.03,0.04"}
    losses = [f"{step},0.001,{1 / step},{probed}" for step, probed in errors.items()]
    levels = [f"{t},{4 - t},{0.1 + t / 10},{0.12 + t / 10}" for t in range(8)]
    tables = {
        "curation.json": json.dumps(counts),
        "scores.json": json.dumps(METRICS),
        "half_size_loss.csv": "\n".join(["step,lr,loss,train,held_out", "10,0.001,0.5,,", "20,0.001,0.2,,", ""]),
        "loss.csv": "\n".join(["step,lr,loss,train,held_out", *losses, ""]),
        "noise_levels.csv": "\n".join(["t,log_snr,train,held_out", *levels, ""]),
        "neighbours.csv": NEIGHBOURS_CSV,
        "progress.csv": PROGRESS_CSV,
        "study.csv": STUDY_CSV,
    }
    for name, text in tables.items():
        (root / "results" / name).write_text(text)
