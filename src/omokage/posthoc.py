"""Averages of the weights of any length, put together after the training (Karras et al. 2024, section 3).

While training runs, two averages are kept whose weight for the past is a power of time; snapshots of them span, in the
least-squares sense, the averages of all lengths in between. A length is the average's relative width sigma_rel.
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

LENGTHS = (0.05, 0.10)
RAW = 0.0  # the length of no average: the weights as they are
SNAPSHOTS = 6


@dataclass(frozen=True)
class Snapshot:
    """The weights, float16, of the average of this length (or RAW) after `step` steps."""

    step: int
    length: float
    weights: dict[str, Tensor]


def exponent(length: float) -> float:
    """Return gamma, by which the average weighs time: the largest root of their eq. 137 (appendix C)."""
    t = length**-2
    return float(np.roots([1, 7, 16 - t, 12 - t]).real.max())


def decay(length: float) -> Callable[[int], float]:
    """Return the average's decay at each step (from 1), their eq. 127."""
    gamma = exponent(length)
    return lambda step: (1 - 1 / step) ** (gamma + 1)


def moments(steps: int) -> list[int]:
    """Return the steps (from 1) after which to take snapshots: evenly spread, the last among them."""
    return sorted({max(1, round(steps * (number + 1) / SNAPSHOTS)) for number in range(SNAPSHOTS)})


def shares(steps: Sequence[int], lengths: Sequence[float], step: int, length: float) -> list[float]:
    """Return how much each snapshot contributes to the average of `length` at `step` (their algorithm 3)."""
    times, exponents = np.array(steps, float), np.array([exponent(value) for value in lengths])
    gram = _overlap(times[:, None], exponents[:, None], times[None], exponents[None])
    wanted = _overlap(times, exponents, np.array(float(step)), np.array(exponent(length)))
    found = np.linalg.lstsq(gram, wanted, rcond=1e-12)[0]
    return [float(share) for share in found / found.sum()]


def _overlap(time: np.ndarray, gamma: np.ndarray, other_time: np.ndarray, other_gamma: np.ndarray) -> np.ndarray:
    """Return the inner products of the averages' profiles, their eq. 151."""
    power = np.where(time < other_time, other_gamma, -gamma)
    top = (gamma + 1) * (other_gamma + 1) * (time / other_time) ** power
    return top / ((gamma + other_gamma + 1) * np.maximum(time, other_time))


def save(path: Path, snapshots: Sequence[Snapshot]) -> None:
    """Write the snapshots into one file."""
    weights = {f"{i}/{name}": tensor for i, kept in enumerate(snapshots) for name, tensor in kept.weights.items()}
    table = [[kept.step, kept.length] for kept in snapshots]
    save_file(weights, path, metadata={"snapshots": json.dumps(table)})


def combined(path: Path, length: float) -> Mapping[str, Tensor]:
    """Return the weights, float32, averaged over `length` up to the end of the training with these snapshots."""
    with safe_open(path, framework="pt") as file:
        numbers, steps, lengths = zip(*_averages(file), strict=True)
        weights: dict[str, Tensor] = {}
        for number, share in zip(numbers, shares(steps, lengths, max(steps), length), strict=True):
            for name, tensor in _snapshot(file, number).items():
                weights[name] = weights.get(name, 0) + share * tensor.to(torch.float64)
    return {name: tensor.float() for name, tensor in weights.items()}


def raw(path: Path) -> Mapping[str, Tensor]:
    """Return the weights at the end of the training, without any average, float32 (rounded to float16)."""
    with safe_open(path, framework="pt") as file:
        (number,) = (number for number, _, length in _table(file) if length == RAW)
        return _single(file, number)


def course(path: Path) -> list[int]:
    """Return the steps after which the snapshots were taken, in order."""
    with safe_open(path, framework="pt") as file:
        return list(_shortest(file))


def earlier(path: Path, fraction: float) -> Mapping[str, Tensor]:
    """Return the weights, float32, of the snapshot nearest to this fraction of the training: its shortest average."""
    with safe_open(path, framework="pt") as file:
        numbers = _shortest(file)
        wanted = fraction * max(numbers)
        return _single(file, numbers[min(numbers, key=lambda step: abs(step - wanted))])


def _table(file: Any) -> list[tuple[int, int, float]]:
    """Return number, step and length of every snapshot."""
    return [(number, step, length) for number, (step, length) in enumerate(json.loads(file.metadata()["snapshots"]))]


def _averages(file: Any) -> list[tuple[int, int, float]]:
    return [row for row in _table(file) if row[2] != RAW]


def _shortest(file: Any) -> dict[int, int]:
    """Return the numbers of the snapshots of the shortest average, by step."""
    least = min(length for _, _, length in _averages(file))
    return {step: number for number, step, length in _averages(file) if length == least}


def _single(file: Any, number: int) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in _snapshot(file, number).items()}


def _snapshot(file: Any, number: int) -> dict[str, Tensor]:
    begin = f"{number}/"
    names = [name for name in file.keys() if name.startswith(begin)]  # noqa: SIM118 (a file, not a dict)
    return {name.removeprefix(begin): file.get_tensor(name) for name in names}
