"""What the benchmarks share: real faces to judge against, drawing, scoring, and rows that say where they were made."""

import csv
import datetime
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from omokage import device, posthoc
from omokage.diffusion.random import generator
from omokage.diffusion.samplers import SPACINGS, Denoiser, choose, levels
from omokage.diffusion.unet import Architecture, UNet
from omokage.drawing import denoiser, guided_denoiser
from omokage.evaluation import distances
from omokage.evaluation.features import EXTRACTORS
from omokage.evaluation.reference import read, spread
from omokage.model import Spec, whitening
from omokage.params import whole
from omokage.training.recipe import Recipe

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
UNIT = 64
DEVICE = device.choose()


def faces_of(source: Path | None) -> Path:
    """Return the data folder of a checkout whose faces are those of a folder or zip; None: the avatars of this one.

    A clone beside the work folders of this checkout keeps them.
    """
    place, dvc = ROOT, [sys.executable, "-m", "dvc"]
    if source is not None:
        place = ROOT / ".dvc" / "tmp" / "benchmarks" / source.stem
        if not place.exists():
            subprocess.run(["git", "clone", "--quiet", ROOT, place], check=True)
            subprocess.run([*dvc, "config", "--local", "remote.checkout.url", "."], cwd=place, check=True)
        values = whole.load(ROOT / "workflow" / "presets" / "folder-32.yaml")
        values |= {"source": "folder", "folder": os.path.relpath(source.resolve(), place)}
        (place / "params.yaml").write_text(whole.render(values, "parameters of a benchmark"), encoding="utf-8")
    subprocess.run(
        [*dvc, "repro", "--quiet", "reference"],
        cwd=place,
        check=True,
        env={**os.environ, "OMOKAGE_PYTHON": sys.executable},
    )
    return place / "data"


@dataclass(frozen=True)
class Judge:
    """Scores pictures against the held-out faces of a checkout's data folder, after `dvc repro reference`."""

    data: Path

    def __call__(self, pictures: Tensor) -> dict[str, float | int]:
        """Return the Fréchet distance of uint8 pictures [n, 3, h, w], and its floor for as many train faces."""
        extractor = EXTRACTORS["efficientnet-lite0"](DEVICE, self.data / "weights")
        held_out, train = (
            read(self.data / "reference" / f"{split}.safetensors", extractor) for split in ("held_out", "train")
        )
        n = min(len(pictures), len(train))
        return {
            "distance": round(distances.frechet(extractor.features(pictures[:n]), held_out), 1),
            "floor": round(distances.frechet(train[spread(len(train), n)], held_out), 1),
            "n": n,
        }


def ours(p: whole.Params, faces: Tensor) -> tuple[Spec, Recipe]:
    """Return what is trained on uint8 faces [n, 3, h, w], and how, with the parameters of a preset."""
    mean, std = whitening([faces])
    shape = Architecture(
        faces.shape[-1], p.width, tuple(p.multipliers), p.blocks, tuple(p.attention), p.dropout, p.patch
    )
    spec = Spec(shape, p.prediction, p.schedule, p.timesteps, p.zero_snr, p.log_snr_shift, p.precision, mean, std)
    return spec, Recipe(**{field.name: getattr(p, field.name) for field in fields(Recipe)})


def ready_to_draw(network: UNet, spec: Spec, snapshots: Path, guidance: float, guide: float) -> Denoiser:
    """Return the network's denoiser, guided or not, as `sample` has it."""
    if guidance == 1:
        return denoiser(network, spec, DEVICE)
    return guided_denoiser(network, posthoc.earlier(snapshots, guide), guidance, spec, DEVICE)


@torch.inference_mode()
def draw(ready: Denoiser, spec: Spec, sampler: str, spacing: str, evaluations: int, count: int) -> Tensor:
    """Return `count` pictures, uint8, each from a noise of its own that no sampler or number of evaluations changes."""
    side, drawn = spec.architecture.image_size, []
    steps = SPACINGS[spacing](ready.schedule, levels(sampler, evaluations))
    for start in range(0, count, UNIT):
        noise = partial(_noise, range(start, min(start + UNIT, count)), side)
        *_, last = choose(sampler, 0.0)(ready, noise(-1), steps, noise)
        drawn.append(spec.pictures(last.x0).cpu())
    return torch.cat(drawn)


def _noise(pictures: range, side: int, step: int) -> Tensor:
    drawn = [torch.randn(3, side, side, generator=generator(0, f"benchmark {i}", step)) for i in pictures]
    return torch.stack(drawn).to(DEVICE, memory_format=device.memory_format(DEVICE))


def note(name: str, row: Mapping[str, Any]) -> None:
    """Append a row, with date and machine, to benchmarks/results/NAME.csv."""
    path = RESULTS / f"{name}.csv"
    processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} x{os.cpu_count()}"
    machine = processor if DEVICE.type == "cpu" else device.name(DEVICE)
    full = {"date": datetime.date.today().isoformat(), "machine": machine, **row}
    fresh = not path.exists()
    if not fresh and (had := path.read_text(encoding="utf-8").splitlines()[0].split(",")) != list(full):
        raise ValueError(f"{path} has the columns {', '.join(had)}, not {', '.join(full)}: move it out of the way")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(full), lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow(full)


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self) -> float:
        return round(time.monotonic() - self.began, 1)
