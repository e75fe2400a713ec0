"""The noise schedule: how much of the picture is left at each step, and the log signal-to-noise ratio."""

from PIL import Image

from omokage.diffusion.schedule import SCHEDULES, Schedule
from omokage.figures.style import FAINT, plot

DASHES = (":", "--", "-.")


def draw(
    *,
    schedule: str,
    timesteps: int,
    zero_snr: bool,
    log_snr_shift: float,
    figure_style: str,
    figure_palette: str,
    figure_dpi: int,
) -> Image.Image:
    """Draw the chosen schedule strong, and the others faint."""
    with plot(figure_style, figure_palette, figure_dpi, (7.6, 3.7), columns=2) as drawing:
        left, right = drawing.panels
        strong = {"color": drawing.colours[0], "linewidth": 3, "zorder": 3}
        for dash, name in zip(DASHES, SCHEDULES, strict=True):
            made, chosen = Schedule.make(name, timesteps, zero_snr, log_snr_shift), name == schedule
            look = strong if chosen else {"color": FAINT, "linestyle": dash}
            left.plot(made.alphas_cumprod.numpy(), label=name, **look)
            right.plot(made.log_snr.numpy(), label=name, **look)
        left.set_title("Share of the picture")
        left.set_ylabel(r"$\bar\alpha_t$ (variance, 0 to 1)")
        left.set_ylim(-0.02, 1.02)
        left.legend()
        right.set_title("Signal to noise")
        right.set_ylabel("log-SNR (nats)")
        right.set_ylim(-13 + log_snr_shift, 11 + log_snr_shift)
        for axes in drawing.panels:
            axes.set_xlabel("step $t$")
        return drawing.image()
