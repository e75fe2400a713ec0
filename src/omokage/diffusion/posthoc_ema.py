"""Post-hoc EMA: compute EMAs of the weights with any averaging length after training (Karras et al. 2024, section 3).

During training, two power-function EMAs are updated, and snapshots of both are saved. A linear combination of the
snapshots approximates an EMA of another length, in the least-squares sense. The length of an EMA is given as
`sigma_rel`: the standard deviation of its profile (the weight of each training step), relative to the training time.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from omokage.base.errors import UserError

SIGMA_RELS = (0.05, 0.10)
RAW = 0.0  # the sigma_rel of snapshots of the raw weights, which are not averaged
SNAPSHOT_COUNT = 6  # number of steps after which snapshots are taken
# The largest error of the profile of a post-hoc EMA, relative to the profile.
MAX_PROFILE_ERROR = 0.1
# The lengths among which `check_sigma_rel` looks for those that snapshots can approximate.
CANDIDATES = [number / 1000 for number in range(5, 300)]


@dataclass(frozen=True)
class Snapshot:
    """The weights, in float16, of one EMA after `step` training steps.

    `sigma_rel` is the length of the EMA, or RAW if the weights are not averaged.
    """

    step: int
    sigma_rel: float
    weights: dict[str, Tensor]


def sigma_rel_to_gamma(sigma_rel: float) -> float:
    """Return the exponent gamma of the power-function EMA: the largest root of eq. 137 (appendix C)."""
    t = sigma_rel**-2
    return float(np.roots([1, 7, 16 - t, 12 - t]).real.max())


def make_power_function_decay(sigma_rel: float) -> Callable[[int], float]:
    """Return a function from a step (counted from 1) to the EMA's decay at that step: beta in eq. 127."""
    gamma = sigma_rel_to_gamma(sigma_rel)
    return lambda step: (1 - 1 / step) ** (gamma + 1)


def choose_snapshot_steps(steps: int) -> list[int]:
    """Return the steps (counted from 1) after which snapshots are taken.

    They are evenly spread over `steps` and include the last step.
    """
    return sorted({max(1, round(steps * (number + 1) / SNAPSHOT_COUNT)) for number in range(SNAPSHOT_COUNT)})


def solve_posthoc_coefficients(
    steps: Sequence[int], sigma_rels: Sequence[float], step: int, sigma_rel: float
) -> list[float]:
    """Return one coefficient per snapshot, for the EMA of length `sigma_rel` at `step` (algorithm 3).

    The EMA is approximately the sum of coefficient times snapshot. `steps` and `sigma_rels` have one entry per
    snapshot. The coefficients add up to 1.
    """
    times, gammas = np.array(steps, float), np.array([sigma_rel_to_gamma(value) for value in sigma_rels])
    gram = _correlate_profiles(times[:, None], gammas[:, None], times[None], gammas[None])
    target = _correlate_profiles(times, gammas, np.array(float(step)), np.array(sigma_rel_to_gamma(sigma_rel)))
    solution = np.linalg.lstsq(gram, target, rcond=1e-12)[0]
    return [float(coefficient) for coefficient in solution / solution.sum()]


def compute_profile_error(steps: Sequence[int], sigma_rels: Sequence[float], step: int, sigma_rel: float) -> float:
    """Return how much the profile of a post-hoc EMA differs from that of a power-function EMA of length `sigma_rel`.

    It is the norm of the difference divided by the norm of the power-function profile, so 0 is exact. The arguments are
    those of `solve_posthoc_coefficients`.
    """
    coefficients = np.array(solve_posthoc_coefficients(steps, sigma_rels, step, sigma_rel))
    times, gammas = np.array(steps, float), np.array([sigma_rel_to_gamma(value) for value in sigma_rels])
    time, gamma = np.array(float(step)), np.array(sigma_rel_to_gamma(sigma_rel))
    gram = _correlate_profiles(times[:, None], gammas[:, None], times[None], gammas[None])
    target = _correlate_profiles(times, gammas, time, gamma)
    norm = float(_correlate_profiles(time, gamma, time, gamma))
    return float(max(0.0, coefficients @ gram @ coefficients - 2 * coefficients @ target + norm) / norm) ** 0.5


def check_sigma_rel(path: Path, sigma_rel: float) -> None:
    """Raise UserError if the snapshots in the file `path` approximate no EMA of length `sigma_rel`.

    The error of the profile may be at most MAX_PROFILE_ERROR. The message names the lengths that are possible.
    """
    with safe_open(path, framework="pt") as file:
        _, steps, sigma_rels = zip(*_list_ema_snapshots(file), strict=True)
    error = compute_profile_error(steps, sigma_rels, max(steps), sigma_rel)
    if error <= MAX_PROFILE_ERROR:
        return
    possible = [
        value
        for value in CANDIDATES
        if compute_profile_error(steps, sigma_rels, max(steps), value) <= MAX_PROFILE_ERROR
    ]
    raise UserError(
        f"ema_sigma_rel = {sigma_rel}: the profile of this EMA, from snapshots at {len(set(steps))} steps, would "
        f"be off by {100 * error:.0f} %, expected at most {100 * MAX_PROFILE_ERROR:.0f} %: choose {min(possible)} to "
        f"{max(possible)}"
    )


