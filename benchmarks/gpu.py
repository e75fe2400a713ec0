"""A GPU's share of the claims: pictures a second beside the peers, and distance over training time.

    python benchmarks/gpu.py speed --data DIR [--of omokage:itself diffusers:compiled ...]
    python benchmarks/gpu.py race NAME --data DIR [--seconds 240] [--change key=value ...] [--guidance 1 2 ...]
    python benchmarks/gpu.py profile --data DIR [--change key=value ...]

DIR is the `data` folder of a checkout whose faces have 64 pixels, after `dvc repro reference`; it needs neither DVC nor
the network. Rows are appended to results/gpu_speed.csv and results/gpu_race.csv.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench import DEVICE, ROOT, Clock, Judge, draw, note, ours, ready_to_draw
from ruamel.yaml import YAML
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from omokage import posthoc
from omokage.data import shards
from omokage.device import compute_dtype, fastest, memory_format, prepare
from omokage.figures.sheet import tile
from omokage.params import whole
from omokage.training.loop import Machine, Trainer
from omokage.training.probe import loss_by_noise

PRESET = ROOT / "workflow" / "presets" / "pixiv-64.yaml"
# Dense bfloat16 operations a second, by the data sheets.
PEAK = {"H100": 989e12, "H200": 989e12}
ROUNDS, STEPS = 5, 10
# How a network is run: as it comes, which for this project is as it trains and draws by itself, or in a way of ours.
WAYS: dict[str, Callable[..., Any]] = {
    "itself": lambda network: network,
    "compiled": torch.compile,
    "graphs": partial(torch.compile, mode="reduce-overhead"),
}
# Far from any snapshot: a training takes six of them.
LONG = 100_000


def synchronised(work: Callable[[], object]) -> float:
    """Return the seconds that the work takes on an idle device, and the device with it."""
    began = time.monotonic()
    work()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.monotonic() - began


def a_step(step: Callable[[], object], warm: int = 5) -> float:
    """Return the seconds of a step: the median of ROUNDS means over STEPS."""

    def take(steps: int) -> None:
        for _ in range(steps):
            step()

    synchronised(partial(take, warm))
    return median(synchronised(partial(take, STEPS)) for _ in range(ROUNDS)) / STEPS


def matrix_products() -> float:
    """Return the operations a second of a large bfloat16 matrix product: what can be had of the peak."""
    a, b = (torch.randn(8192, 8192, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192**3 / a_step(lambda: a @ b)


def operations(network: torch.nn.Module, side: int) -> int:
    """Return the floating-point operations of one evaluation of a picture."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.randn(1, 3, side, side, device=DEVICE), torch.ones(1, device=DEVICE))
    return counter.get_total_flops()


def speed(data: Path, contestants: list[str]) -> None:
    """Note what each of the contestants, as NAME:WAY, trains and evaluates a second."""
    from contestants import CONTESTANTS, DTYPE, Omokage

    faces, p = shards.read(data / "faces", "train"), whole.check(whole.load(PRESET))
    peak = next((value for card, value in PEAK.items() if card in torch.cuda.get_device_name()), float("nan"))
    attainable = matrix_products()
    for name, how in (contestant.split(":") for contestant in contestants):
        # Whatever was compiled before keeps its memory.
        torch.compiler.reset()
        torch.cuda.empty_cache()
        prepare(threads=8)
        contestant = CONTESTANTS[name](faces, LONG, 1e-4, 0, p)
        network, layout = contestant.network, torch.contiguous_format
        each = operations(network, 64)
        if how != "itself" or isinstance(contestant, Omokage):
            layout = memory_format(DEVICE)
            network.to(memory_format=layout)
        if not isinstance(contestant, Omokage):
            network.forward = evaluate = WAYS[how](network.forward)
        elif how == "itself":
            evaluate = fastest(network, DEVICE)
        else:
            contestant.trainer.run = evaluate = WAYS[how](network)
        torch.cuda.reset_peak_memory_stats()
        train = contestant.batch / a_step(contestant.step)
        # What is allocated would not show the memory of CUDA graphs.
        memory = torch.cuda.max_memory_reserved()
        rates = {}
        for n in (32, 256):
            with torch.inference_mode(), torch.autocast(DEVICE.type, DTYPE):
                x = torch.randn(n, 3, 64, 64, device=DEVICE).to(memory_format=layout)
                level = torch.ones(n, device=DEVICE)
                rates[f"evaluations_a_second_{n}"] = round(n / a_step(partial(evaluate, x, level)))
        done = 3 * each * train
        note(
            "gpu_speed",
            {
                "torch": torch.__version__,
                "contestant": name,
                "how": how,
                "parameters": sum(weight.numel() for weight in network.parameters()),
                "batch": contestant.batch,
                "pictures_a_second": round(train),
                **rates,
                "tflops": round(done / 1e12, 1),
                "share_of_peak": round(done / peak, 3),
                "share_of_a_matrix_product": round(done / attainable, 3),
                "gigabytes_reserved": round(memory / 2**30, 1),
            },
        )
        del contestant, network, evaluate


