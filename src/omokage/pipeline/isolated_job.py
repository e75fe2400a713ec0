"""Prepare a job of a stage whose outputs lie in another folder, so that those of the pipeline do not change."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omokage.base.job import Job
from omokage.config.validation import validate
from omokage.pipeline.graph import locate, read_stages


def make_isolated_job(
    root: Path, name: str, values: Mapping[str, Any], threads: int, folder: Path, inputs: Mapping[str, Path]
) -> Job[Any]:
    """Return the job of the stage `name` of the checkout `root`, with all outputs and partial work below `folder`.

    `values` has the parameters of all stages. `inputs` maps some of the stage's inputs to other paths; the others are
    those of the checkout. The folders of the outputs are created.
    """
    stage = read_stages(root)[name]
    schema = importlib.import_module(f"omokage.params.{name}").Params
    outputs = {out: folder / out for out in stage.outs}
    for path in outputs.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    return Job(
        params=validate(schema, {key: values[key] for key in schema.model_fields}),
        inputs={dep: inputs.get(dep, locate(root, dep, values)) for dep in stage.data},
        outputs=outputs,
        work=folder / "work" / name,
        threads=threads,
    )
