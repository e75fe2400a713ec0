"""Train the diffusion model and say how its loss went."""

import csv
import os
from collections.abc import Callable
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TextIO

from dvclive import Live

from omokage import model, posthoc
from omokage.data import shards
from omokage.device import compute_dtype, name, prepare
from omokage.diffusion.unet import Architecture
from omokage.job import Job
from omokage.params.train import Params
from omokage.training.loop import Machine, Row, Trained, train
from omokage.training.probe import held_out_loss, loss_by_noise, noise_levels
from omokage.training.recipe import Recipe
from omokage.training.world import World

LIVE = ("results/loss.csv", "results/train/metrics.json")
LEVELS = 12
FACES_A_LEVEL = 96
FACES_A_ROW = 96


def run(job: Job[Params]) -> None:
    """Write the averaged model, the loss by step and the error by noise level, on train and on held-out faces."""
    table = LossTable(job.output("results/loss.csv"), job.output("results/train/metrics.json").parent)
    machine, spec, trained = learn(job, table.add)
    table.close()
    model.save(job.output("results/model.safetensors"), trained.network, spec)
    posthoc.save(job.output("results/snapshots.safetensors"), trained.snapshots)
    folder, levels, log_snr = (
        job.input("data/faces"),
        noise_levels(spec.timesteps, LEVELS),
        spec.noise_schedule().log_snr,
    )
    errors = [
        loss_by_noise(trained.network, spec, some[:FACES_A_LEVEL], machine.device, LEVELS, job.params.seed)
        for some in (shards.read(folder, "train"), shards.read(folder, "held_out"))
    ]
    with job.output("results/noise_levels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["t", "log_snr", "train", "held_out"])
        for t, on_train, on_held_out in zip(levels, *errors, strict=True):
            writer.writerow([t, f"{float(log_snr[t]):.4f}", f"{on_train:.6g}", f"{on_held_out:.6g}"])
    job.facts.update(
        device=name(machine.device),
        precision=str(machine.dtype).removeprefix("torch."),
        parameters=sum(parameter.numel() for parameter in trained.network.parameters()),
        mean=list(spec.mean),
        std=spec.std,
    )


def assist(job: Job[Params]) -> None:
    """Do another process's part of the training, as torchrun asks; the first one writes what comes of it."""
    learn(job, lambda row: None)


def learn(job: Job[Params], log: Callable[[Row], None]) -> tuple[Machine, model.Spec, Trained]:
    """Train on the faces as the parameters say."""
    p, device = job.params, prepare(job.threads)
    at_once = os.environ.get("OMOKAGE_MICRO_BATCH")
    machine = Machine(device, compute_dtype(p.precision, device), World.join(device), int(at_once) if at_once else None)
    folder = job.input("data/faces")
    faces = shards.read(folder, "train")
    mean, std = model.whitening(shards.each(folder, "train"))
    architecture = Architecture(
        image_size=faces.shape[-1],
        width=p.width,
        multipliers=tuple(p.multipliers),
        blocks=p.blocks,
        attention=tuple(p.attention),
        dropout=p.dropout,
        patch=p.patch,
    )
    spec = model.Spec(
        architecture, p.prediction, p.schedule, p.timesteps, p.zero_snr, p.log_snr_shift, p.precision, mean, std
    )
    recipe = Recipe(**{field.name: getattr(p, field.name) for field in fields(Recipe)})
    work = job.work / f"{device.type}-{machine.dtype}-{job.threads}"
    probe = held_out_loss(spec, shards.read(folder, "held_out")[:FACES_A_ROW], machine, p.seed)
    return machine, spec, train(faces, spec, recipe, machine, work, log, probe)


class LossTable:
    """The loss by step as a CSV that grows while training runs, and DVCLive's metrics beside it for `dvc exp show`.

    Both are begun by the first row: a run that is refused before leaves the last run's table alone.
    """

    def __init__(self, path: Path, live: Path) -> None:
        self.path, self.folder = path, live

    @cached_property
    def file(self) -> TextIO:
        """The table, begun anew."""
        file = self.path.open("w", newline="", encoding="utf-8")
        file.write("step,lr,loss,held_out\n")
        return file

    @cached_property
    def live(self) -> Live:
        """DVCLive's metrics, begun anew."""
        return Live(str(self.folder), dvcyaml=None, report=None, save_dvc_exp=False)

    def add(self, row: Row) -> None:
        """Append one row and make it visible at once."""
        held_out = f"{row['held_out']:.6g}" if "held_out" in row else ""
        self.file.write(f"{row['step']:.0f},{row['lr']:.6g},{row['loss']:.6g},{held_out}\n")
        self.file.flush()
        self.live.step = int(row["step"])
        self.live.log_metric("loss", float(f"{row['loss']:.6g}"), plot=False)
        self.live.make_summary()

    def close(self) -> None:
        """Finish both."""
        self.file.close()
        self.live.end()
