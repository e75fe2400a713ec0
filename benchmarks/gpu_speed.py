"""Measure training and evaluation speed on a GPU, for this project and its peer libraries.

    PYTHONPATH=src .venv/bin/python benchmarks/gpu_speed.py compare --data DIR [--of omokage:itself ...]
    PYTHONPATH=src .venv/bin/python benchmarks/gpu_speed.py profile --data DIR [--change KEY=VALUE ...]

DIR is the data folder of a checkout with faces of 64 pixels, after `dvc repro reference`. `compare` appends rows to
results/gpu_speed.csv. It first installs the peer libraries into a venv of the benchmark, unless they are installed.
Otherwise neither DVC nor a network connection is needed. `profile` prints where the time of a training step goes, on
the GPU and on the host.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import DEVICE, append_row, count_weights, load_preset, parse_changes, time_call, time_step
from peers import enter_venv
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from omokage.compute.device import choose_dtype, choose_memory_format, compile_network, prepare_device
from omokage.data import shards
from omokage.params.schema import Params
from omokage.training.config import ComputeConfig
from omokage.training.setup import make_configs
from omokage.training.trainer import Trainer

PRESET = "pixiv-64"
# The network without patches and the batches of earlier rows, which a peer of equal size is compared with.
UNPATCHED = {"patch_size": 1, "attention_resolutions": [16], "batch_size": 256, "optimiser": "adamw"}
IMAGE_SIZE = 64
THREADS = 8
# Dense bfloat16 operations per second, from the data sheets.
PEAK = {"H100": 989e12, "H200": 989e12}
# How the network runs. These names are values of the results' column `how`; itself: as the library runs it by default.
MODES: dict[str, Callable[..., Any]] = {
    "itself": lambda network: network,
    "compiled": torch.compile,
    "graphs": partial(torch.compile, mode="reduce-overhead"),
}
# Steps of a training long enough that no snapshot falls into the measurement.
LONG_TRAINING = 100_000
EVALUATION_BATCHES = (32, 256)


def compare(data: Path, runs: list[str]) -> None:
    """Append a row for each LIBRARY:MODE: images trained, and network evaluations, per second."""
    from benchmark_models import OmokageModel
    from peer_libraries import MODELS

    faces, p = shards.read_faces(data / "faces", "train"), load_preset(PRESET, UNPATCHED)
    peak = next((value for card, value in PEAK.items() if card in torch.cuda.get_device_name()), float("nan"))
    attainable = measure_matrix_product()
    for library, mode in (run.split(":") for run in runs):
        # Networks that were compiled before keep their memory otherwise.
        torch.compiler.reset()
        torch.cuda.empty_cache()
        prepare_device(THREADS)
        model = MODELS[library](faces, LONG_TRAINING, 1e-4, 0, p)
        network, layout = model.network, torch.contiguous_format
        flops = count_operations(network)
        if mode != "itself" or isinstance(model, OmokageModel):
            layout = choose_memory_format(DEVICE)
            network.to(memory_format=layout)
        if not isinstance(model, OmokageModel):
            network.forward = evaluate = MODES[mode](network.forward)
        elif mode == "itself":
            evaluate = compile_network(network, DEVICE)
        else:
            model.trainer.compiled = evaluate = MODES[mode](network)
        torch.cuda.reset_peak_memory_stats()
        images_per_second = model.batch_size / time_step(model.step)
        # Reserved memory, since allocated memory does not include that of CUDA graphs.
        reserved_bytes = torch.cuda.max_memory_reserved()
        flops_per_second = 3 * flops * images_per_second  # the backward pass takes about two forward passes
        row = {
            "torch": torch.__version__,
            "contestant": library,
            "how": mode,
            "parameters": count_weights(network),
            "batch": model.batch_size,
            "pictures_a_second": round(images_per_second),
            **measure_evaluations(evaluate, layout, choose_dtype(p.precision, DEVICE)),
            "tflops": round(flops_per_second / 1e12, 1),
            "share_of_peak": round(flops_per_second / peak, 3),
            "share_of_a_matrix_product": round(flops_per_second / attainable, 3),
            "gigabytes_reserved": round(reserved_bytes / 2**30, 1),
        }
        append_row("gpu_speed", row)
        del model, network, evaluate


def measure_matrix_product() -> float:
    """Return the operations per second of a large bfloat16 matrix product: the attainable part of the peak."""
    a, b = (torch.randn(8192, 8192, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192**3 / time_step(lambda: a @ b)


def count_operations(network: nn.Module) -> int:
    """Return the floating-point operations of one evaluation of one image."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE, device=DEVICE), torch.ones(1, device=DEVICE))
    return counter.get_total_flops()


def measure_evaluations(
    evaluate: Callable[..., Any], layout: torch.memory_format, dtype: torch.dtype
) -> dict[str, int]:
    """Return the network evaluations per second without gradients, for each of EVALUATION_BATCHES."""
    rates = {}
    for n in EVALUATION_BATCHES:
        with torch.inference_mode(), torch.autocast(DEVICE.type, dtype):
            x = torch.randn(n, 3, IMAGE_SIZE, IMAGE_SIZE, device=DEVICE).to(memory_format=layout)
            level = torch.ones(n, device=DEVICE)
            rates[f"evaluations_a_second_{n}"] = round(n / time_step(partial(evaluate, x, level)))
    return rates


def profile(data: Path, changes: dict[str, Any]) -> None:
    """Print the time of a training step, and the operations that three steps spend it on."""
    trainer = create_trainer(load_preset(PRESET, UNPATCHED | changes), shards.read_faces(data / "faces", "train"))
    seconds = time_step(trainer.advance, warmup=10)
    with torch.profiler.profile() as profiler:
        time_call(partial(advance_to, trainer, trainer.step + 3))
    print(f"{seconds * 1000:.1f} ms per step")
    for order in ("self_device_time_total", "self_cpu_time_total"):
        print(profiler.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=80))


def create_trainer(p: Params, faces: Tensor) -> Trainer:
    """Return a training with these parameters, on the best device there is."""
    prepare_device(THREADS)
    return Trainer(faces, *make_configs(p, faces), ComputeConfig(DEVICE, choose_dtype(p.precision, DEVICE)))


def advance_to(trainer: Trainer, step: int) -> None:
    """Train up to `step`."""
    while trainer.step < step:
        trainer.advance()


def main() -> None:
    """Measure speeds, or profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    comparing = commands.add_parser("compare", help="compare libraries")
    names = [f"{name}:{mode}" for name in ("omokage", "denoising-diffusion-pytorch", "diffusers") for mode in MODES]
    comparing.add_argument("--of", nargs="+", choices=names, default=names, metavar="LIBRARY:MODE")
    profiling = commands.add_parser("profile", help="profile this project's training step")
    profiling.add_argument("--change", action="append", default=[], metavar="KEY=VALUE")
    for command in (comparing, profiling):
        command.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    if args.command == "compare":
        enter_venv()
        compare(args.data, args.of)
    else:
        profile(args.data, parse_changes(args.change))


if __name__ == "__main__":
    main()
