"""What the benchmarks share: presets, real faces, sampling, scores, timing, and rows that name date and machine."""

import csv
import datetime
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from omokage.compute import device
from omokage.compute.seeding import make_generator
from omokage.config.params_file import check_params, default_params, render_params
from omokage.config.presets import read_presets
from omokage.config.yaml_file import parse_yaml
from omokage.data import shards
from omokage.diffusion import posthoc_ema
from omokage.diffusion.model import ModelSpec
from omokage.diffusion.unet import UNet
from omokage.evaluation.features.extractors import EXTRACTORS
from omokage.evaluation.features.reference import read_features, spread_indices
from omokage.evaluation.scores import distances
from omokage.params.schema import Params
from omokage.sampling.denoiser import Denoiser, make_denoiser
from omokage.sampling.guidance import make_guided_denoiser
from omokage.sampling.samplers import count_timesteps, get_sampler
from omokage.sampling.spacing import SPACINGS
from omokage.training.config import ComputeConfig
from omokage.training.half_size import train_in_two_sizes
from omokage.training.loop import train
from omokage.training.setup import make_configs
from omokage.training.trainer import Row, TrainingResult

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
WORK = ROOT / ".dvc" / "tmp" / "benchmarks"
DVC = [sys.executable, "-m", "dvc"]
BATCH = 64  # samples generated at once
TIMED_ROUNDS, STEPS_PER_ROUND = 5, 10
DEVICE = device.choose_device()


def load_preset(name: str, changes: Mapping[str, Any] | None = None) -> Params:
    """Return all parameters of a preset with some changed; raise UserError for an unknown key or a wrong value."""
    return check_params({**default_params(), **read_presets(ROOT)[name].params, **(changes or {})}, name)


def train_preset(
    p: Params,
    faces: Tensor,
    compute: ComputeConfig,
    work: Path,
    log: Callable[[Row], None],
    log_half_size: Callable[[Row], None],
) -> TrainingResult:
    """Train with all parameters of a preset on uint8 faces [n, 3, h, w], without measuring errors."""
    spec, config = make_configs(p, faces)
    if p.half_size_steps:
        return train_in_two_sizes(faces, spec, config, p.half_size_steps, compute, work, log, log_half_size)
    return train(faces, spec, config, compute, work, log)


def parse_changes(settings: Sequence[str]) -> dict[str, Any]:
    """Return settings such as "lr=1e-4" as parameters."""
    pairs = [setting.partition("=") for setting in settings]
    return {key: parse_yaml(value, f"the value of {key}") for key, _, value in pairs}


def prepare_clone(name: str, p: Params, source: Path | None) -> Path:
    """Run the pipeline up to `reference` in a clone below the work folder, which is kept, and return its data folder.

    The parameters are `p`; a folder or zip `source` replaces their source of images.
    """
    checkout = WORK / name
    if not checkout.exists():
        subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
        subprocess.run([*DVC, "config", "--local", "remote.checkout.url", "."], cwd=checkout, check=True)
    if source is not None:
        p = p.model_copy(update={"source": "folder", "folder": os.path.relpath(source.resolve(), checkout)})
    (checkout / "params.yaml").write_text(render_params(p.values()), encoding="utf-8")
    environment = {**os.environ, "OMOKAGE_PYTHON": sys.executable, "PYTHONPATH": str(checkout / "src")}
    subprocess.run([*DVC, "repro", "--quiet", "reference"], cwd=checkout, check=True, env=environment)
    return checkout / "data"


def read_splits(data: Path) -> tuple[Tensor, Tensor]:
    """Return the training set and the held-out set, uint8 [n, 3, h, w] each, of the data folder of a checkout."""
    return shards.read_faces(data / "faces", "train"), shards.read_faces(data / "faces", "held_out")


def count_weights(network: nn.Module) -> int:
    """Return the number of a network's weights."""
    return sum(weight.numel() for weight in network.parameters())


