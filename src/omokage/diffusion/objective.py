"""What the network predicts (eps, x0 or v), and the loss weight of each noise level.

With alpha^2 + sigma^2 = 1, the noisy image is x_t = alpha x0 + sigma eps, and v = alpha eps - sigma x0 (Salimans & Ho
2022, appendix D). If x_t is given, each of the three predictions determines the other two.
"""

from collections.abc import Callable

import torch
from torch import Tensor

PREDICTIONS = ("eps", "x0", "v")  # what a network may predict


def compute_target(prediction: str, x0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the training target of a network that predicts `prediction` (eps, x0 or v).

    `noise` is eps, of the shape of x0. `alpha` and `sigma` are broadcast to that shape.
    """
    return {"eps": lambda: noise, "x0": lambda: x0, "v": lambda: alpha * noise - sigma * x0}[prediction]()


def predict_x0(prediction: str, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the clean image that the network's `output` at x_t implies.

    The prediction "eps" requires alpha > 0.
    """
    return {
        "eps": lambda: (x_t - sigma * output) / alpha,
        "x0": lambda: output,
        "v": lambda: alpha * x_t - sigma * output,
    }[prediction]()


# Loss weighting -> the weight of the squared error in x0, as a function of the SNR and gamma.
WEIGHTINGS: dict[str, Callable[[Tensor, float], Tensor]] = {
    # Hang et al. 2023, section 3.4.
    "min_snr": lambda snr, gamma: snr.clamp(max=gamma),
    # Equal to an unweighted squared error in eps (Ho et al. 2020, eq. 14), whether the network predicts eps, x0 or v.
    "snr": lambda snr, gamma: snr,
    # Salimans & Ho 2022, section 4.
    "truncated_snr": lambda snr, gamma: snr.clamp(min=1),
}


def compute_loss_weight(weighting: str, prediction: str, snr: Tensor, gamma: float, floor: float = 0.0) -> Tensor:
    """Return the weight of the squared error of the network's prediction at each `snr` = alpha^2 / sigma^2.

    The weighting "simple" is 1 for every prediction and noise level. For any other weighting, WEIGHTINGS gives the
    weight of the squared error in x0, where `gamma` matters only for min_snr. This weight is converted to the network's
    prediction: the squared error in x0 is (squared error in eps) / SNR = (squared error in v) / (SNR + 1).

    `floor` is the minimum of the result, so it bounds the weight of the error in what the network predicts. Without a
    minimum, min_snr with v or x0 nearly ignores the noisiest levels, which decide an image's overall colours.
    """
    if weighting == "simple":
        return torch.ones_like(snr)
    divisor = {"eps": snr, "x0": torch.ones_like(snr), "v": snr + 1}[prediction]
    return (WEIGHTINGS[weighting](snr, gamma) / divisor).clamp(min=floor)
