"""The looks that all plots share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

INK, FAINT = "#26262b", "#8c8c94"
# Nothing of the machine's or the user's own settings is left, so that every machine draws the same pixels.
RC = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.titlesize": 13,
    "axes.labelsize": 12,
    "figure.constrained_layout.use": True,
    "font.size": 12,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "legend.title_fontsize": 11,
    "lines.linewidth": 2,
    "savefig.facecolor": "white",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 11,
    "ytick.color": INK,
    "ytick.labelsize": 11,
}


@dataclass(frozen=True)
class Plot:
    """A figure being drawn: its panels, left to right and top to bottom, and the palette's colours."""

    figure: Figure
    panels: list[Axes]
    colours: list[Any]

    def image(self) -> Image.Image:
        """Return what has been drawn as an RGB picture."""
        canvas: Any = FigureCanvasAgg(self.figure)
        canvas.draw()
        return Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1).convert(
            "RGB"
        )


@contextmanager
def plot(
    figure_style: str,
    figure_palette: str,
    figure_dpi: int,
    inches: tuple[float, float],
    rows: int = 1,
    columns: int = 1,
    **grid: Any,
) -> Iterator[Plot]:
    """Open a figure of so many inches with rows x columns panels, in a seaborn style and palette."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        seaborn.set_theme(style=figure_style, palette=figure_palette, font="DejaVu Sans", rc=RC)
        figure = Figure(figsize=inches, dpi=figure_dpi)
        panels = figure.subplots(rows, columns, squeeze=False, **grid)
        yield Plot(figure, list(panels.flat), seaborn.color_palette())
