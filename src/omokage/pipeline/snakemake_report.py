"""What `snakemake --report` shows of the results: the categories of figures and report, and their captions."""

from pathlib import Path

from omokage.report.captions import CAPTIONS

FOLDER = "workflow/report"
FIGURES = {
    "Samples": ("samples", "denoising", "animation", "neighbours"),
    "Scores": ("scores", "progress", "study"),
    "Training": ("loss", "noise_levels", "schedule", "noising"),
    "Image editing": ("transformed", "between"),
    "Data": ("data_card", "contact"),
}
REPORT = "results/report.html"
REPORT_CAPTION = "The report: model, data, scores, problems, and the parameters of the run."


def _figure_path(name: str) -> str:
    return f"results/figures/{'denoising.gif' if name == 'animation' else f'{name}.png'}"


# The category of every output in Snakemake's report.
CATEGORIES = {_figure_path(name): category for category, names in FIGURES.items() for name in names} | {
    REPORT: "Report"
}


def caption_path(out: str) -> str:
    """Return the path of the caption of an output in CATEGORIES."""
    return f"{FOLDER}/{Path(out).name}.rst"


def render_captions() -> dict[str, str]:
    """Return the text of every caption file, by path."""
    figures = {caption_path(_figure_path(name)): text for name, text in CAPTIONS.items()}
    return {path: f"{text}\n" for path, text in (figures | {caption_path(REPORT): REPORT_CAPTION}).items()}
