"""dvc.yaml, sealed stages, and the two engines' view of one graph: what can be checked without a full run."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Clone

from omokage import imports, pipeline
from omokage.reruns import rewrite

STAGES = pipeline.read(ROOT)


@pytest.mark.parametrize("stage", STAGES)
def test_the_declared_code_and_packages_are_what_the_imports_reach(stage: str) -> None:
    files, modules = imports.reached(ROOT, stage)
    assert sorted(dep for dep in STAGES[stage].code if dep.endswith(".py")) == files, "run `make deps`"
    listing = (ROOT / STAGES[stage].packages).read_text().split()
    assert listing == [f"{name}=={version}" for name, version in imports.distributions(modules).items()]


def test_the_readme_has_the_table_of_reruns() -> None:
    readme = ROOT / "README.md"
    assert rewrite(readme) == readme.read_text(), "run `make deps`"


def test_templates_beside_the_code_are_declared() -> None:
    other = [path for path in (ROOT / "src").rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}]
    declared = {dep for stage in STAGES.values() for dep in stage.code}
    # What no stage loads, a command of `omokage` does.
    folders = {ROOT / Path(dep).parent for dep in declared}
    assert {path.relative_to(ROOT).as_posix() for path in other if path.parent in folders} <= declared


def test_every_stage_has_the_one_command_a_rule_and_a_record() -> None:
    from omokage.params import whole

    declared = whole.load(ROOT / "dvc.yaml")["stages"]
    for name, stage in STAGES.items():
        assert declared[name]["cmd"] == f"sh workflow/stage {name}"
        assert (ROOT / "workflow" / "rules" / f"{name}.smk").is_file()
        assert stage.record in stage.outs
        assert not any(isinstance(out, dict) for out in declared[name].get("outs", [])) or name == "report"


def test_a_folders_digest_notices_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    first = pipeline.digest(tmp_path)
    (tmp_path / "a" / "x").write_text("2")
    second = pipeline.digest(tmp_path)
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    third = pipeline.digest(tmp_path)
    (tmp_path / "a" / "y").unlink()
    assert len({first, second, third, pipeline.digest(tmp_path)}) == 4


def dvc_edges() -> set[tuple[str, str]]:
    """The edges that `dvc dag` prints, without those from files that no stage makes."""
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", "dag", "--mermaid"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names: dict[str, str] = {}
    edges = set()
    for line in shown.splitlines():
        if "-->" in line:
            before, after = line.strip().split("-->")
            edges.add((names[before], names[after]))
        elif '["' in line:
            node, label = line.strip().split("[", 1)
            names[node] = label.strip('"]')
    return edges


def test_dvc_and_snakemake_see_the_same_edges(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    dot = clone.snakemake("--rulegraph", "dot").stdout
    labels, edges = {}, set()
    for line in dot.splitlines():
        if "->" in line:
            before, after = line.strip().rstrip(";").split(" -> ")
            edges.add((before, after))
        elif "label" in line:
            node, rest = line.strip().split("[", 1)
            labels[node.strip()] = rest.split('"')[1]
    named = {(labels[a], labels[b]) for a, b in edges if labels[b] != "all"}
    assert named == dvc_edges()
    assert {(a, b) for b in STAGES for a in pipeline.upstream(STAGES, b)} == dvc_edges()
