"""Write what the pipeline derives from the schema, the imports and the registry of figures (`make deps`).

    python -m omokage.pipeline.declare

writes the `params` of every stage and the figures in dvc.yaml, the package lists in workflow/packages, the comments and
missing parameters of params.yaml, the captions in workflow/report, and the defaults that the report compares with.
"""

import json
import re
import textwrap
from pathlib import Path

from omokage.base.files import write_text
from omokage.config.params_file import default_params, rewrite_params
from omokage.params.schema import PARTS
from omokage.pipeline.figure_lines import rewrite_figures
from omokage.pipeline.graph import read_stages
from omokage.pipeline.imports import find_distributions, find_imports
from omokage.pipeline.snakemake_report import render_captions

DEFAULTS = "src/omokage/report/defaults.json"


def rewrite_dvc_yaml(text: str) -> str:
    """Return the `text` of dvc.yaml with every stage's `params` taken from the schema, and the registry's figures."""
    for stage, part in PARTS.items():
        line = textwrap.fill(
            f"params: [{', '.join(part.model_fields)}]",
            118,
            initial_indent="    ",
            subsequent_indent="      ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        text = re.sub(
            rf"(^  {stage}:\n(?:    (?!params:).*\n|      .*\n)*)    params: \[[^\]]*\]",
            rf"\g<1>{line}",
            text,
            flags=re.MULTILINE,
        )
    return rewrite_figures(text)


def render_packages(root: Path, stage: str) -> str:
    """Return the text of a stage's package list: the distributions that it imports, as lines `name==version`."""
    _, modules = find_imports(root, stage)
    return "".join(f"{name}=={version}\n" for name, version in find_distributions(modules).items())


def render_defaults() -> str:
    """Return the default of every parameter as JSON, one per line. The report may not import omokage.config."""
    return json.dumps(default_params(), indent=1) + "\n"


def declare(root: Path) -> None:
    """Rewrite the files that the module's docstring lists."""
    pipeline = root / "dvc.yaml"
    write_text(pipeline, rewrite_dvc_yaml(pipeline.read_text(encoding="utf-8")))
    for name, stage in read_stages(root).items():
        write_text(root / stage.packages, render_packages(root, name))
    rewrite_params(root / "params.yaml")
    for path, caption in render_captions().items():
        write_text(root / path, caption)
    write_text(root / DEFAULTS, render_defaults())


if __name__ == "__main__":
    declare(Path.cwd())
