"""Plot the noise schedule: the signal variance and the log signal-to-noise ratio by timestep."""

from typing import Any

import numpy as np

from omokage.diffusion.schedule import SCHEDULES, Schedule
from omokage.figures.style import FAINT, INK, Chart, open_figure

DASHES = (":", "--", "-.")
MAX_POINTS = 200  # more timesteps than pixels only make the file larger


def plot(
    *,
    schedule: str,
    timesteps: int,
    zero_snr: bool,
    log_snr_shift: float,
    figure_style: str,
    figure_palette: str,
    figure_dpi: int,
) -> Chart:
    """Plot the schedule named `schedule` in colour, and the other schedules in grey.

    A vertical line marks the first timestep with at least as much noise as image: a log-SNR of at most 0.
    """
    steps = np.unique(np.linspace(0, timesteps - 1, min(MAX_POINTS, timesteps)).round().astype(int))
    with open_figure(figure_style, figure_palette, figure_dpi, (6.4, 3.4), columns=2) as canvas:
        left, right = canvas.panels
        strong = {"color": canvas.colours[0], "linewidth": 3, "zorder": 3}
        for dash, name in zip(DASHES, SCHEDULES, strict=True):
            curve = Schedule.make(name, timesteps, zero_snr, log_snr_shift)
            line_style = strong if name == schedule else {"color": FAINT, "linestyle": dash}
            left.plot(steps, curve.alphas_cumprod.numpy()[steps], label=name, **line_style)
            right.plot(steps, curve.log_snr.numpy()[steps], label=name, **line_style)
        left.set_title("Signal variance")
        left.set_ylabel(r"$\bar\alpha_t$")
        left.set_ylim(-0.02, 1.02)
        left.legend()
        right.set_title("Signal-to-noise ratio")
        right.set_ylabel("log-SNR (nats)")
        own = Schedule.make(schedule, timesteps, zero_snr, log_snr_shift).log_snr
        lowest = own[own.isfinite()].min().item()
        right.set_ylim(min(-13 + log_snr_shift, lowest - 1), 11 + log_snr_shift)
        if crossings := (own <= 0).nonzero().flatten().tolist():
            half = crossings[0]
            right.axvline(half, color=INK, linewidth=1.5, linestyle="--", label=f"log-SNR 0 at t = {half:,}", zorder=1)
            # Opaque, since the marked line may pass behind the text.
            opaque: dict[str, Any] = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 1}
            right.legend(*(part[-1:] for part in right.get_legend_handles_labels()), loc="lower left", **opaque)
        for axes in canvas.panels:
            axes.set_xlabel("timestep $t$")
        return canvas.render_chart()
