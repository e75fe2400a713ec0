"""Train the diffusion model and say how its loss went."""

import csv
from functools import cached_property
from pathlib import Path
from typing import TextIO

from dvclive import Live

from omokage import model
from omokage.data import shards
from omokage.device import compute_dtype, name, prepare
from omokage.diffusion.schedule import Schedule
from omokage.diffusion.unet import Architecture
from omokage.job import Job
from omokage.params.train import Params
from omokage.training.loop import Recipe, Row, loss_by_noise, noise_levels, train

LIVE = ("results/loss.csv", "results/train/metrics.json")
LEVELS = 12
FACES_A_LEVEL = 96


def run(job: Job[Params]) -> None:
    """Write the averaged model, the loss by step and the error by noise level, on train and on held-out faces."""
    p = job.params
    device = prepare(job.threads)
    dtype = compute_dtype(p.precision, device)
    folder = job.input("data/faces")
    faces, held_out = shards.read(folder, "train"), shards.read(folder, "held_out")
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
    spec = model.Spec(architecture, p.prediction, p.schedule, p.timesteps, p.precision, mean, std)
    recipe = Recipe(
        lr=p.lr,
        warmup=p.warmup,
        decay=p.decay,
        batch_size=p.batch_size,
        steps=p.steps,
        ema_half_life=p.ema_half_life,
        grad_clip=p.grad_clip,
        flip=p.flip,
        seed=p.seed,
        log_every=p.log_every,
    )
    table = LossTable(job.output("results/loss.csv"), job.output("results/train/metrics.json").parent)
    work = job.work / f"{device.type}-{dtype}-{job.threads}"
    network, _ = train(faces, spec, recipe, device, dtype, work, table.add)
    table.close()
    model.save(job.output("results/model.safetensors"), network, spec)
    levels = noise_levels(p.timesteps, LEVELS)
    errors = [loss_by_noise(network, spec, some[:FACES_A_LEVEL], device, LEVELS, p.seed) for some in (faces, held_out)]
    log_snr = Schedule.make(p.schedule, p.timesteps).log_snr
    with job.output("results/noise_levels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["t", "log_snr", "train", "held_out"])
        for t, on_train, on_held_out in zip(levels, *errors, strict=True):
            writer.writerow([t, f"{float(log_snr[t]):.4f}", f"{on_train:.6g}", f"{on_held_out:.6g}"])
    job.facts.update(
        device=name(device),
        precision=str(dtype).removeprefix("torch."),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        mean=list(mean),
        std=std,
    )


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
        file.write("step,lr,loss\n")
        return file

    @cached_property
    def live(self) -> Live:
        """DVCLive's metrics, begun anew."""
        return Live(str(self.folder), dvcyaml=None, report=None, save_dvc_exp=False)

    def add(self, row: Row) -> None:
        """Append one row and make it visible at once."""
        self.file.write(f"{row['step']:.0f},{row['lr']:.6g},{row['loss']:.6g}\n")
        self.file.flush()
        self.live.step = int(row["step"])
        self.live.log_metric("loss", float(f"{row['loss']:.6g}"), plot=False)
        self.live.make_summary()

    def close(self) -> None:
        """Finish both."""
        self.file.close()
        self.live.end()
