"""The forward process: the same faces at some noise levels."""

from collections.abc import Sequence
from functools import partial

import torch
from PIL import Image

from omokage.diffusion.random import generator
from omokage.diffusion.schedule import Schedule
from omokage.figures.sheet import Pictures, Row, fitting, ruled

# (levels, faces), of which the first that fits is taken.
SIZES, BUDGET = ((10, 3), (10, 2), (10, 1), (7, 1), (5, 1)), 140_000


def draw(
    faces: Pictures,
    *,
    schedule: str,
    timesteps: int,
    zero_snr: bool,
    log_snr_shift: float,
    mean: Sequence[float],
    std: float,
) -> Image.Image:
    """Draw the first of uint8 [n, 3, h, w], noised as the network sees them: whitened by a mean a colour and a std."""
    made = Schedule.make(schedule, timesteps, zero_snr, log_snr_shift)
    title = f"Noise goes in: {schedule} schedule, T = {timesteps}"
    centre = torch.tensor(mean).view(1, 3, 1, 1)
    sheets = [partial(_sheet, faces[:count], made, title, centre, std, columns) for columns, count in SIZES]
    return fitting(sheets, BUDGET)


def _sheet(faces: Pictures, made: Schedule, title: str, centre: torch.Tensor, std: float, columns: int) -> Image.Image:
    levels = torch.linspace(0, len(made) - 1, min(columns, len(made)), dtype=torch.float64).round().long()
    rows = []
    for index, face in enumerate(torch.from_numpy(faces)):
        x0 = ((face.float() / 255 - centre) / std).expand(len(levels), -1, -1, -1)
        noise = torch.randn(face.shape, generator=generator(0, "figure noising", index)).expand_as(x0)
        noised = made.add_noise(x0, noise, levels) * std + centre
        rows.append((noised * 255).round().clamp(0, 255).to(torch.uint8).numpy())
    ratios = [f"{value:+z.1f}".replace("-", "−").replace("inf", "∞") for value in made.log_snr[levels].tolist()]
    return ruled(
        title,
        [
            Row("step t", [str(level) for level in levels.tolist()]),
            *(Row("", row) for row in rows),
            Row("log-SNR", ratios),
        ],
    )
