"""Plot the mean squared error by noise level, on the training set and on the held-out set."""

import pandas as pd

from omokage.figures.style import FAINT, SPLIT_LINES, Chart, format_error_axis, open_figure


def plot(table: pd.DataFrame, *, figure_style: str, figure_palette: str, figure_dpi: int) -> Chart:
    """Plot a table with the columns log_snr (nats), train and held_out (mean squared errors of the EMA network)."""
    table = table.sort_values("log_snr")
    with open_figure(figure_style, figure_palette, figure_dpi, (6.4, 4.3)) as canvas:
        (axes,) = canvas.panels
        axes.fill_between(table["log_snr"], table["train"], table["held_out"], color=FAINT, alpha=0.2, linewidth=0)
        for split, name, line, number in SPLIT_LINES:
            label = f"{name}, mean {table[split].mean():.3g}"
            axes.plot(table["log_snr"], table[split], line, color=canvas.colours[number], markersize=6, label=label)
        axes.set_xlabel("log signal-to-noise ratio (nats)\n← noise        image →")
        format_error_axis(axes)
        axes.set_title("Error of the EMA network by noise level")
        axes.legend()
        return canvas.render_chart()
