"""The registries of sources and figures agree with the schema, the captions and dvc.yaml."""

import re
from typing import get_args

import pytest
from support.clone import ROOT

from omokage.config.yaml_file import parse_yaml
from omokage.figures.registry import FIGURES
from omokage.params.download import Source
from omokage.pipeline.declare import DEFAULTS, render_defaults
from omokage.pipeline.figure_lines import rewrite_figures
from omokage.pipeline.snakemake_report import render_captions
from omokage.report.captions import CAPTIONS, find_path
from omokage.stages.download import SOURCES

DVC_YAML = (ROOT / "dvc.yaml").read_text()


def test_every_choice_of_source_can_be_collected() -> None:
    assert (*SOURCES,) == get_args(Source), "list it in Source of params/download.py and SOURCES of stages/download.py"


def test_every_figure_has_a_caption() -> None:
    images = {f"figures/{name}" for name in FIGURES if not name.endswith(".svg")}
    assert {find_path(name) for name in CAPTIONS} == images, "add it to CAPTIONS in report/captions.py"
    written = {path.relative_to(ROOT).as_posix() for path in (ROOT / "workflow/report").glob("*.rst")}
    assert written == {*render_captions()}, "run `make deps`, and remove captions of figures that no longer exist"


def test_the_report_compares_with_the_defaults_of_the_registry() -> None:
    assert (ROOT / DEFAULTS).read_text() == render_defaults(), "run `make deps`"


@pytest.mark.parametrize("indent", ["      ", "    "], ids=["as here", "as DVC writes it"])
def test_the_figures_in_dvc_yaml_are_written_from_the_registry(indent: str) -> None:
    complete = re.sub(r"^      -", f"{indent}-", DVC_YAML, flags=re.MULTILINE)
    assert rewrite_figures(complete) == complete
    # A line that is missing is added, and one that no figure needs is removed. Comments stay.
    lines = [line for line in complete.splitlines(keepends=True) if not re.search("neighbours|study.svg", line)]
    damaged = "".join(lines).replace("scores.svg: {", "old.svg: {").replace("    plots:\n", "    plots:\n    # Kept.\n")
    written = rewrite_figures(damaged)
    before, after = (parse_yaml(text, "dvc.yaml")["stages"] for text in (complete, written))
    for stage, key in (("figures", "deps"), ("figures", "outs"), ("figures", "plots"), ("report", "deps")):
        assert sorted(map(str, after[stage][key])) == sorted(map(str, before[stage][key]))
    assert "old.svg" not in written and written.count("    # Kept.\n") == damaged.count("    # Kept.\n")
    assert rewrite_figures(written) == written
