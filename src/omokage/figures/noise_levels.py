"""Plot the squared error by noise level, on the training set and on the held-out set. The gap shows overfitting."""

import pandas as pd

from omokage.figures.style import FAINT, Chart, format_error_axis, open_figure


def plot(table: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Plot a table with the columns log_snr (nats), train and held_out (mean squared errors of the EMA network)."""
    table = table.sort_values("log_snr")
    with open_figure(figure_style, figure_palette, figure_dpi, (6.4, 4.3)) as canvas:
        (axes,) = canvas.panels
        held_out, train = canvas.colours[1], canvas.colours[0]
        axes.fill_between(table["log_snr"], table["train"], table["held_out"], color=FAINT, alpha=0.2, linewidth=0)
        axes.plot(table["log_snr"], table["held_out"], "o-", color=held_out, markersize=6, label="held-out set")
        axes.plot(table["log_snr"], table["train"], "s--", color=train, markersize=5, label="training set")
        axes.set_xlabel("log signal-to-noise ratio (nats)\n← noise        image →")
        format_error_axis(axes)
        axes.set_title("Error by noise level")
        axes.legend()
        return canvas.render_chart()
