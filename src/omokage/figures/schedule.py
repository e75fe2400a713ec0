"""The noise schedule: how much of the picture is left at each step, and the log signal-to-noise ratio."""

import numpy as np

from omokage.diffusion.schedule import SCHEDULES, Schedule
from omokage.figures.style import FAINT, Chart, plot

DASHES = (":", "--", "-.")
# More steps than pixels only make a file large.
MOST = 200


def draw(
    *,
    schedule: str,
    timesteps: int,
    zero_snr: bool,
    log_snr_shift: float,
    figure_style: str,
    figure_palette: str,
    figure_dpi: int,
) -> Chart:
    """Draw the chosen schedule strong, and the others faint."""
    steps = np.unique(np.linspace(0, timesteps - 1, min(MOST, timesteps)).round().astype(int))
    with plot(figure_style, figure_palette, figure_dpi, (6.4, 3.4), columns=2) as drawing:
        left, right = drawing.panels
        strong = {"color": drawing.colours[0], "linewidth": 3, "zorder": 3}
        for dash, name in zip(DASHES, SCHEDULES, strict=True):
            made, chosen = Schedule.make(name, timesteps, zero_snr, log_snr_shift), name == schedule
            look = strong if chosen else {"color": FAINT, "linestyle": dash}
            left.plot(steps, made.alphas_cumprod.numpy()[steps], label=name, **look)
            right.plot(steps, made.log_snr.numpy()[steps], label=name, **look)
        left.set_title("Share of the picture")
        left.set_ylabel(r"$\bar\alpha_t$ (variance, 0 to 1)")
        left.set_ylim(-0.02, 1.02)
        left.legend()
        right.set_title("Signal to noise")
        right.set_ylabel("log-SNR (nats)")
        right.set_ylim(-13 + log_snr_shift, 11 + log_snr_shift)
        for axes in drawing.panels:
            axes.set_xlabel("step $t$")
        return drawing.chart()
