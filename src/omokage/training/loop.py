"""The training loop: what happens at a step depends on the parameters and the step's number alone."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omokage.device import memory_format
from omokage.diffusion.objective import target
from omokage.diffusion.random import generator
from omokage.diffusion.schedule import Schedule, per_picture
from omokage.diffusion.unet import UNet
from omokage.errors import Refused
from omokage.model import Spec
from omokage.progress import progress
from omokage.training import checkpoint
from omokage.training.ema import EMA

CHECKPOINT_SECONDS = 30.0
Row = dict[str, float]


@dataclass(frozen=True)
class Recipe:
    """How to train: lengths in steps of `batch_size` pictures; `warmup` and `decay` are fractions of `steps`."""

    lr: float
    warmup: float
    decay: float
    batch_size: int
    steps: int
    ema_half_life: float
    grad_clip: float
    flip: bool
    seed: int
    log_every: int

    def lr_at(self, step: int) -> float:
        """Return the learning rate of `step` (from 0): linear warm-up, plateau, linear decay to zero."""
        rise = (step + 1) / max(1.0, self.warmup * self.steps)
        fall = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.lr * min(1.0, rise, fall)


class Batches:
    """Whitened training batches: each epoch visits every face once, in an order of its own."""

    def __init__(self, faces: Tensor, spec: Spec, recipe: Recipe) -> None:
        if len(faces) < recipe.batch_size:
            raise Refused(
                f"batch_size = {recipe.batch_size}, but there are only {len(faces)} faces to train on: "
                "give more pictures or lower batch_size in params.yaml"
            )
        self.faces, self.spec, self.recipe = faces, spec, recipe
        self._orders: dict[int, Tensor] = {}

    def at(self, step: int) -> Tensor:
        """Return the faces of `step`: [batch_size, 3, h, w], float32."""
        first = step * self.recipe.batch_size
        epoch, start = divmod(first, len(self.faces))
        order = self._order(epoch)[start : start + self.recipe.batch_size]
        if missing := self.recipe.batch_size - len(order):
            order = torch.cat([order, self._order(epoch + 1)[:missing]])
        batch = self.spec.whiten(self.faces[order])
        if self.recipe.flip:
            mirrored = torch.rand(len(batch), generator=generator(self.recipe.seed, "flip", step)) < 0.5
            batch = torch.where(mirrored[:, None, None, None], batch.flip(-1), batch)
        return batch

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = torch.randperm(len(self.faces), generator=generator(self.recipe.seed, "order", epoch))
        return self._orders[epoch]


def new_network(spec: Spec, seed: int) -> UNet:
    """Return a network with weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, "weights").initial_seed())
        return UNet(spec.architecture)


def stratified_steps(batch_size: int, timesteps: int, source: torch.Generator) -> Tensor:
    """Return one noise level a picture, spread evenly over the schedule: less variance than independent draws."""
    u = (torch.randperm(batch_size, generator=source) + torch.rand(batch_size, generator=source)) / batch_size
    return (u * timesteps).long().clamp(max=timesteps - 1)


def loss_at(network: nn.Module, spec: Spec, schedule: Schedule, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """Return the mean squared error of the network's prediction, picture by picture [n]; t [n] on the CPU."""
    alpha, sigma = (per_picture(values, t, x0) for values in (schedule.alpha, schedule.sigma))
    output = network(alpha * x0 + sigma * noise, schedule.angle[t].to(x0.device, torch.float32))
    return F.mse_loss(output, target(spec.prediction, x0, noise, alpha, sigma), reduction="none").mean((1, 2, 3))


def train(
    faces: Tensor,
    spec: Spec,
    recipe: Recipe,
    device: torch.device,
    dtype: torch.dtype,
    work: Path,
    log: Callable[[Row], None],
) -> tuple[UNet, list[Row]]:
    """Train on uint8 faces [n, 3, h, w] and return the averaged network and the loss table.

    Resumes from the newest checkpoint in `work`, and logs the rows of before again, so that a resumed run leaves the
    same table behind. Raises Refused when the loss is no longer a number.
    """
    schedule, batches = Schedule.make(spec.schedule, spec.timesteps), Batches(faces, spec, recipe)
    layout = memory_format(device)
    network = new_network(spec, recipe.seed).to(device).to(memory_format=layout)
    ema = EMA(network, recipe.ema_half_life / recipe.batch_size)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    rows: list[Row] = []
    first, recent = 0, torch.zeros((), device=device)
    if state := checkpoint.load(work):
        first, rows, recent = state["step"], state["rows"], state["recent"].to(device)
        network.load_state_dict(state["network"])
        ema.model.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        for row in rows:
            log(row)

    def snapshot(step: int) -> dict[str, Any]:
        return {
            "step": step,
            "rows": rows,
            "recent": recent,
            "network": network.state_dict(),
            "ema": ema.model.state_dict(),
            "optimiser": optimiser.state_dict(),
        }

    saved = time.monotonic()
    bar = progress(range(first, recipe.steps), "train", total=recipe.steps, initial=first, unit="step")
    for step in bar:
        x0 = batches.at(step).to(device, memory_format=layout)
        source = generator(recipe.seed, "noise", step)
        t = stratified_steps(len(x0), spec.timesteps, source)
        noise = torch.randn(x0.shape, generator=source).to(device, memory_format=layout)
        torch.manual_seed(generator(recipe.seed, "dropout", step).initial_seed())
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr_at(step)
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = loss_at(network, spec, schedule, x0, noise, t).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), recipe.grad_clip)
        optimiser.step()
        ema.update(network, step + 1)
        recent = recent + loss.detach()
        if (step + 1) % recipe.log_every == 0 or step + 1 == recipe.steps:
            steps = step % recipe.log_every + 1
            row = {"step": step + 1, "lr": recipe.lr_at(step), "loss": float(recent) / steps}
            if row["loss"] != row["loss"] or row["loss"] == float("inf"):
                raise Refused(
                    f"the loss is {row['loss']} at step {step + 1} with lr = {recipe.lr}: lower lr, or raise warmup"
                )
            rows.append(row)
            recent = torch.zeros_like(recent)
            log(row)
            bar.set_postfix_str(f"loss {row['loss']:.4f}", refresh=False)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            checkpoint.save(work, step + 1, snapshot(step + 1))
            saved = time.monotonic()
    return ema.model, rows


@torch.no_grad()
def loss_by_noise(
    network: UNet, spec: Spec, faces: Tensor, device: torch.device, levels: int, seed: int
) -> list[float]:
    """Return the network's mean squared error on uint8 faces at `levels` steps evenly spread over the schedule."""
    schedule, x0 = Schedule.make(spec.schedule, spec.timesteps), spec.whiten(faces).to(device)
    errors = []
    for level in noise_levels(spec.timesteps, levels):
        noise = torch.randn(x0.shape, generator=generator(seed, "noise level", level)).to(device)
        errors.append(float(loss_at(network, spec, schedule, x0, noise, torch.full((len(x0),), level)).mean()))
    return errors


def noise_levels(timesteps: int, levels: int) -> list[int]:
    """Return `levels` steps, the middles of equal parts of the schedule."""
    return [(2 * level + 1) * timesteps // (2 * levels) for level in range(levels)]
