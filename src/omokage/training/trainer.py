"""The state of a training run, and its update by one step.

The state after a step depends only on the parameters, the training set and the number of steps.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omokage.base.errors import UserError
from omokage.compute.device import choose_memory_format, compile_network, mixed_precision
from omokage.compute.micro_batch import explain_large_batch, limit_batch
from omokage.compute.seeding import make_generator
from omokage.diffusion import posthoc_ema
from omokage.diffusion.ema import ModelEma, make_half_life_decay
from omokage.diffusion.model import ModelSpec
from omokage.diffusion.objective import compute_loss_weight, compute_target
from omokage.diffusion.schedule import ScheduleTensors
from omokage.diffusion.unet import UNet
from omokage.training import optimisers
from omokage.training.batches import Batch, Batches
from omokage.training.best_ema import BestEma
from omokage.training.config import ComputeConfig, TrainingConfig
from omokage.training.prefetch import Prefetcher

# A loss above this means that the training has diverged. A network that outputs zero has a loss of about 1.
MAX_LOSS = 1e3
# Number of rows, evenly spread, that include the errors of the EMA network on training and held-out faces. Measuring
# them once takes as long as about nine steps of 64 images.
PROBE_COUNT = 6
# A row of the loss table: column -> value.
Row = dict[str, float]
# Returns a network's errors by column of the loss table: on training faces and on held-out faces.
Probe = Callable[[UNet], Row]


@dataclass(frozen=True)
class TrainingResult:
    """The EMA network after `step` steps, and the snapshots of the power-function EMAs and the final raw weights."""

    network: UNet
    snapshots: list[posthoc_ema.Snapshot]
    step: int


def create_network(spec: ModelSpec, seed: int) -> UNet:
    """Return a network with random initial weights, which depend only on the spec and the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(make_generator(seed, "weights").initial_seed())
        return UNet(spec.architecture)


def compute_loss(
    network: Callable[..., Tensor],
    prediction: str,
    schedule: ScheduleTensors,
    x0: Tensor,
    noise: Tensor,
    t: Tensor,
    keys: Tensor | None = None,
) -> Tensor:
    """Return the mean squared error of the network for each image, [n], with noise added at timesteps t [n].

    `prediction` is what the network predicts: eps, x0 or v. With `keys` [n] dropout is active.
    """
    alpha, sigma = (values[t].view(-1, 1, 1, 1) for values in (schedule.alpha, schedule.sigma))
    output = network(alpha * x0 + sigma * noise, schedule.angle[t], keys)
    return F.mse_loss(output, compute_target(prediction, x0, noise, alpha, sigma), reduction="none").mean((1, 2, 3))