def race(
    name: str,
    data: Path,
    seconds: float,
    changes: dict[str, Any],
    moments: list[float],
    guidances: list[float],
    samples: int,
    grid: Path | None,
) -> None:
    """Train for about so many seconds; at some moments of it, judge pictures drawn with each guidance."""
    p = whole.check({**whole.load(PRESET), **changes})
    faces, held_out = (shards.read(data / "faces", split) for split in ("train", "held_out"))
    steps = round(seconds / a_step(_trainer(p, faces).advance, warm=10))
    trainer, judge, trained = _trainer(p.model_copy(update={"steps": steps}), faces), Judge(data), 0.0
    spec, recipe = trainer.spec, trainer.recipe
    for moment in moments:
        trained += synchronised(partial(_advance, trainer, round(moment * recipe.steps)))
        trainer.check()
        errors = loss_by_noise(trainer.average.model, spec, held_out[:256], DEVICE, 12, 0)
        for guidance in guidances:
            clock = Clock()
            drawn = _drawn(trainer, guidance, p, samples)
            note(
                "gpu_race",
                {
                    "torch": torch.__version__,
                    "name": name,
                    "changes": " ".join(f"{key}={value}" for key, value in changes.items()),
                    "parameters": sum(weight.numel() for weight in trainer.network.parameters()),
                    "seconds": round(trained, 1),
                    "steps": trainer.step,
                    "of": recipe.steps,
                    "pictures": trainer.step * recipe.batch_size,
                    "held_out_error": round(sum(errors) / len(errors), 4),
                    "guidance": guidance,
                    "drawing_seconds": clock(),
                    **judge(drawn),
                },
            )
            if grid is not None:
                tile(drawn[:64].numpy(), 8).save(grid.with_stem(f"{grid.stem}-{moment:.2f}-{guidance:g}"))


def profile(data: Path, changes: dict[str, Any]) -> None:
    """Print how long a step takes, and what three of them spend their time on, on the device and on the host."""
    trainer = _trainer(whole.check({**whole.load(PRESET), **changes}), shards.read(data / "faces", "train"))
    pause = a_step(trainer.advance, warm=10)
    with torch.profiler.profile() as seen:
        synchronised(partial(_advance, trainer, trainer.step + 3))
    print(f"{pause * 1000:.1f} ms a step")
    for order in ("self_device_time_total", "self_cpu_time_total"):
        print(seen.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=80))


def _trainer(p: whole.Params, faces: Tensor) -> Trainer:
    prepare(threads=8)
    return Trainer(faces, *ours(p, faces), Machine(DEVICE, compute_dtype(p.precision, DEVICE)))


def _advance(trainer: Trainer, step: int) -> None:
    while trainer.step < step:
        trainer.advance()


def _drawn(trainer: Trainer, guidance: float, p: whole.Params, samples: int) -> Tensor:
    with tempfile.TemporaryDirectory() as folder:
        snapshots = Path(folder) / "snapshots.safetensors"
        posthoc.save(snapshots, trainer.snapshots)
        ready = ready_to_draw(trainer.average.model, trainer.spec, snapshots, guidance, p.guide)
    return draw(ready, trainer.spec, p.sampler, p.spacing, p.sample_steps, samples)


def main() -> None:
    """Measure speeds, race, or profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    speeding = kinds.add_parser("speed")
    every = [f"{name}:{way}" for name in ("omokage", "denoising-diffusion-pytorch", "diffusers") for way in WAYS]
    speeding.add_argument("--of", nargs="+", choices=every, default=every)
    racing = kinds.add_parser("race")
    racing.add_argument("name")
    profiling = kinds.add_parser("profile")
    racing.add_argument("--seconds", type=float, default=240)
    racing.add_argument("--moments", type=float, nargs="+", default=[1 / 6, 1 / 3, 2 / 3, 1])
    racing.add_argument("--guidance", type=float, nargs="+", default=[1.0])
    racing.add_argument("--samples", type=int, default=1000)
    racing.add_argument("--grid", type=Path)
    for kind in (racing, profiling):
        kind.add_argument("--change", action="append", default=[], metavar="KEY=VALUE")
    for kind in kinds.choices.values():
        kind.add_argument("--data", type=Path, required=True)
    chosen = parser.parse_args()
    if chosen.kind == "speed":
        speed(chosen.data, chosen.of)
        return
    yaml = YAML(typ="safe", pure=True)
    changes = {key: yaml.load(value) for key, _, value in (change.partition("=") for change in chosen.change)}
    if chosen.kind == "profile":
        profile(chosen.data, changes)
    else:
        race(
            chosen.name,
            chosen.data,
            chosen.seconds,
            changes,
            chosen.moments,
            chosen.guidance,
            chosen.samples,
            chosen.grid,
        )


if __name__ == "__main__":
    main()
