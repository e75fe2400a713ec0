"""Write a figure to a file with a stamp: embedded metadata that identifies the run (see stamps/stamp.py)."""

from pathlib import Path

from PIL import Image

from omokage.figures.sheet import Frames
from omokage.figures.style import Chart
from omokage.stamps.stamp import Stamp, save_gif, save_png, save_svg


def save_figure(figure: Image.Image | Chart | Frames, path: Path, stamp: Stamp) -> None:
    """Write a figure: an image as PNG, frames as GIF, and a chart as SVG or PNG, as the path's suffix says."""
    if isinstance(figure, Image.Image):
        save_png(figure, path, stamp)
    elif not isinstance(figure, Chart):
        save_gif(*figure, path, stamp)
    elif path.suffix == ".svg":
        save_svg(figure.svg, path, stamp)
    else:
        save_png(figure.image, path, stamp)
