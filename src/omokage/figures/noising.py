"""Plot the forward process: a face with the noise of some timesteps."""

from collections.abc import Sequence
from functools import partial

import torch
from PIL import Image

from omokage.compute.seeding import make_generator
from omokage.diffusion.schedule import Schedule
from omokage.figures.sheet import Images, Row, choose_fitting, compose_rows, format_log_snr

# Counts of timesteps to try, in this order, until the PNG has at most BUDGET bytes.
COUNTS, BUDGET = (10, 7, 5), 95_000


def plot(
    faces: Images,
    *,
    schedule: str,
    timesteps: int,
    zero_snr: bool,
    log_snr_shift: float,
    mean: Sequence[float],
    std: float,
) -> Image.Image:
    """Plot the first of the faces, uint8 [n, 3, h, w], at some timesteps, with noise added as in training.

    In training, faces with values from 0 to 1 are whitened: `mean` (per channel) is subtracted from them, and the
    difference is divided by `std`.
    """
    noise_schedule = Schedule.make(schedule, timesteps, zero_snr, log_snr_shift)
    title = f"Forward noising: {schedule} schedule, T = {timesteps}"
    centre = torch.tensor(mean).view(1, 3, 1, 1)
    variants = [partial(_compose, faces[0], noise_schedule, title, centre, std, columns) for columns in COUNTS]
    return choose_fitting(variants, BUDGET)


def _compose(
    image: Images, schedule: Schedule, title: str, centre: torch.Tensor, std: float, columns: int
) -> Image.Image:
    timesteps = torch.linspace(0, len(schedule) - 1, min(columns, len(schedule)), dtype=torch.float64).round().long()
    face = torch.from_numpy(image)
    x0 = ((face.float() / 255 - centre) / std).expand(len(timesteps), -1, -1, -1)
    noise = torch.randn(face.shape, generator=make_generator(0, "figure noising", 0)).expand_as(x0)
    x_t = schedule.add_noise(x0, noise, timesteps) * std + centre
    noisy = (x_t * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    ratios = [format_log_snr(value) for value in schedule.log_snr[timesteps].tolist()]
    return compose_rows(
        title,
        [
            Row("timestep t", [str(t) for t in timesteps.tolist()]),
            Row("", noisy),
            Row("log-SNR", ratios),
        ],
    )
