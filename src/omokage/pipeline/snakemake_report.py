"""What `snakemake --report` shows of the results: the categories of figures and report, and their captions."""

from pathlib import Path

from omokage.report.captions import CAPTIONS, find_path

FOLDER = "workflow/report"
REPORT = "results/report.html"
REPORT_CAPTION = "The report: model, data, scores, challenges, and the parameters of the run."
# The category of every output in Snakemake's report.
CATEGORIES = {f"results/{find_path(name)}": caption.section for name, caption in CAPTIONS.items()} | {REPORT: "Report"}


def caption_path(out: str) -> str:
    """Return the path of the caption of an output in CATEGORIES."""
    return f"{FOLDER}/{Path(out).name}.rst"


def render_captions() -> dict[str, str]:
    """Return the text of every caption file, by path."""
    figures = {caption_path(find_path(name)): caption.text for name, caption in CAPTIONS.items()}
    return {path: f"{text}\n" for path, text in (figures | {caption_path(REPORT): REPORT_CAPTION}).items()}
