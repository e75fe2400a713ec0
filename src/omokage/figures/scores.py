"""How far the samples are from real faces, beside how far real faces are from one another (the floor)."""

from typing import Any

from PIL import Image

from omokage.figures.style import FAINT, INK, plot


def draw(metrics: dict[str, Any], *, figure_style: str, figure_palette: str, figure_dpi: int) -> Image.Image:
    """Draw the distance and KID (both without unit, lower is better) of a metrics table, each beside its floor."""
    with plot(figure_style, figure_palette, figure_dpi, (7.6, 2.7), columns=2, sharey=True) as drawing:
        names = (metrics["score"][:1].upper() + metrics["score"][1:], "KID")
        for axes, key, name in zip(drawing.panels, ("distance", "kid"), names, strict=True):
            values = [metrics[f"{key}_floor"], metrics[key]]
            axes.barh(["real faces\n(floor)", "samples"], values, color=[FAINT, drawing.colours[0]], height=0.6)
            for row, value in enumerate(values):
                words = f"{value:.3g}".replace("-", "−")
                axes.annotate(words, (max(value, 0), row), (6, 0), textcoords="offset points", va="center")
            axes.axvline(0, color=INK, linewidth=1)
            axes.set_xlim(1.1 * min(0.0, *values), 1.4 * max(1e-9, *values))
            axes.grid(False, axis="y")
            axes.set_title(name)
            axes.locator_params(axis="x", nbins=4)
        drawing.figure.supxlabel(
            f"lower is better; n = {metrics['n']} and {metrics['n_reference']} real, {metrics['extractor']} features",
            fontsize=11,
        )
        return drawing.image()
