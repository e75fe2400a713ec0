"""Write everything that is derived from the schema and the imports (`make deps`).

    python -m omokage.pipeline.declare

writes the `params` of every stage in dvc.yaml, the package lists in workflow/packages, the comments and missing
parameters of params.yaml, docs/reference/parameters.md, the captions in workflow/report, and the README's tables of
which change reruns which stage.
"""

import re
import textwrap
from pathlib import Path

from omokage.base.files import write_text
from omokage.config import reference
from omokage.config.params_file import rewrite_params
from omokage.params.schema import PARTS
from omokage.pipeline.graph import read_stages
from omokage.pipeline.imports import find_distributions, find_imports
from omokage.pipeline.reruns import render_code_table, render_table
from omokage.pipeline.snakemake_report import render_captions

BEGIN, END = "<!-- {name}: written by `make deps` -->", "<!-- end of {name} -->"


def rewrite_dvc_yaml(text: str) -> str:
    """Return the `text` of dvc.yaml with every stage's `params` taken from the schema; the rest stays the same."""
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
    return text


def render_packages(root: Path, stage: str) -> str:
    """Return the text of a stage's package list: the distributions that it imports, as lines `name==version`."""
    _, modules = find_imports(root, stage)
    return "".join(f"{name}=={version}\n" for name, version in find_distributions(modules).items())


def rewrite_readme(root: Path) -> str:
    """Return the text of the README with up-to-date tables of which change reruns which stage."""
    text, stages = (root / "README.md").read_text(encoding="utf-8"), read_stages(root)
    for name, table in (("reruns", render_table(stages)), ("code reruns", render_code_table(stages))):
        begin, end = BEGIN.format(name=name), END.format(name=name)
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}"
    return text


def declare(root: Path) -> None:
    """Rewrite everything that follows from the schema and the imports: the files in the module's docstring."""
    pipeline = root / "dvc.yaml"
    write_text(pipeline, rewrite_dvc_yaml(pipeline.read_text(encoding="utf-8")))
    for name, stage in read_stages(root).items():
        write_text(root / stage.packages, render_packages(root, name))
    rewrite_params(root / "params.yaml")
    write_text(root / reference.PATH, reference.render_reference())
    for path, caption in render_captions().items():
        write_text(root / path, caption)
    write_text(root / "README.md", rewrite_readme(root))


if __name__ == "__main__":
    declare(Path.cwd())