def _correlate_profiles(time_a: np.ndarray, gamma_a: np.ndarray, time_b: np.ndarray, gamma_b: np.ndarray) -> np.ndarray:
    """Return the inner products of pairs of power-function profiles, a and b (eq. 151).

    A profile is given by the step at which it ends (`time`) and its exponent (`gamma`). The arrays are broadcast.
    """
    exponent = np.where(time_a < time_b, gamma_b, -gamma_a)
    numerator = (gamma_a + 1) * (gamma_b + 1) * (time_a / time_b) ** exponent
    return numerator / ((gamma_a + gamma_b + 1) * np.maximum(time_a, time_b))


def save_snapshots(path: Path, snapshots: Sequence[Snapshot]) -> None:
    """Write all snapshots to one safetensors file.

    A tensor is named NUMBER/NAME, after the number of its snapshot and its name in the network. The metadata holds a
    table of [step, sigma_rel] for each snapshot, as JSON.
    """
    weights = {
        f"{number}/{name}": tensor
        for number, snapshot in enumerate(snapshots)
        for name, tensor in snapshot.weights.items()
    }
    table = [[snapshot.step, snapshot.sigma_rel] for snapshot in snapshots]
    save_file(weights, path, metadata={"snapshots": json.dumps(table)})


def synthesise_ema(path: Path, sigma_rel: float) -> Mapping[str, Tensor]:
    """Return the weights, float32, of the EMA of length `sigma_rel` at the end of training.

    They are computed from the snapshots in the file `path`.
    """
    with safe_open(path, framework="pt") as file:
        numbers, steps, sigma_rels = zip(*_list_ema_snapshots(file), strict=True)
        coefficients = solve_posthoc_coefficients(steps, sigma_rels, max(steps), sigma_rel)
        weights: dict[str, Tensor] = {}
        for number, coefficient in zip(numbers, coefficients, strict=True):
            for name, tensor in _read_weights(file, number).items():
                weights[name] = weights.get(name, 0) + coefficient * tensor.to(torch.float64)
    return {name: tensor.float() for name, tensor in weights.items()}


def load_raw_weights(path: Path) -> Mapping[str, Tensor]:
    """Return the raw weights (not averaged) at the end of training, as float32; the file has them as float16."""
    with safe_open(path, framework="pt") as file:
        (number,) = (number for number, _, sigma_rel in _list_snapshots(file) if sigma_rel == RAW)
        return _read_weights_as_float32(file, number)


def list_snapshot_steps(path: Path) -> list[int]:
    """Return the steps after which the snapshots in the file `path` were taken, in ascending order."""
    with safe_open(path, framework="pt") as file:
        return list(_list_shortest_emas(file))


def load_nearest_snapshot(path: Path, fraction: float) -> Mapping[str, Tensor]:
    """Return the weights, float32, of the snapshot that is nearest to a fraction (0 to 1) of training.

    Of the EMAs saved at that step, the shortest is used.
    """
    with safe_open(path, framework="pt") as file:
        numbers = _list_shortest_emas(file)
        target = fraction * max(numbers)
        return _read_weights_as_float32(file, numbers[min(numbers, key=lambda step: abs(step - target))])


def _list_snapshots(file: Any) -> list[tuple[int, int, float]]:
    """Return number, step and sigma_rel of every snapshot in an open safetensors file."""
    table = json.loads(file.metadata()["snapshots"])
    return [(number, step, sigma_rel) for number, (step, sigma_rel) in enumerate(table)]


def _list_ema_snapshots(file: Any) -> list[tuple[int, int, float]]:
    return [row for row in _list_snapshots(file) if row[2] != RAW]


def _list_shortest_emas(file: Any) -> dict[int, int]:
    """Return the step and the number of each snapshot with the smallest sigma_rel."""
    smallest = min(sigma_rel for _, _, sigma_rel in _list_ema_snapshots(file))
    return {step: number for number, step, sigma_rel in _list_ema_snapshots(file) if sigma_rel == smallest}


def _read_weights_as_float32(file: Any, number: int) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in _read_weights(file, number).items()}


def _read_weights(file: Any, number: int) -> dict[str, Tensor]:
    prefix = f"{number}/"
    names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 (a file, not a dict)
    return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
