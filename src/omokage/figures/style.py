"""The looks that all plots share."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
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
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.07,
    "font.size": 12,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "legend.title_fontsize": 11,
    "lines.linewidth": 2,
    "savefig.facecolor": "white",
    # Letters as outlines look alike wherever they are shown; names inside the file are hashes, which a salt fixes.
    "svg.fonttype": "path",
    "svg.hashsalt": "omokage",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 11,
    "ytick.color": INK,
    "ytick.labelsize": 11,
}


COLOURS = 256


@dataclass(frozen=True)
class Chart:
    """A plot that has been drawn: in pixels, with a palette, and the same in lines, as SVG."""

    image: Image.Image
    svg: str


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

    def chart(self) -> Chart:
        """Return what has been drawn, both ways."""
        # The shades along the edges of lines and letters are few: a palette takes a third of the bytes.
        image = self.image().quantize(COLOURS, dither=Image.Dither.NONE)
        # The layout found for the pixels holds for the lines; to find it takes half of the time.
        self.figure.set_layout_engine("none")
        written = io.BytesIO()
        # Of matplotlib's own metadata nothing is left: neither a date nor who it was.
        nothing = dict.fromkeys(("Type", "Format", "Date", "Creator"))
        canvas: Any = FigureCanvasSVG(self.figure)
        # This leaves the figure with another resolution.
        canvas.print_svg(written, metadata=nothing)
        return Chart(image, _lean(written.getvalue().decode()))


def _lean(svg: str) -> str:
    """Return the same drawing in half the bytes: hundredths of a point, short names, no indentation."""
    svg = svg.replace("DejaVuSans-", "c")
    svg = re.sub(r'(<use [^>]*)transform="translate\(([\d.]+) 0\)"', r'\1x="\2"', svg)
    svg = re.sub(r'\b[dxy]="[^"]*"', lambda place: re.sub(r"(\.\d\d)\d+", r"\1", place[0]), svg)
    return re.sub(r"\n\s+", "\n", svg)


def squared_errors(axes: Axes) -> None:
    """Give a panel a logarithmic axis of squared errors, with numbers at 1, 2, 3 and 5 of each power of ten."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("squared error")


def words(text: str, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Return a figure that says in words why there is nothing to see."""
    with plot(figure_style, figure_palette, figure_dpi, (6.4, 1.0)) as drawing:
        (axes,) = drawing.panels
        axes.set_axis_off()
        axes.text(0, 0.5, text, va="center", fontsize=13)
        return drawing.chart()


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
