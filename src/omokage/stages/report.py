"""Say in words and pictures how the run went."""

from omokage import provenance
from omokage.job import Job
from omokage.params.report import Params
from omokage.report.film import Film
from omokage.report.page import CAPTIONS, Page
from omokage.report.pictures import Picture
from omokage.report.run import Run, read_json

RECORDS = "results/runs/"


def run(job: Job[Params]) -> None:
    """Write the report as HTML and as Markdown, from the run's tables, records and figures."""
    records = [provenance.record(job.input(path)) for path in job.inputs if path.startswith(RECORDS)]
    training = next(run["params"] for run in records if run["stage"] == "train")
    stamp = {
        "report": "results/report",
        "params": job.params.values(),
        "deps": dict(job.deps),
        "code": dict(job.code),
        "packages": dict(job.packages),
        "runs": provenance.chain(job.deps, records),
    }
    page = Page(
        title=job.params.report_title,
        run=Run.load(job.input, training["batch_size"], training["prediction"]),
        pictures={name: _picture(job, name) for name in CAPTIONS},
        film=Film.load(job.input("results/frames.safetensors")),
        records=records,
        own_params=job.params.values(),
        manifest=read_json(job.input("data/manifest.json")),
        stamp=provenance.text(stamp),
    )
    job.output("results/report.html").write_text(page.html(), encoding="utf-8")
    job.output("results/report.md").write_text(page.markdown(), encoding="utf-8")


def _picture(job: Job[Params], name: str) -> Picture:
    file = "denoising.gif" if name == "animation" else f"{name}.png"
    lines = job.inputs.get(f"results/figures/{name}.svg")
    return Picture(f"figures/{file}", CAPTIONS[name], job.input(f"results/figures/{file}"), lines)
