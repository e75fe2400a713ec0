"""Stage `report`: write the report on a run from its tables, run records and figures."""

from safetensors.numpy import load_file

from omokage.base.job import Job
from omokage.base.json_file import read_json
from omokage.params.report import Params
from omokage.report.alt_texts import describe_figure
from omokage.report.captions import CAPTIONS, find_path
from omokage.report.embedded_figure import EmbeddedFigure
from omokage.report.evidence import Evidence
from omokage.report.page import Page
from omokage.report.run import Duration, Run
from omokage.report.sprite_sheet import SpriteSheet
from omokage.stamps.records import list_records, trace_runs
from omokage.stamps.stamp import render_stamp
from omokage.stamps.timings import PATH as TIMINGS
from omokage.stamps.timings import find_machines, find_seconds


def run(job: Job[Params]) -> None:
    """Write the report as HTML and as Markdown.

    Both have the same stamp: metadata with the parameters, inputs, code and packages behind the report.
    """
    records = list_records(job.inputs)
    stamp = {
        "report": "results/report",
        "params": job.params.values(),
        # Without the times, since they do not identify a run.
        "deps": {path: digest for path, digest in job.deps.items() if path != TIMINGS},
        "code": job.loaded_code(),
        "packages": dict(job.packages),
        "runs": trace_runs(job.deps, records),
    }
    timings = job.input(TIMINGS)
    duration = Duration.sum(records, find_seconds(timings, records), find_machines(timings, records))
    run = Run.load(job.input, records, duration)
    frames = load_file(job.input("results/frames.safetensors"))
    evidence = Evidence.collect(run, records, frames)
    page = Page(
        title=job.params.report_title,
        run=run,
        figures={name: _find_figure(job, name, evidence) for name in CAPTIONS},
        sprite_sheet=SpriteSheet.pack(frames),
        records=records,
        report_params=job.params.values(),
        manifest=read_json(job.input("data/manifest.json")),
        evidence=evidence,
        stamp=render_stamp(stamp),
    )
    job.output("results/report.html").write_text(page.render_html(), encoding="utf-8")
    job.output("results/report.md").write_text(page.render_markdown(), encoding="utf-8")


def _find_figure(job: Job[Params], name: str, evidence: Evidence) -> EmbeddedFigure:
    caption, path, alt = CAPTIONS[name], find_path(name), describe_figure(name, evidence)
    svg = job.inputs.get(f"results/figures/{name}.svg")
    return EmbeddedFigure(path, caption.text, job.input(f"results/{path}"), svg, caption.is_wide, alt)
