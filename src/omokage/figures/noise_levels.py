"""The error by noise level, on faces trained on and on faces held out: the gap between them is overfitting."""

import pandas as pd

from omokage.figures.style import FAINT, Chart, plot, squared_errors


def draw(table: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Draw a table of t, log_snr (nats), train and held_out (mean squared errors of the averaged network)."""
    table = table.sort_values("log_snr")
    with plot(figure_style, figure_palette, figure_dpi, (6.4, 4.3)) as drawing:
        (axes,) = drawing.panels
        held_out, train = drawing.colours[1], drawing.colours[0]
        axes.fill_between(table["log_snr"], table["train"], table["held_out"], color=FAINT, alpha=0.2, linewidth=0)
        axes.plot(table["log_snr"], table["held_out"], "o-", color=held_out, markersize=6, label="held-out faces")
        axes.plot(table["log_snr"], table["train"], "s--", color=train, markersize=5, label="faces trained on")
        axes.set_xlabel("log signal-to-noise ratio (nats)\n← noise        picture →")
        squared_errors(axes)
        axes.set_title("Error by noise level")
        axes.legend()
        return drawing.chart()
