"""The training loop: what happens at a step depends on the parameters and the step's number alone."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omokage import posthoc
from omokage.device import fastest, memory_format
from omokage.diffusion.objective import loss_weight, target
from omokage.diffusion.random import generator
from omokage.diffusion.schedule import Levels
from omokage.diffusion.unet import UNet
from omokage.errors import Interrupted, Refused
from omokage.model import Spec
from omokage.progress import progress
from omokage.training import checkpoint, optimisers
from omokage.training.ahead import Ahead
from omokage.training.batches import Batch, Batches
from omokage.training.ema import Average, half_life
from omokage.training.recipe import Recipe
from omokage.training.world import World

CHECKPOINT_SECONDS = 30.0
# A network that says nothing has a loss of about 1.
EXPLODED = 1e3
# So many rows of the loss table, evenly spread, have the error on held-out faces: under a hundredth of the time.
PROBED = 20
Row = dict[str, float]
Probe = Callable[[UNet], float]


@dataclass(frozen=True)
class Machine:
    """Where to compute: never what comes out, apart from the last bits of sums.

    `micro_batch` is how many pictures fit into memory at once; the gradients of a step's parts are added up.
    """

    device: torch.device
    dtype: torch.dtype
    world: World = field(default_factory=World)
    micro_batch: int | None = None


@dataclass(frozen=True)
class Trained:
    """The averaged network, and snapshots: of averages to put others together from, and of the raw weights."""

    network: UNet
    snapshots: list[posthoc.Snapshot]


def new_network(spec: Spec, seed: int) -> UNet:
    """Return a network with weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, "weights").initial_seed())
        return UNet(spec.architecture)


def loss_at(
    network: Callable[..., Tensor],
    prediction: str,
    levels: Levels,
    x0: Tensor,
    noise: Tensor,
    t: Tensor,
    keys: Tensor | None = None,
) -> Tensor:
    """Return the mean squared error of the network's `prediction`, picture by picture [n], at the steps t [n]."""
    alpha, sigma = (values[t].view(-1, 1, 1, 1) for values in (levels.alpha, levels.sigma))
    output = network(alpha * x0 + sigma * noise, levels.angle[t], keys)
    return F.mse_loss(output, target(prediction, x0, noise, alpha, sigma), reduction="none").mean((1, 2, 3))


