"""One change at a time: train on so many pictures with some parameters changed, and score what comes of it.

    python benchmarks/ablation.py DATA NAME --pictures 20000 [--params FILE] [KEY=VALUE ...]

DATA is the data folder of a checkout in which `dvc repro reference` has run. The row goes to results/ablation.csv. With
--threads 1 two can run beside one another; their seconds then say nothing.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from bench import ROOT, Clock, Judge, draw, note, ours, ready_to_draw
from ruamel.yaml import YAML

from omokage import posthoc
from omokage.data import shards
from omokage.device import compute_dtype, prepare
from omokage.params import whole
from omokage.training.loop import Machine, train
from omokage.training.probe import loss_by_noise


def main() -> None:
    """Run one line of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("name")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--params", type=Path, default=ROOT / "workflow" / "presets" / "folder-32.yaml")
    chosen = parser.parse_intermixed_args()
    yaml = YAML(typ="safe", pure=True)
    changes = {key: yaml.load(value) for key, _, value in (change.partition("=") for change in chosen.changes)}
    values = {**whole.load(chosen.params), **changes}
    p = whole.check({**values, "steps": chosen.pictures // values["batch_size"]})

    device = prepare(chosen.threads)
    faces, held_out = (shards.read(chosen.data / "faces", split) for split in ("train", "held_out"))
    spec, recipe = ours(p, faces)
    clock = Clock()
    with tempfile.TemporaryDirectory() as work:
        machine = Machine(device, compute_dtype(p.precision, device))
        trained = train(faces, spec, recipe, machine, Path(work) / "checkpoints", lambda row: None)
        network, seconds, snapshots = trained.network, clock(), Path(work) / "snapshots.safetensors"
        posthoc.save(snapshots, trained.snapshots)
        ready = ready_to_draw(network, spec, snapshots, p.guidance, p.guide)
    errors = loss_by_noise(network, spec, held_out[:128], device, 8, 0)
    drawn = draw(ready, spec, p.sampler, p.spacing, p.sample_steps, p.samples)
    note(
        "ablation",
        {
            "name": chosen.name,
            "changes": " ".join(chosen.changes),
            "pictures": recipe.steps * recipe.batch_size,
            "seconds": seconds,
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "held_out_error": round(sum(errors) / len(errors), 4),
            **Judge(chosen.data)(drawn),
        },
    )


if __name__ == "__main__":
    torch.set_float32_matmul_precision("highest")
    main()
