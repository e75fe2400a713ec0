"""Assess a run: one verdict for each section of the report, and a summary of the verdicts."""

from omokage.report.memorisation import judge_memorisation
from omokage.report.problems import judge_problems
from omokage.report.quality import judge_quality
from omokage.report.run import Run
from omokage.report.style import judge_style
from omokage.report.training_loss import judge_training
from omokage.report.verdict import Verdict


def judge_run(run: Run) -> dict[str, Verdict]:
    """Return the verdicts by section heading, in the order of the report."""
    verdicts = {
        "Sample quality": judge_quality(run),
        "Style": judge_style(run),
        "Memorisation": judge_memorisation(run),
        "Training": judge_training(run),
    }
    return verdicts | {"Challenges": judge_problems(run, verdicts.values())}


def summarise_run(run: Run) -> str:
    """Return a summary of a few sentences, which consists of the short form of every verdict."""
    short = {heading: verdict.short for heading, verdict in judge_run(run).items()}
    return (
        f"In this run {short['Training']}. The samples are {short['Sample quality']} (n = {run.metrics['n']:,}). "
        f"Style: {short['Style']}. Memorisation: {short['Memorisation']}. Challenges: {short['Challenges']}."
    )
