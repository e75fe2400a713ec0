"""A trained network in the form that samplers use: a function from a noisy image to the predicted clean image."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from omokage.compute.device import choose_dtype, compile_network, mixed_precision
from omokage.diffusion.model import ModelSpec
from omokage.diffusion.objective import predict_x0
from omokage.diffusion.schedule import Schedule
from omokage.diffusion.unet import UNet

# x_t [n, c, h, w] and the noise angle [n] in radians -> the network's prediction, of x_t's shape.
Network = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Denoiser:
    """A network, and everything that is needed to compute a clean image from its output.

    `prediction` is what the network outputs: eps, x0 or v. `low` and `high` are the whitened values of black and white,
    to which predicted clean images are clipped.
    """

    network: Network
    prediction: str
    schedule: Schedule
    low: Tensor
    high: Tensor

    def predict_x0(self, x_t: Tensor, t: int) -> Tensor:
        """Return the predicted clean image [n, c, h, w], float32, for the noisy image x_t at timestep t."""
        alpha, sigma = (torch.tensor(value) for value in self.get_alpha_sigma(t))
        angle = torch.full((len(x_t),), float(self.schedule.angle[t]), device=x_t.device)
        return predict_x0(self.prediction, self.network(x_t, angle), x_t, alpha, sigma).clamp(self.low, self.high)

    def get_alpha_sigma(self, t: int) -> tuple[float, float]:
        """Return alpha and sigma of timestep t."""
        return float(self.schedule.alpha[t]), float(self.schedule.sigma[t])


def make_denoiser(network: UNet, spec: ModelSpec, device: torch.device, compiled: bool = False) -> Denoiser:
    """Return the denoiser of a network. It computes with the dtype that the spec's `precision` selects.

    With `compiled` the network is compiled for a GPU, which takes a minute and pays off only after many calls.
    """
    dtype, size = choose_dtype(spec.precision, device), spec.architecture.image_size
    run = compile_network(network, device) if compiled else network

    def predict(x: Tensor, angle: Tensor) -> Tensor:
        with mixed_precision(device, dtype):
            output: Tensor = run(x, angle)
            return output

    black = torch.zeros(1, 3, size, size, dtype=torch.uint8, device=device)
    return Denoiser(predict, spec.prediction, spec.make_schedule(), spec.whiten(black), spec.whiten(black + 255))
