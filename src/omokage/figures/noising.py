"""The forward process: the same faces at ten noise levels."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from omokage.diffusion.random import generator
from omokage.diffusion.schedule import Schedule
from omokage.figures.sheet import GAP, PAPER, Pictures, margin, tile, write

LEVELS, FACES = 10, 3


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
    levels = torch.linspace(0, timesteps - 1, min(LEVELS, timesteps), dtype=torch.float64).round().long()
    made = Schedule.make(schedule, timesteps, zero_snr, log_snr_shift)
    centre = torch.tensor(mean).view(1, 3, 1, 1)
    rows = []
    for index, face in enumerate(torch.from_numpy(faces[:FACES])):
        x0 = ((face.float() / 255 - centre) / std).expand(len(levels), -1, -1, -1)
        noise = torch.randn(face.shape, generator=generator(0, "figure noising", index)).expand_as(x0)
        noised = made.add_noise(x0, noise, levels) * std + centre
        rows.append((noised * 255).round().clamp(0, 255).to(torch.uint8).numpy())
    strip = tile(np.concatenate(rows), len(levels))
    head, foot = 84, 44
    sheet = Image.new("RGB", (strip.width, head + strip.height + foot), PAPER)
    sheet.paste(strip, (0, head))
    step = (strip.width + GAP) / len(levels)
    write(sheet, (0, 30), f"Noise goes in: {schedule} schedule, T = {timesteps}", 27, "ls")
    for column, level in enumerate(levels.tolist()):
        middle = column * step + (step - GAP) / 2
        write(sheet, (middle, head - 12), f"t = {level}", 21, "ms")
        ratio = f"{float(made.log_snr[level]):+.1f}".replace("-", "−").replace("inf", "∞")
        write(sheet, (middle, sheet.height - 12), ratio, 21, "ms", faint=True)
    write(sheet, (sheet.width, 30), "below: log-SNR (nats)", 21, "rs", faint=True)
    return margin(sheet)
