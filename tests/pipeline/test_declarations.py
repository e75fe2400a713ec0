"""dvc.yaml fits the schema, the imports and the rules: what can be checked without a full run."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.clone import ROOT, Clone
from support.runs import STAGES

from omokage.config.yaml_file import load_yaml
from omokage.documentation.write import render_pages
from omokage.pipeline.code import EXEMPT, SUFFIXES, is_declared
from omokage.pipeline.declare import render_packages, rewrite_dvc_yaml
from omokage.pipeline.graph import find_upstream
from omokage.pipeline.imports import find_imports

MAX_CODE_DEPS, MAX_LINES = 10, 350


@pytest.mark.parametrize("stage", STAGES)
def test_the_imports_of_a_stage_lie_within_the_declared_code_and_reach_all_of_it(stage: str) -> None:
    files, _ = find_imports(ROOT, stage)
    assert [path for path in files if not is_declared(path, STAGES[stage].code)] == [], "add them to dvc.yaml"
    unused = [dep for dep in STAGES[stage].code if not any(is_declared(path, (dep,)) for path in files)]
    assert unused == [], "remove them from dvc.yaml"


@pytest.mark.parametrize("stage", STAGES)
def test_the_packages_of_a_stage_are_those_that_its_imports_reach(stage: str) -> None:
    assert (ROOT / STAGES[stage].packages).read_text() == render_packages(ROOT, stage), "run `make deps`"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_few_folders_of_code_in_a_fixed_order(stage: str) -> None:
    assert len(STAGES[stage].code) <= MAX_CODE_DEPS
    keys = list(load_yaml(ROOT / "dvc.yaml")["stages"][stage])
    assert keys[:4] == ["cmd", "desc", "params", "deps"]
    assert STAGES[stage].deps == (*STAGES[stage].data, *STAGES[stage].code, STAGES[stage].packages)


def test_dvc_yaml_is_short_and_its_parameters_are_those_of_the_schema() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    assert rewrite_dvc_yaml(text) == text, "run `make deps`"
    assert len(text.splitlines()) <= MAX_LINES


def test_the_generated_pages_of_the_reference_are_up_to_date() -> None:
    for path, text in render_pages(ROOT).items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path}: run `make deps`"


def test_dvc_sees_every_file_below_src_except_init_files() -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "src"]
    listed = (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.rstrip("\0").split("\0")
    )
    # Files with another suffix would be neither in DVC's hash nor in ours. py.typed tells type checkers of the types.
    assert [path for path in listed if Path(path).suffix not in SUFFIXES] == ["src/omokage/py.typed"]
    command = [sys.executable, "-m", "dvc", "check-ignore", "--stdin"]
    paths = "\n".join(path for path in listed if (ROOT / path).exists())
    ignored = subprocess.run(command, cwd=ROOT, input=paths, capture_output=True, text=True, check=False).stdout.split()
    assert ignored == [path for path in paths.split("\n") if path.endswith((f"/{EXEMPT}", "/py.typed"))]


def test_every_stage_has_the_same_command_and_a_record() -> None:
    declared = load_yaml(ROOT / "dvc.yaml")["stages"]
    for name, stage in STAGES.items():
        assert declared[name]["cmd"] == f"sh workflow/stage {name}"
        assert stage.record in stage.outs
        assert not any(isinstance(out, dict) for out in declared[name].get("outs", [])) or name in ("figures", "report")


def read_dvc_edges() -> set[tuple[str, str]]:
    """Return the edges that `dvc dag` prints, without those from files that no stage makes."""
    command = [sys.executable, "-m", "dvc", "dag", "--mermaid"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names: dict[str, str] = {}
    edges = set()
    for line in output.splitlines():
        if "-->" in line:
            before, after = line.strip().split("-->")
            edges.add((names[before], names[after]))
        elif '["' in line:
            node, label = line.strip().split("[", 1)
            names[node] = label.strip('"]')
    return edges


def read_snakemake_edges(clone: Clone) -> tuple[set[str], set[tuple[str, str]]]:
    """Return the rules and edges that Snakemake prints for a clone in which nothing has run yet."""
    names: dict[str, str] = {}
    edges = set()
    for line in clone.snakemake("--rulegraph", "dot").stdout.splitlines():
        if "->" in line:
            before, after = line.strip().rstrip(";").split(" -> ")
            edges.add((before, after))
        elif "label" in line:
            node, rest = line.strip().split("[", 1)
            names[node.strip()] = rest.split('"')[1]
    return {*names.values()}, {(names[before], names[after]) for before, after in edges}


def test_dvc_snakemake_and_the_runner_see_the_same_stages_and_edges(tmp_path: Path) -> None:
    rules, edges = read_snakemake_edges(Clone.create(tmp_path / "clone"))
    assert rules == {"all", *STAGES}
    assert {(before, after) for before, after in edges if after != "all"} == read_dvc_edges()
    assert {(before, after) for after in STAGES for before in find_upstream(STAGES, after)} == read_dvc_edges()
