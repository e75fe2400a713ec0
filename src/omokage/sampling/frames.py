"""Choose the frames of a denoising that are stored for the figures, and stack them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from omokage.sampling.samplers import SamplerStep
from omokage.sampling.spacing import LOWEST_LOG_SNR

# Above this log-SNR, in nats, the noise in an image is invisible.
HIGHEST_LOG_SNR = 7.0
CLEAN_T = -1  # stands for the timestep of the clean image, which has none


def choose_steps(log_snr: Sequence[float], count: int) -> list[int]:
    """Return the numbers of the sampling steps to store, so that they and the clean image are `count` frames.

    `log_snr` are the log-SNRs of the steps, in ascending order. Step 0, the starting noise, is always chosen. The
    others are chosen as evenly in log-SNR as the visited steps allow, between LOWEST_LOG_SNR and HIGHEST_LOG_SNR or,
    where they lie closer together, between step 1 and the last step. All log-SNRs but that of step 0 are finite.
    """
    steps, wanted = len(log_snr) - 1, min(count - 2, len(log_snr) - 1)
    low, high = max(log_snr[min(1, steps)], LOWEST_LOG_SNR), min(log_snr[-1], HIGHEST_LOG_SNR)
    chosen = [0]
    for number in range(wanted):
        target = low + (high - low) * (number + 0.5) / wanted
        # Leave enough steps for the frames after this one.
        candidates = range(chosen[-1] + 1, steps - (wanted - 1 - number) + 1)
        chosen.append(min(candidates, key=lambda step: abs(log_snr[step] - target)))
    return chosen


def join_steps(parts: Sequence[SamplerStep], count: int) -> SamplerStep:
    """Return one step of the first `count` images, from the same step of consecutive parts of a batch."""
    x_t, x0 = (torch.cat([getattr(part, name) for part in parts])[:count] for name in ("x_t", "x0"))
    return SamplerStep(parts[0].t, x_t, x0)


def stack_frames(steps: Sequence[SamplerStep], log_snr: Sequence[float], clean: Tensor) -> dict[str, Tensor]:
    """Return the frames of a denoising: one for each of the steps, and the clean image.

    `log_snr` are the log-SNRs of the steps. The x_t and x0 of the steps, and the images `clean`, are uint8
    [n, 3, h, w]. The frames are `t` int64 [f], `log_snr` float32 [f], and `x_t` and `x0`, uint8 [f, n, 3, h, w]. In the
    last frame, t is CLEAN_T, the log-SNR is infinite, and x_t and x0 are the clean image.
    """
    return {
        "t": torch.tensor([*(step.t for step in steps), CLEAN_T]),
        "log_snr": torch.tensor([*log_snr, math.inf]),
        "x_t": torch.stack([*(step.x_t for step in steps), clean]),
        "x0": torch.stack([*(step.x0 for step in steps), clean]),
    }