class Trainer:
    """The state of a training run after `step` steps: everything that the next step depends on."""

    def __init__(
        self,
        faces: Tensor,
        spec: ModelSpec,
        config: TrainingConfig,
        compute: ComputeConfig,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Start with random weights, or with the `weights` of a network by name. The EMAs start with them as well."""
        self.spec, self.config, self.compute = spec, config, compute
        batches, schedule = Batches(faces, spec, config), spec.make_schedule()
        self.batches: Prefetcher | Batches = Prefetcher(batches) if compute.device.type == "cuda" else batches
        self.schedule = schedule.to(compute.device)
        loss_weight = compute_loss_weight(
            config.loss_weighting,
            spec.prediction,
            schedule.log_snr.exp(),
            config.min_snr_gamma,
            config.loss_weight_floor,
        )
        self.loss_weight = loss_weight.float().to(compute.device)
        network = create_network(spec, config.seed)
        if weights is not None:
            network.load_state_dict(weights)
        self.network = network.to(compute.device).to(memory_format=choose_memory_format(compute.device))
        self.parameters = list(self.network.parameters())
        # CUDA graphs would overwrite the gradients of one micro-batch with those of the next.
        self.compiled = compile_network(self.network, compute.device, cuda_graphs=compute.micro_batch is None)
        self.ema = ModelEma(self.network, make_half_life_decay(config.ema_half_life / config.batch_size))
        self.power_emas = {
            sigma_rel: ModelEma(self.network, posthoc_ema.make_power_function_decay(sigma_rel))
            for sigma_rel in posthoc_ema.SIGMA_RELS
        }
        self.optimisers = optimisers.make_optimisers(self.network, config.optimiser, config.lr)
        self.snapshots: list[posthoc_ema.Snapshot] = []
        self.rows: list[Row] = []
        self.best = BestEma()
        self.step = 0
        self.loss_sum = torch.zeros((), device=compute.device)
        self.first_diverged_step = torch.tensor(-1, device=compute.device)

    def advance(self) -> None:
        """Train for one step."""
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = self.config.compute_lr(self.step)
        loss = self._backward(self.batches.get(self.step))
        self.compute.group.all_reduce_gradients([weight.grad for weight in self.parameters if weight.grad is not None])
        nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip)
        for optimiser in self.optimisers:
            optimiser.step()
        # The loss stays on the device until the next row: reading it at every step would make the CPU wait for the GPU.
        has_diverged = (self.first_diverged_step < 0) & ~(loss < MAX_LOSS)
        self.first_diverged_step = torch.where(has_diverged, self.step, self.first_diverged_step)
        self.step += 1
        for ema in (self.ema, *self.power_emas.values()):
            ema.update(self.step)
        if self.step in posthoc_ema.choose_snapshot_steps(self.config.steps):
            self.snapshots += [self._take_snapshot(sigma_rel, ema.model) for sigma_rel, ema in self.power_emas.items()]
        if self.step == self.config.steps:
            self.snapshots.append(self._take_snapshot(posthoc_ema.RAW, self.network))
        self.loss_sum = self.loss_sum + loss

    def _backward(self, batch: Batch) -> Tensor:
        """Add the gradients of this process's part of the batch; return the mean loss of the batch.

        The mean is over the parts of all processes, and it has no loss weights.
        """
        compute, total = self.compute, torch.zeros((), device=self.compute.device)
        count, layout = len(batch.x0), choose_memory_format(compute.device)
        part = batch[compute.group.get_slice(count)]
        size = limit_batch(len(part.x0), compute.micro_batch)
        with explain_large_batch("training on", size, self.spec.architecture.image_size):
            for start in range(0, len(part.x0), size):
                total += self._backward_part(part[start : start + size].to(compute.device, layout), count)
        return compute.group.all_reduce(total)

    def _backward_part(self, part: Batch, count: int) -> Tensor:
        """Add the gradients of a part of a batch of `count` images; return what it adds to the mean loss."""
        with mixed_precision(self.compute.device, self.compute.dtype):
            losses = compute_loss(
                self.compiled, self.spec.prediction, self.schedule, part.x0, part.noise, part.t, part.keys
            )
        (losses * self.loss_weight[part.t]).sum().div(count).backward()
        return losses.detach().sum() / count

    def _take_snapshot(self, sigma_rel: float, network: UNet) -> posthoc_ema.Snapshot:
        weights = {name: tensor.half().cpu().contiguous() for name, tensor in network.state_dict().items()}
        return posthoc_ema.Snapshot(self.step, sigma_rel, weights)

    def make_row(self, probe: Probe | None = None) -> Row:
        """Add a row to the loss table, and return the row. Its loss is the mean since the previous row.

        At the steps that `choose_probe_steps` returns, the row also has the errors that `probe` returns for the EMA
        network. Raises UserError if the training has diverged.
        """
        self.check_divergence()
        steps = (self.step - 1) % self.config.log_every + 1
        row = {"step": self.step, "lr": self.config.compute_lr(self.step - 1), "loss": float(self.loss_sum) / steps}
        if probe and self.step in choose_probe_steps(self.config):
            row |= probe(self.ema.model)
            if self.config.keep_best:
                self.best.update(self.step, row["held_out"], self.ema.model)
        self.rows.append(row)
        self.loss_sum = torch.zeros_like(self.loss_sum)
        return row

    def make_result(self) -> TrainingResult:
        """Return the result after the last step: with `keep_best` the best EMA, otherwise the last one."""
        if self.best.weights:
            self.ema.model.load_state_dict(self.best.weights)
        return TrainingResult(self.ema.model, self.snapshots, self.best.step or self.step)

    def check_divergence(self) -> None:
        """Raise UserError if the training has diverged.

        This is the case if any loss so far was not finite or above MAX_LOSS, or if a weight is not finite.
        """
        step = int(self.first_diverged_step) + 1
        if not step and not torch.stack(torch._foreach_norm(list(self.ema.model.parameters()))).isfinite().all():
            step = self.step
        if step:
            raise UserError(
                f"the training diverged at step {step} with lr = {self.config.lr} (the loss or a weight is not finite, "
                f"or the loss is above {MAX_LOSS:.0f}): lower lr, raise warmup, or lower grad_clip"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on, as tensors and plain data."""
        return {
            "spec": asdict(self.spec),
            "step": self.step,
            "rows": self.rows,
            "loss_sum": self.loss_sum,
            "snapshots": [asdict(snapshot) for snapshot in self.snapshots],
            "network": self.network.state_dict(),
            "ema": self.ema.model.state_dict(),
            "power_emas": {sigma_rel: ema.model.state_dict() for sigma_rel, ema in self.power_emas.items()},
            "best": asdict(self.best),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state in a checkpoint. Raises UserError if the state belongs to a different model."""
        spec = asdict(self.spec)
        if different := [
            f"{key} is {state['spec'].get(key)}, expected {spec[key]}"
            for key in spec
            if state["spec"].get(key) != spec[key]
        ]:
            raise UserError(
                f"the checkpoint belongs to a different model ({'; '.join(different)}): remove it to train from "
                "the beginning"
            )
        self.step, self.rows, self.loss_sum = state["step"], state["rows"], state["loss_sum"].to(self.compute.device)
        self.snapshots = [posthoc_ema.Snapshot(**snapshot) for snapshot in state["snapshots"]]
        self.best = BestEma(**state["best"])
        self.network.load_state_dict(state["network"])
        self.ema.model.load_state_dict(state["ema"])
        for sigma_rel, ema in self.power_emas.items():
            ema.model.load_state_dict(state["power_emas"][sigma_rel])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def choose_probe_steps(config: TrainingConfig) -> set[int]:
    """Return the steps (counted from 1) at which the probe measures its errors, including the last step."""
    rows = math.ceil(config.steps / config.log_every)
    chosen = {max(1, round(rows * (number + 1) / PROBE_COUNT)) for number in range(PROBE_COUNT)}
    return {min(config.steps, row * config.log_every) for row in chosen}
