"""The interface that the benchmarks use for every library, and this project behind it.

Images are uint8 [n, 3, h, w]. A noisy image is x_t = alpha x0 + sigma eps, float32 [n, 3, h, w], for images scaled to
[-1, 1] as in the peer libraries. Its noise level is given as the log-SNR in that scale.
"""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from common import DEVICE, generate_samples, make_trained_denoiser
from torch import Tensor, nn

from omokage.compute.device import choose_dtype
from omokage.diffusion.objective import predict_x0
from omokage.params.schema import Params
from omokage.sampling.denoiser import make_denoiser
from omokage.training.config import ComputeConfig
from omokage.training.setup import make_configs
from omokage.training.trainer import Trainer

NFE = 50  # network evaluations per sample


class BenchmarkModel(ABC):
    """One training of a model. It denoises and samples with the EMA of its weights."""

    network: nn.Module
    batch_size: int

    @abstractmethod
    def step(self) -> None:
        """Train on one batch."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on, as tensors and plain data."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""

    @abstractmethod
    def denoise(self, x_t: Tensor, log_snr: float) -> Tensor:
        """Return the predicted clean images x0, in [-1, 1]."""

    @abstractmethod
    def sample(self, count: int) -> Tensor:
        """Return `count` uint8 samples, each from NFE evaluations of the network."""


class OmokageModel(BenchmarkModel):
    """This project, with the parameters of a preset."""

    def __init__(self, faces: Tensor, steps: int, lr: float, seed: int, p: Params) -> None:
        self.p = p
        self.spec, config = make_configs(p.model_copy(update={"half_size_steps": 0, "steps": steps, "lr": lr}), faces)
        self.batch_size = config.batch_size
        self.trainer = Trainer(faces, self.spec, config, ComputeConfig(DEVICE, choose_dtype(p.precision, DEVICE)))
        self.network = self.trainer.network

    def step(self) -> None:
        self.trainer.advance()

    def state_dict(self) -> dict[str, Any]:
        return self.trainer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trainer.load_state_dict(state)

    def denoise(self, x_t: Tensor, log_snr: float) -> Tensor:
        # The network's input is whitened: x0 = 2 std w + mean. x_t is rescaled to unit variance for it.
        mean = 2 * torch.tensor(self.spec.mean, device=DEVICE).view(1, 3, 1, 1) - 1
        alpha, sigma = alpha_and_sigma(log_snr)
        scale = math.hypot(2 * self.spec.std * alpha, sigma)
        signal, noise = torch.tensor(2 * self.spec.std * alpha / scale), torch.tensor(sigma / scale)
        x = (x_t - alpha * mean) / scale
        angle = torch.full((len(x_t),), math.atan2(noise, signal), device=DEVICE)
        output = make_denoiser(self.trainer.ema.model, self.spec, DEVICE).network(x, angle)
        return predict_x0(self.spec.prediction, output, x, signal, noise) * 2 * self.spec.std + mean

    def sample(self, count: int) -> Tensor:
        p, trainer = self.p, self.trainer
        guidance = (p.guidance_scale, p.guidance_snapshot, p.guidance_min_log_snr)
        denoiser = make_trained_denoiser(trainer.ema.model, self.spec, trainer.snapshots, *guidance)
        # With autoguidance, half of the evaluations are those of the guiding model.
        evaluations = NFE if p.guidance_scale == 1 else NFE // 2
        return generate_samples(denoiser, self.spec, p.sampler, p.timestep_spacing, evaluations, count)


def alpha_and_sigma(log_snr: float) -> tuple[float, float]:
    """Return alpha and sigma, with alpha^2 + sigma^2 = 1, at a log-SNR."""
    return (1 / (1 + math.exp(-log_snr))) ** 0.5, (1 / (1 + math.exp(log_snr))) ** 0.5
