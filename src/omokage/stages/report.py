"""Stage `report`: write the report on a run from its tables, run records and figures."""

from omokage.base.job import Job
from omokage.params.report import Params
from omokage.report.captions import CAPTIONS
from omokage.report.embedded_figure import EmbeddedFigure
from omokage.report.page import Page
from omokage.report.run import Run, read_json
from omokage.report.sprite_sheet import SpriteSheet
from omokage.stamps.records import list_records, trace_runs
from omokage.stamps.stamp import render_stamp


def run(job: Job[Params]) -> None:
    """Write the report as HTML and as Markdown.

    Both have the same stamp: metadata with the parameters, inputs, code and packages behind the report.
    """
    records = list_records(job.inputs)
    training = next(record["params"] for record in records if record["stage"] == "train")
    stamp = {
        "report": "results/report",
        "params": job.params.values(),
        "deps": dict(job.deps),
        "code": job.loaded_code(),
        "packages": dict(job.packages),
        "runs": trace_runs(job.deps, records),
    }
    page = Page(
        title=job.params.report_title,
        run=Run.load(job.input, training["batch_size"], training["prediction"]),
        figures={name: _find_figure(job, name) for name in CAPTIONS},
        sprite_sheet=SpriteSheet.load(job.input("results/frames.safetensors")),
        records=records,
        report_params=job.params.values(),
        manifest=read_json(job.input("data/manifest.json")),
        stamp=render_stamp(stamp),
    )
    job.output("results/report.html").write_text(page.render_html(), encoding="utf-8")
    job.output("results/report.md").write_text(page.render_markdown(), encoding="utf-8")


def _find_figure(job: Job[Params], name: str) -> EmbeddedFigure:
    file = "denoising.gif" if name == "animation" else f"{name}.png"
    svg = job.inputs.get(f"results/figures/{name}.svg")
    return EmbeddedFigure(f"figures/{file}", CAPTIONS[name], job.input(f"results/figures/{file}"), svg)
