"""The verdicts of a run, in the order in which a report tells them, and in short."""

from omokage.report.copies import copies
from omokage.report.difficulties import difficulties
from omokage.report.performance import performance
from omokage.report.quality import quality
from omokage.report.run import Run
from omokage.report.style import style
from omokage.report.verdict import Verdict


def chapters(run: Run) -> dict[str, Verdict]:
    """Return the verdicts by their headings."""
    told = {
        "Quality": quality(run),
        "Style": style(run),
        "Copies": copies(run),
        "Performance": performance(run),
    }
    return told | {"Difficulties": difficulties(run, told.values())}


def summary(run: Run) -> str:
    """Return the verdicts in a few sentences."""
    said = {heading: verdict.short for heading, verdict in chapters(run).items()}
    return (
        f"In this run {said['Performance']}; the samples are {said['Quality']} (n = {run.metrics['n']:,}). "
        f"Style: {said['Style']}. Copies: {said['Copies']}. Difficulties: {said['Difficulties']}."
    )
