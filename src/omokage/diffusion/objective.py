"""What the network predicts, how one prediction turns into another, and how much each noise level counts.

With alpha^2 + sigma^2 = 1 the three predictions are coordinates of the same thing:
v = alpha eps - sigma x0 (Salimans & Ho 2022, appendix D).
"""

from collections.abc import Callable

import torch
from torch import Tensor


def target(prediction: str, x0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return what a network of this `prediction` (eps, x0 or v) should say; alpha and sigma broadcast over x0."""
    return {"eps": lambda: noise, "x0": lambda: x0, "v": lambda: alpha * noise - sigma * x0}[prediction]()


def predicted_x0(prediction: str, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the clean picture that the network's `output` at x_t implies; from eps it takes alpha > 0."""
    return {
        "eps": lambda: (x_t - sigma * output) / alpha,
        "x0": lambda: output,
        "v": lambda: alpha * x_t - sigma * output,
    }[prediction]()


def predicted_noise(prediction: str, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the noise that the network's `output` at x_t implies; from x0 it takes sigma > 0."""
    return {
        "eps": lambda: output,
        "x0": lambda: (x_t - alpha * output) / sigma,
        "v": lambda: sigma * x_t + alpha * output,
    }[prediction]()


def converted(prediction: str, wanted: str, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the network's `output`, a `prediction` at x_t, as the prediction that is `wanted`."""
    if prediction == wanted:
        return output
    x0 = predicted_x0(prediction, output, x_t, alpha, sigma)
    return target(wanted, x0, predicted_noise(prediction, output, x_t, alpha, sigma), alpha, sigma)


# Each noise level's weight for an error in x0, as a function of the SNR and gamma.
WEIGHTINGS: dict[str, Callable[[Tensor, float], Tensor]] = {
    # Hang et al. 2023, section 3.4.
    "min_snr": lambda snr, gamma: snr.clamp(max=gamma),
    # The same as a plain error in the noise (Ho et al. 2020, eq. 14), whatever is predicted.
    "snr": lambda snr, gamma: snr,
    # Salimans & Ho 2022, section 4.
    "truncated_snr": lambda snr, gamma: snr.clamp(min=1),
}


def loss_weight(weighting: str, prediction: str, snr: Tensor, gamma: float, floor: float = 0.0) -> Tensor:
    """Return the weight of the squared error of this `prediction` at each `snr` = alpha^2 / sigma^2.

    An error in eps is SNR times, one in v (SNR + 1) times as large as the same error in x0. "simple" weighs all levels
    of whatever is predicted alike. Otherwise the same error in v has at least the weight `floor`: the noisiest levels
    decide overall colours, and hardly count to min-SNR.
    """
    if weighting == "simple":
        return torch.ones_like(snr)
    weight = torch.maximum(WEIGHTINGS[weighting](snr, gamma), floor * (snr + 1))
    return weight / {"eps": snr, "x0": torch.ones_like(snr), "v": snr + 1}[prediction]