def score_samples(samples: Tensor, data: Path) -> dict[str, float | int]:
    """Return the Fréchet distance of uint8 samples [n, 3, h, w] from the held-out faces, and the floor at the same n.

    `data` is the data folder of a checkout after `dvc repro reference`.
    """
    extractor = EXTRACTORS["efficientnet-lite0"](DEVICE, data / "extractor_weights")
    held_out, train = (
        read_features(data / "reference" / f"{split}.safetensors", extractor) for split in ("held_out", "train")
    )
    n = min(len(samples), len(train))
    return {
        "distance": round(distances.compute_frechet(extractor.compute_features(samples[:n]), held_out), 1),
        "floor": round(distances.compute_frechet(train[spread_indices(len(train), n)], held_out), 1),
        "n": n,
    }


def load_denoiser(
    network: UNet, spec: ModelSpec, snapshots: Path, scale: float, fraction: float, min_log_snr: float = -math.inf
) -> Denoiser:
    """Return the network's denoiser, guided (if `scale` is not 1) by the snapshot nearest to `fraction` of training.

    Guidance applies at a log-SNR of at least `min_log_snr`.
    """
    if scale == 1:
        return make_denoiser(network, spec, DEVICE)
    guiding_weights = posthoc_ema.load_nearest_snapshot(snapshots, fraction)
    return make_guided_denoiser(network, guiding_weights, scale, min_log_snr, spec, DEVICE)


def make_trained_denoiser(
    network: UNet,
    spec: ModelSpec,
    snapshots: Sequence[posthoc_ema.Snapshot],
    scale: float,
    fraction: float,
    min_log_snr: float = -math.inf,
) -> Denoiser:
    """Return what `load_denoiser` does for snapshots that are in memory, not in a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "snapshots.safetensors"
        posthoc_ema.save_snapshots(path, snapshots)
        return load_denoiser(network, spec, path, scale, fraction, min_log_snr)


@torch.inference_mode()
def generate_samples(
    denoiser: Denoiser, spec: ModelSpec, sampler: str, spacing: str, evaluations: int, count: int
) -> Tensor:
    """Return `count` uint8 samples [count, 3, h, w]. Sample i's noise is the same for all samplers and NFE."""
    size, samples = spec.architecture.image_size, []
    steps = SPACINGS[spacing](denoiser.schedule, count_timesteps(sampler, evaluations))
    for start in range(0, count, BATCH):
        noise = partial(_make_noise, range(start, min(start + BATCH, count)), size)
        *_, last = get_sampler(sampler, 0.0)(denoiser, noise(-1), steps, noise)
        samples.append(spec.to_images(last.x0).cpu())
    return torch.cat(samples)


def _make_noise(images: range, size: int, step: int) -> Tensor:
    noise = [torch.randn(3, size, size, generator=make_generator(0, f"benchmark {i}", step)) for i in images]
    return torch.stack(noise).to(DEVICE, memory_format=device.choose_memory_format(DEVICE))


def append_row(name: str, row: Mapping[str, Any]) -> None:
    """Append a row, with date and machine, to benchmarks/results/NAME.csv; raise ValueError if its columns differ."""
    path = RESULTS / f"{name}.csv"
    processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} x{os.cpu_count()}"
    machine = processor if DEVICE.type == "cpu" else device.describe_device(DEVICE)
    full = {"date": datetime.date.today().isoformat(), "machine": machine, **row}
    is_new = not path.exists()
    if not is_new and (columns := path.read_text(encoding="utf-8").splitlines()[0].split(",")) != list(full):
        raise ValueError(
            f"{path} has the columns {', '.join(columns)}: expected {', '.join(full)}: move the file away and try again"
        )
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(full), lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(full)


class Stopwatch:
    """Measures the seconds since it was created."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def seconds(self) -> float:
        """Return the elapsed seconds, to a tenth."""
        return round(time.monotonic() - self.start, 1)


def time_call(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes, until the device has finished it."""
    start = time.monotonic()
    work()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.monotonic() - start


def time_step(step: Callable[[], object], warmup: int = 5) -> float:
    """Return the seconds that a step takes: the median of TIMED_ROUNDS means over STEPS_PER_ROUND steps."""

    def repeat(count: int) -> None:
        for _ in range(count):
            step()

    time_call(partial(repeat, warmup))
    return median(time_call(partial(repeat, STEPS_PER_ROUND)) for _ in range(TIMED_ROUNDS)) / STEPS_PER_ROUND
