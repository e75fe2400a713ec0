"""Timestep spacings: which of the schedule's timesteps a sampler visits, in descending order.

To add a spacing, write one function and add it to SPACINGS.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch

from omokage.diffusion.schedule import Schedule


def space_trailing(schedule: Schedule, count: int) -> list[int]:
    """Return `count` timesteps, evenly spaced down from the last one, T - 1 (Lin et al. 2024, table 2)."""
    return [round((index + 1) * len(schedule) / count) - 1 for index in reversed(range(count))]


def space_leading(schedule: Schedule, count: int) -> list[int]:
    """Return `count` timesteps, evenly spaced down to 0: floor(i T / count) (Song et al. 2021, appendix D.2, linear).

    The first is T - ceil(T / count), so the noisiest timesteps are not included.
    """
    return [index * len(schedule) // count for index in reversed(range(count))]


def space_log_snr(schedule: Schedule, count: int) -> list[int]:
    """Return `count` different timesteps from T - 1 down to 0, spaced as evenly in log-SNR as integers allow."""
    log_snr = schedule.log_snr
    # Pure noise has no finite log-SNR: the noisiest finite value is used instead.
    lowest = log_snr[torch.isfinite(log_snr)].min()
    targets = torch.linspace(float(lowest), float(log_snr[0]), count, dtype=torch.float64)
    chosen: list[int] = []
    for index, target in enumerate(targets):
        nearest = len(schedule) - 1 if index == 0 else int((log_snr - target).abs().argmin())
        # Targets may share a nearest timestep. Choose one below the last choice, and leave enough for later targets.
        highest = chosen[-1] - 1 if chosen else nearest
        chosen.append(max(min(nearest, highest), count - 1 - index))
    return chosen


# Below this log-SNR, in nats, noisy images of up to about a hundred pixels a side are nearly pure noise.
LOWEST_LOG_SNR = -7.0
# Maximum gap, in nats, between neighbouring timesteps above LOWEST_LOG_SNR.
MAX_GAP = 1.2


def space_early(schedule: Schedule, count: int) -> list[int]:
    """Return `count` timesteps: trailing spacing, with more timesteps between its first and its second timestep.

    Up to a sixth of `count` timesteps are placed there, evenly in log-SNR from LOWEST_LOG_SNR on. These noise levels
    decide an image's overall colours. Without them, the first step from pure noise leads every image to the mean
    colour, and colours far from the mean colour are rarely sampled.
    """
    trailing = space_trailing(schedule, count)
    gap = float(schedule.log_snr[trailing[1]]) - LOWEST_LOG_SNR if count > 1 else 0.0
    extra = min(count // 6, max(0, math.ceil(gap / MAX_GAP)))
    last, *rest = space_trailing(schedule, count - extra)
    targets = torch.linspace(LOWEST_LOG_SNR, float(schedule.log_snr[rest[0]]) if rest else 0.0, extra + 1)[:-1]
    chosen = [last, *(int((schedule.log_snr - target).abs().argmin()) for target in targets), *rest]
    # In a schedule with few timesteps, several targets may have the same nearest timestep.
    return chosen if all(t > t_next for t, t_next in pairwise(chosen)) else trailing


SPACINGS: dict[str, Callable[[Schedule, int], list[int]]] = {
    "early": space_early,
    "trailing": space_trailing,
    "leading": space_leading,
    "log-snr": space_log_snr,
}
