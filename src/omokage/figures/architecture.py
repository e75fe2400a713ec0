"""Plot the network: a box for each of its parts, from the noisy image down to the lowest resolution and up again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from omokage.figures.style import FAINT, INK, Canvas, Chart, open_figure

# A part of the network, as in training/network_parts.py.
Part = Mapping[str, Any]
# Lengths in inches, which are also the units of the axes.
WIDTH, BOX_WIDTH, BOX_HEIGHT, ROW_HEIGHT, HEADER, SIDE = 5.3, 2.2, 0.68, 0.92, 0.45, 0.06
LEFT, RIGHT, CENTRE = BOX_WIDTH / 2 + 0.2, WIDTH - BOX_WIDTH / 2 - 0.2, WIDTH / 2


@dataclass(frozen=True)
class Box:
    """A box with its centre (x, y) and lines of text, the first in bold; `colour` is a number in the palette."""

    x: float
    y: float
    lines: list[str]
    colour: int | None = None


def plot(*, network: Sequence[Part], figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Plot a network from its parts: the encoder on the left, the decoder on the right, skip connections between."""
    left, right, bottom = arrange_boxes(network)
    height = max(box.y for box in bottom) + BOX_HEIGHT / 2 + 0.05
    with open_figure(figure_style, figure_palette, figure_dpi, (WIDTH, height)) as canvas:
        canvas.figure.set_layout_engine("none")
        (axes,) = canvas.panels
        axes.set_position((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(height, 0)
        total = _abbreviate(sum(part["parameters"] for part in network))
        axes.text(0.03, 0.2, f"UNet with {total} parameters", fontsize=13, va="center")
        for box in (*left, *right, *bottom):
            _draw_box(canvas, axes, box)
        _draw_arrows(axes, left, right, bottom)
        _draw_noise_level(axes, (*left, *right), bottom[-1])
        return canvas.render_chart()


def arrange_boxes(network: Sequence[Part]) -> tuple[list[Box], list[Box], list[Box]]:
    """Return the boxes of the encoder and of the decoder from top to bottom, and the middle and the noise level.

    A decoder without a last block at full resolution (kind `finish`) has no box in the second row.
    """
    kinds: dict[str, list[Part]] = {}
    for part in network:
        kinds.setdefault(part["kind"], []).append(part)
    (first,), (middle,), (last,), (embedding,) = (kinds[kind] for kind in ("first", "middle", "last", "embedding"))
    finish, patch_size = kinds.get("finish", []), last["side"] // first["side"]
    stem = f"patches of {patch_size} × {patch_size} pixels" if patch_size > 1 else "convolution"
    left = [
        Box(LEFT, _find_row(0), ["noisy image", _format_size(last)]),
        Box(LEFT, _find_row(1), [_format_size(first), stem, _count_parameters(first)]),
    ]
    right = [Box(RIGHT, _find_row(0), ["prediction", _format_size(last), _count_parameters(last)])]
    right += [_make_box(RIGHT, 1, part) for part in finish]
    left += [_make_box(LEFT, row, part) for row, part in enumerate(kinds["down"], 2)]
    for part in kinds.get("half_size", []):
        left[3].lines[1:1] = [f"half-size image · {_abbreviate(part['parameters'])}"]
    right += [_make_box(RIGHT, row, part) for row, part in enumerate(reversed(kinds["up"]), 2)]
    row = 2 + len(kinds["down"])
    noise = ["noise level", "input of every block", _count_parameters(embedding)]
    return left, right, [_make_box(CENTRE, row, middle), Box(CENTRE, _find_row(row + 1), noise)]


def _make_box(x: float, row: int, part: Part) -> Box:
    """Return the box of a part with residual blocks."""
    blocks = f"{part['blocks']} block{'s' if part['blocks'] > 1 else ''} · {_count_parameters(part)}"
    heads = f"attention, {part['heads']} head{'s' if part['heads'] > 1 else ''}"
    lines = [_format_size(part), blocks, *([heads] if part["heads"] else [])]
    return Box(x, _find_row(row), lines, colour=1 if part["heads"] else 0)


def _find_row(number: int) -> float:
    """Return the y of the centre of the boxes in a row, counted from 0."""
    return HEADER + BOX_HEIGHT / 2 + number * ROW_HEIGHT


def _format_size(part: Part) -> str:
    """Return side × side × channels."""
    return f"{part['side']} × {part['side']} × {part['channels']}"


def _count_parameters(part: Part) -> str:
    """Return the number of parameters of a part, with the word."""
    return f"{_abbreviate(part['parameters'])} parameters"


def _abbreviate(count: int) -> str:
    """Return a number of parameters with two or three digits: 467, 5.2 k, 81 k or 2.6 M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.{1 if count < 9.95 * unit else 0}f} {name}"
    return str(count)


def _draw_box(canvas: Canvas, axes: Axes, box: Box) -> None:
    corner = (box.x - BOX_WIDTH / 2 + 0.05, box.y - BOX_HEIGHT / 2 + 0.05)
    fill = "white" if box.colour is None else (*canvas.colours[box.colour], 0.22)
    edge = FAINT if box.colour is None else canvas.colours[box.colour]
    axes.add_patch(
        FancyBboxPatch(
            corner, BOX_WIDTH - 0.1, BOX_HEIGHT - 0.1, "round,pad=0.05", facecolor=fill, edgecolor=edge, linewidth=1.4
        )
    )
    for number, line in enumerate(box.lines):
        offset = (number - (len(box.lines) - 1) / 2) * (0.2 if len(box.lines) < 4 else 0.16)
        weight = "normal" if number else "bold"
        size = 10 if number else 11
        axes.text(box.x, box.y + offset, line, ha="center", va="center", fontsize=size, fontweight=weight)


def _draw_arrows(axes: Axes, left: Sequence[Box], right: Sequence[Box], bottom: Sequence[Box]) -> None:
    """Draw the path through the network as solid arrows, and skip connections and the noise level as dashed arrows."""
    half_width, half_height, (middle, noise) = BOX_WIDTH / 2, BOX_HEIGHT / 2, bottom
    path = [
        *(((LEFT, upper.y + half_height), (LEFT, lower.y - half_height)) for upper, lower in pairwise(left)),
        ((LEFT, left[-1].y + half_height), (CENTRE - 0.4, middle.y - half_height)),
        ((CENTRE + 0.4, middle.y - half_height), (RIGHT, right[-1].y + half_height)),
        *(((RIGHT, lower.y - half_height), (RIGHT, upper.y + half_height)) for upper, lower in pairwise(right)),
    ]
    levels = len(left) - 2
    # The first convolution and the first level both go to the last level of the decoder. A network with a patch stem
    # also passes the noisy image to its last block.
    skips = [*zip(left[2:], right[-levels:], strict=True), (left[1], right[-levels])]
    skips += [(left[0], right[1])] if len(right) > levels + 1 else []
    dashed = [((LEFT + half_width, start.y), (RIGHT - half_width, end.y)) for start, end in skips]
    dashed.append(((CENTRE, noise.y - half_height), (CENTRE, middle.y + half_height)))
    for arrows, colour, line in ((path, INK, "-"), (dashed, FAINT, "--")):
        for start, end in arrows:
            style = {"arrowstyle": "-|>", "color": colour, "linestyle": line, "linewidth": 1.4, "mutation_scale": 12}
            axes.annotate("", end, start, arrowprops={**style, "shrinkA": 1, "shrinkB": 1})


def _draw_noise_level(axes: Axes, boxes: Sequence[Box], noise: Box) -> None:
    """Draw a dashed line from the noise level along both sides, with an arrow to each box that has blocks."""
    line: dict[str, Any] = {"color": FAINT, "linestyle": "--", "linewidth": 1.4}
    for x, side, sign, marker in ((LEFT, SIDE, -1, ">"), (RIGHT, WIDTH - SIDE, 1, "<")):
        edge = x + sign * BOX_WIDTH / 2
        heights = [box.y for box in boxes if box.colour is not None and box.x == x]
        axes.plot([CENTRE + sign * BOX_WIDTH / 2, side, side], [noise.y, noise.y, min(heights)], **line)
        axes.plot([side + (edge - side) / 2] * len(heights), heights, marker=marker, color=FAINT, linestyle="none")
