"""Style and render all charts. The same data give the same bytes on every machine."""

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
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

INK, FAINT, PALE = "#26262b", "#8c8c94", "#c6c6cc"
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
    # Text as outlines looks the same in every viewer. A fixed salt makes the ids in the SVG the same in every run.
    "svg.fonttype": "path",
    "svg.hashsalt": "omokage",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 11,
    "ytick.color": INK,
    "ytick.labelsize": 11,
}
COLOURS = 256
# The errors of the EMA network on a split: column, name in the legend, format of the line, number of the colour.
SPLIT_LINES = (("held_out", "held-out faces", "o-", 1), ("train", "training faces", "s--", 0))


@dataclass(frozen=True)
class Chart:
    """A rendered chart, as a palette image and as the text of an SVG file."""

    image: Image.Image
    svg: str


@dataclass(frozen=True)
class Canvas:
    """A matplotlib figure to plot on, with its panels (row by row) and the colours of the palette."""

    figure: Figure
    panels: list[Axes]
    colours: list[Any]

    def render_image(self) -> Image.Image:
        """Return the figure as an RGB image."""
        renderer: Any = FigureCanvasAgg(self.figure)
        renderer.draw()
        size, pixels = renderer.get_width_height(), renderer.buffer_rgba()
        return Image.frombuffer("RGBA", size, pixels, "raw", "RGBA", 0, 1).convert("RGB")

    def render_chart(self) -> Chart:
        """Return the figure as a palette image and as SVG. Do not plot on it afterwards: the layout is then fixed."""
        # A palette image takes a third of the bytes of an RGB image, and a chart has few colours.
        image = self.render_image().quantize(COLOURS, dither=Image.Dither.NONE)
        # Keep the layout computed for the image. Computing it again for the SVG would take half of the time.
        self.figure.set_layout_engine("none")
        buffer = io.BytesIO()
        # matplotlib's default metadata contain a date, which would differ in every run.
        metadata = dict.fromkeys(("Type", "Format", "Date", "Creator"))
        renderer: Any = FigureCanvasSVG(self.figure)
        renderer.print_svg(buffer, metadata=metadata)
        return Chart(image, _shorten_svg(buffer.getvalue().decode()))


def _shorten_svg(svg: str) -> str:
    """Return an SVG that looks the same and has half the bytes.

    Numbers have two decimals, ids are short, paths do not repeat a command that stays the same, the style of equal
    markers is that of their group, and there is no indentation.
    """
    svg = svg.replace("DejaVuSans-", "c")
    svg = re.sub(r'(<use [^>]*)transform="translate\(([\d.]+) 0\)"', r'\1x="\2"', svg)
    svg = re.sub(r'\b[dxy]="[^"]*"', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), svg)
    svg = re.sub(r'\bd="([^"]*)"', lambda match: f'd="{_shorten_path(match[1])}"', svg)
    svg = re.sub(r"\n\s+", "\n", svg)
    # A group of markers: elements <use> with the same style.
    markers = r'<g (clip-path="[^"]*")>\n((?:<use [^>]*( style="[^"]*")/>\n)(?:<use [^>]*\3/>\n)*)</g>'
    return re.sub(markers, lambda match: f"<g {match[1]}{match[3]}>\n{match[2].replace(match[3], '')}</g>", svg)


def _shorten_path(path: str) -> str:
    """Return the commands of a path without spaces around their letters; a repeated L or Q has no letter."""
    path = re.sub(r"\.0+(?=\s)|(\.\d*[1-9])0+(?=\s)", r"\1", path)
    shortened, last = "", ""
    for letter, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        is_repeated = letter == last and letter in "LQ"
        shortened += (" " if is_repeated else letter) + numbers.strip()
        last = letter
    return shortened


def format_error_axis(axes: Axes) -> None:
    """Make the y axis a logarithmic axis of squared errors.

    Ticks are at 1, 2, 3 and 5 times each power of ten, or if the values differ by a factor less than 5, at about five
    round numbers.
    """
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    few = high < 5 * low
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]) if few else LogLocator(subs=(1, 2, 3, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("mean squared error")


def plot_score_point(axes: Axes, x: float, metrics: dict[str, Any], key: str, colour: Any) -> None:
    """Plot the score `key` of the run's samples at `x`, with its 95 % interval, and the floor as a dashed line.

    `metrics` are the scores in results/scores.json. A line shows the interval instead of matplotlib's error bar, since
    it need not contain the score.
    """
    low, high, floor = (metrics[f"{key}_{name}"] for name in ("low", "high", "floor"))
    axes.plot([x, x], [low, high], color=INK, linewidth=1.5, marker="_", markersize=9, zorder=3)
    label = "this run, 95\u00a0% interval"
    axes.plot([x], [metrics[key]], color=colour, linestyle="none", marker="*", markersize=14, label=label, zorder=4)
    axes.axhline(floor, color=INK, linewidth=1.5, linestyle="--", label="real faces (floor)", zorder=1)


def format_score_axis(axes: Axes, name: str) -> None:
    """Let the y axis of plotted scores reach from 0, or the lowest score below 0, to above the highest marker."""
    low, high = axes.dataLim.intervaly
    axes.set_ylim(min(0.0, 1.1 * low), max(1e-9, 1.1 * high))
    axes.set_ylabel(name)
    axes.locator_params(axis="y", nbins=5)


@contextmanager
def open_figure(
    figure_style: str,
    figure_palette: str,
    figure_dpi: int,
    inches: tuple[float, float],
    rows: int = 1,
    columns: int = 1,
    **grid: Any,
) -> Iterator[Canvas]:
    """Yield a canvas of size `inches` (width, height) with rows x columns panels, in a seaborn style and palette.

    The user's own matplotlib settings are ignored. `grid` are further arguments of matplotlib's Figure.subplots.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        seaborn.set_theme(style=figure_style, palette=figure_palette, font="DejaVu Sans", rc=RC)
        figure = Figure(figsize=inches, dpi=figure_dpi)
        panels = figure.subplots(rows, columns, squeeze=False, **grid)
        yield Canvas(figure, list(panels.flat), seaborn.color_palette())
