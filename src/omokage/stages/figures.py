"""Stage `figures`: plot every figure from its declared inputs and parameters.

Each figure has a stamp: metadata in the file with the parameters, inputs, code and packages behind the figure.
"""

from functools import cache
from typing import Any

from PIL import Image

from omokage.base.files import hash_file
from omokage.base.job import Job
from omokage.base.progress import show_progress
from omokage.figures.inputs import open_inputs
from omokage.figures.registry import FIGURES, FigureSpec, list_code
from omokage.figures.save import save_figure
from omokage.figures.sheet import Frames
from omokage.figures.style import Chart
from omokage.params.figures import Params
from omokage.stamps.records import list_records, trace_runs
from omokage.stamps.stamp import hash_pixels


def run(job: Job[Params]) -> None:
    """Write every figure with its stamp.

    The run record lists the sha256 of each figure's file and of its pixels.
    """
    records = list_records(job.inputs)
    by_stage = {record["stage"]: record for record in records}
    open_input = open_inputs(job.input)

    def get_arguments(figure: FigureSpec) -> dict[str, dict[str, Any]]:
        params = {key: getattr(job.params, key) for key in figure.params}
        facts = {key: by_stage["train"]["facts"][key] for key in figure.facts}
        facts |= {key: by_stage["sample"]["params"][key] for key in figure.sample_params}
        return {"params": params, "facts": facts}

    @cache
    def plot(figure: FigureSpec) -> Image.Image | Chart | Frames:
        arguments = get_arguments(figure)
        return figure.plot(*map(open_input, figure.inputs), **arguments["params"], **arguments["facts"])

    hashes = {}
    for name, figure in show_progress(FIGURES.items(), "figures", unit="figure"):
        deps = {path: job.deps[path] for path in (declared.partition(":")[0] for declared in figure.inputs)}
        stamp = {
            "figure": name,
            **get_arguments(figure),
            "deps": deps,
            "code": list_code(figure, job.loaded_code()),
            "packages": dict(job.packages),
            "runs": trace_runs(deps, records),
        }
        path = job.output(f"results/figures/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_figure(plot(figure), path, stamp)
        hashes[name] = {"sha256": hash_file(path), "pixels": hash_pixels(path)}
    job.facts["figures"] = hashes
