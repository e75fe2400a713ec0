"""A Gaussian data set, for which the ideal denoiser has a closed form."""

import math

import torch
from torch import Tensor

from omokage.diffusion.objective import compute_target
from omokage.diffusion.schedule import Schedule
from omokage.sampling.denoiser import Denoiser, Network
from omokage.sampling.samplers import Noise

MEAN, STD = 0.4, 0.5


def make_unclipped_denoiser(network: Network, prediction: str, schedule: Schedule) -> Denoiser:
    """Return a denoiser that does not clip its predictions."""
    infinity = torch.tensor(math.inf).view(1, 1, 1, 1)
    return Denoiser(network, prediction, schedule, -infinity, infinity)


def make_ideal_denoiser(prediction: str, schedule: Schedule) -> Denoiser:
    """Return the denoiser with the least mean squared error for pixels distributed as N(MEAN, STD^2)."""

    def network(x: Tensor, angle: Tensor) -> Tensor:
        alpha, sigma = angle.double().cos().view(-1, 1, 1, 1), angle.double().sin().view(-1, 1, 1, 1)
        x0 = MEAN + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x - alpha * MEAN)
        return compute_target(prediction, x0, (x - alpha * x0) / sigma, alpha, sigma)

    return make_unclipped_denoiser(network, prediction, schedule)


def repeat_noise(noise: Tensor) -> Noise:
    """Return a noise function for samplers that gives the same `noise` at every step."""
    return lambda step: noise
