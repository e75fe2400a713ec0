"""What the network predicts, and how one prediction turns into another.

With alpha^2 + sigma^2 = 1 the three are coordinates of the same thing:
v = alpha eps - sigma x0 (Salimans & Ho 2022, appendix D).
"""

from torch import Tensor


def target(prediction: str, x0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return what a network of this `prediction` (eps, x0 or v) should say; alpha and sigma broadcast over x0."""
    return {"eps": lambda: noise, "x0": lambda: x0, "v": lambda: alpha * noise - sigma * x0}[prediction]()


def predicted_x0(prediction: str, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the clean picture that the network's `output` at x_t implies."""
    return {
        "eps": lambda: (x_t - sigma * output) / alpha,
        "x0": lambda: output,
        "v": lambda: alpha * x_t - sigma * output,
    }[prediction]()


def implied_noise(x0: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the noise that leads from x0 to x_t."""
    return (x_t - alpha * x0) / sigma