class Trainer:
    """A training at some step: all that the next step depends on."""

    def __init__(self, faces: Tensor, spec: Spec, recipe: Recipe, machine: Machine) -> None:
        self.spec, self.recipe, self.machine = spec, recipe, machine
        batches, schedule = Batches(faces, spec, recipe), spec.noise_schedule()
        self.batches: Ahead | Batches = Ahead(batches) if machine.device.type == "cuda" else batches
        self.levels = schedule.on(machine.device)
        weight = loss_weight(
            recipe.weighting, spec.prediction, schedule.log_snr.exp(), recipe.min_snr_gamma, recipe.weight_floor
        )
        self.weight = weight.float().to(machine.device)
        network = new_network(spec, recipe.seed).to(machine.device)
        self.network = network.to(memory_format=memory_format(machine.device))
        self.weights = list(self.network.parameters())
        # Not in parts: replayed for the next part, it would write over the gradients of the one before.
        self.run = fastest(self.network, machine.device, replayed=machine.micro_batch is None)
        self.average = Average(self.network, half_life(recipe.ema_half_life / recipe.batch_size))
        self.powers = {length: Average(self.network, posthoc.decay(length)) for length in posthoc.LENGTHS}
        self.optimisers = optimisers.make(self.network, recipe.optimiser, recipe.lr)
        self.snapshots: list[posthoc.Snapshot] = []
        self.rows: list[Row] = []
        self.step = 0
        self.recent = torch.zeros((), device=machine.device)
        self.first_bad = torch.tensor(-1, device=machine.device)

    def advance(self) -> None:
        """Take one step."""
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = self.recipe.lr_at(self.step)
        loss = self._backward(self.batches.at(self.step))
        self.machine.world.pool([weight.grad for weight in self.weights if weight.grad is not None])
        nn.utils.clip_grad_norm_(self.weights, self.recipe.grad_clip)
        for optimiser in self.optimisers:
            optimiser.step()
        # Looked at only when a row is due, so that a GPU need not wait at every step.
        bad = (self.first_bad < 0) & ~(loss < EXPLODED)
        self.first_bad = torch.where(bad, self.step, self.first_bad)
        self.step += 1
        for average in (self.average, *self.powers.values()):
            average.update(self.step)
        if self.step in posthoc.moments(self.recipe.steps):
            self.snapshots += [self._snapshot(length, average.model) for length, average in self.powers.items()]
        if self.step == self.recipe.steps:
            self.snapshots.append(self._snapshot(posthoc.RAW, self.network))
        self.recent = self.recent + loss

    def _backward(self, whole: Batch) -> Tensor:
        """Leave this process's part of the gradients in the network; return the batch's unweighted loss."""
        machine, total = self.machine, torch.zeros((), device=self.machine.device)
        count, layout = len(whole.x0), memory_format(machine.device)
        mine = whole[machine.world.share(count)]
        size = machine.micro_batch or max(1, len(mine.x0))
        for start in range(0, len(mine.x0), size):
            part = mine[start : start + size].on(machine.device, layout)
            with torch.autocast(machine.device.type, machine.dtype, enabled=machine.dtype != torch.float32):
                losses = loss_at(self.run, self.spec.prediction, self.levels, part.x0, part.noise, part.t, part.keys)
            (losses * self.weight[part.t]).sum().div(count).backward()
            total += losses.detach().sum() / count
        return machine.world.total(total)

    def _snapshot(self, length: float, network: UNet) -> posthoc.Snapshot:
        halves = {name: tensor.half().cpu().contiguous() for name, tensor in network.state_dict().items()}
        return posthoc.Snapshot(self.step, length, halves)

    def row(self, probe: Probe | None = None) -> Row:
        """Return the mean loss since the last row, and begin the next; raise Refused if it is no number, or huge.

        What `probe` says of the network is in some rows, as `held_out`.
        """
        self.check()
        steps = (self.step - 1) % self.recipe.log_every + 1
        row = {"step": self.step, "lr": self.recipe.lr_at(self.step - 1), "loss": float(self.recent) / steps}
        if probe and self.step in probed(self.recipe):
            row["held_out"] = probe(self.network)
        self.rows.append(row)
        self.recent = torch.zeros_like(self.recent)
        return row

    def check(self) -> None:
        """Raise Refused if a loss so far was no number, or beyond all measure, or if a weight is no number now."""
        step = int(self.first_bad) + 1
        if not step and not torch.stack(torch._foreach_norm(list(self.average.model.parameters()))).isfinite().all():
            step = self.step
        if step:
            raise Refused(
                f"the loss or a weight is no number, or the loss above {EXPLODED:.0f}, at step {step} with "
                f"lr = {self.recipe.lr}: lower lr, raise warmup, or lower grad_clip"
            )

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on, as tensors and plain data."""
        return {
            "spec": asdict(self.spec),
            "step": self.step,
            "rows": self.rows,
            "recent": self.recent,
            "snapshots": [asdict(snapshot) for snapshot in self.snapshots],
            "network": self.network.state_dict(),
            "average": self.average.model.state_dict(),
            "powers": {length: average.model.state_dict() for length, average in self.powers.items()},
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; raise Refused if it is another model's."""
        mine = asdict(self.spec)
        if different := [
            f"{key} {state['spec'].get(key)} instead of {mine[key]}"
            for key in mine
            if state["spec"].get(key) != mine[key]
        ]:
            raise Refused(f"the checkpoint is of another model: {'; '.join(different)}")
        self.step, self.rows, self.recent = state["step"], state["rows"], state["recent"].to(self.machine.device)
        self.snapshots = [posthoc.Snapshot(**snapshot) for snapshot in state["snapshots"]]
        self.network.load_state_dict(state["network"])
        self.average.model.load_state_dict(state["average"])
        for length, average in self.powers.items():
            average.model.load_state_dict(state["powers"][length])
        for optimiser, its in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(its)


def probed(recipe: Recipe) -> set[int]:
    """Return the steps (from 1) whose rows have the error on held-out faces, the last among them."""
    rows = math.ceil(recipe.steps / recipe.log_every)
    chosen = {max(1, round(rows * (number + 1) / PROBED)) for number in range(PROBED)}
    return {min(recipe.steps, row * recipe.log_every) for row in chosen}


def train(
    faces: Tensor,
    spec: Spec,
    recipe: Recipe,
    machine: Machine,
    work: Path,
    log: Callable[[Row], None],
    probe: Probe | None = None,
) -> Trained:
    """Train on uint8 faces [n, 3, h, w], logging a row every `log_every` steps, with what `probe` says in some.

    Resumes from the newest checkpoint in `work`, and logs the rows of before again, so that a resumed run leaves the
    same table behind. Raises Refused when the loss is no number, Interrupted after SIGTERM, with a checkpoint written.
    """
    trainer = Trainer(faces, spec, recipe, machine)
    if state := checkpoint.load(work):
        trainer.restore(state)
        for row in trainer.rows:
            log(row)
    saved = time.monotonic()
    bar = progress(range(trainer.step, recipe.steps), "train", total=recipe.steps, initial=trainer.step, unit="step")
    with asked_to_stop() as stop:
        for _ in bar:
            trainer.advance()
            if trainer.step % recipe.log_every == 0 or trainer.step == recipe.steps:
                row = trainer.row(probe)
                log(row)
                bar.set_postfix_str(f"loss {row['loss']:.4f}", refresh=False)
            if stop() or time.monotonic() - saved > CHECKPOINT_SECONDS:
                trainer.check()
                if machine.world.rank == 0:
                    checkpoint.save(work, trainer.step, trainer.state())
                saved = time.monotonic()
            if stop():
                raise Interrupted(f"stopped after step {trainer.step}: the same command goes on from there")
    return Trained(trainer.average.model, trainer.snapshots)


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGTERM has come, which meanwhile does not end the process."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGTERM, before)
