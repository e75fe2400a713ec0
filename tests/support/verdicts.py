"""What the report says about a run, in words."""

from omokage.report.assessment import judge_run
from omokage.report.run import Run

NONE_FOUND = "no copies found by the searches in pixels, shifts, mirrors and features"


def summarise_sections(run: Run) -> dict[str, str]:
    return {heading: verdict.short for heading, verdict in judge_run(run).items()}


def read_paragraphs(run: Run) -> str:
    paragraphs = " ".join(paragraph for verdict in judge_run(run).values() for paragraph in verdict.paragraphs)
    return paragraphs.replace("\u00a0", " ")
