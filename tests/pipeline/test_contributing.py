"""The recipes of CONTRIBUTING.md: its code is applied to a clone, in which the pipeline then runs."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clone import ROOT, Clone, tiny_params
from support.recipes import apply_recipe, read_recipe

from omokage.config.yaml_file import load_yaml

REFERENCE = ("docs/reference/parameters.md", "docs/reference/reruns.md")
RECIPES = (
    "Add a parameter",
    "Add a sampler",
    "Add a source of images",
    "Add a figure",
    "Add a stage of your own",
)


@pytest.fixture
def clone(copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]) -> Clone:
    return bypass_snakemake(copy_clone())


def list_changes(clone: Clone) -> set[str]:
    """Return the paths that differ from the last commit."""
    clone.run("git", "add", "-A", "-N")
    return set(clone.run("git", "diff", "--name-only").stdout.split())


def check_style(clone: Clone, paths: set[str]) -> None:
    """Fail unless the linter and the formatter accept the Python files of a recipe."""
    files = sorted(path for path in paths if path.endswith(".py"))
    for command in (["check", "-q"], ["format", "--check", "-q"]):
        clone.run(str(Path(sys.executable).parent / "ruff"), *command, *files)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_takes_at_most_three_edits(recipe: str) -> None:
    edits = read_recipe(recipe)
    assert 1 <= len(edits) == len({edit.path for edit in edits}) <= 3


def test_add_a_parameter(clone: Clone) -> None:
    edited = apply_recipe(clone, "Add a parameter")
    check_style(clone, edited)
    clone.run_deps()
    assert list_changes(clone) == edited | {"params.yaml", "dvc.yaml", "src/omokage/report/defaults.json", *REFERENCE}
    assert (
        (clone.root / "params.yaml").read_text().endswith("\nreport_subtitle: first draft  # subtitle of the report\n")
    )
    assert load_yaml(clone.root / "dvc.yaml")["stages"]["report"]["params"] == ["report_title", "report_subtitle"]
    assert clone.repro() == ["params", "report"]
    assert "Omokage: first draft" in (clone.root / "results/report.md").read_text()
    code, printed = clone.omokage("plan", "-S", "report_subtitle=''")
    assert code == 2 and "report_subtitle = '': string should have at least 1 character" in printed


@pytest.mark.long
def test_add_a_sampler(clone: Clone) -> None:
    edited = apply_recipe(clone, "Add a sampler")
    check_style(clone, edited)
    clone.run_deps()
    pages = {"docs/reference/parameters.md", "docs/reference/command-line.md"}
    assert list_changes(clone) == edited | pages | {"params.yaml"}
    # The tests of samplers find it without an edit.
    shutil.copytree(ROOT / "tests", clone.root / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    tests = ["tests/unit/test_samplers.py", "-k", "plms or registry"]
    done = clone.run(sys.executable, "-m", "pytest", "-n0", "-rA", *tests)
    for name in ("returns_the_gaussian", "error_decreases", "pure_noise_at_zero_snr", "requested_number_of_times"):
        assert any(name in line and line.startswith("PASSED") for line in done.stdout.splitlines()), name
    assert "plms" in clone.omokage("transform", "vary", "--help")[1]
    clone.set_params(sampler="plms", sampler_study=["raw/plms:3"])
    # Nothing is trained again.
    assert clone.repro("evaluate") == ["params", "sample", "evaluate"]
    assert "raw,plms,3" in (clone.root / "results/study.csv").read_text()


@pytest.mark.long
def test_add_a_source_of_images(clone: Clone) -> None:
    edited = apply_recipe(clone, "Add a source of images")
    check_style(clone, edited)
    clone.run_deps()
    lists = {"params.yaml", "docs/reference/parameters.md", "workflow/packages/download.txt"}
    assert list_changes(clone) == edited | lists
    code, printed = clone.omokage("plan", "-S", "source=smiley")
    assert code == 2 and "'folder', 'kaggle' or 'smileys'" in printed
    preset = "purpose: drawn faces\ntime: seconds\nhardware: any\nparams:\n  source: smileys\n"
    (clone.root / "workflow/presets/smileys.yaml").write_text(preset)
    assert "smileys" in clone.omokage("presets")[1]
    clone.commit("a source")
    assert clone.omokage("presets", "use", "smileys")[0] == 0
    assert load_yaml(clone.root / "params.yaml")["source"] == "smileys"
    clone.write_params(tiny_params(source="smileys"))
    assert clone.repro("faces") == ["params", "download", "detect", "faces"]
    manifest = json.loads((clone.root / "data/manifest.json").read_text())
    assert (manifest["source"], manifest["name"], manifest["count"]) == ("smileys", "Smileys", 48)
    assert json.loads((clone.root / "results/faces.json").read_text())["kept"] > 20


@pytest.mark.long
def test_add_a_figure(clone: Clone, tmp_path: Path) -> None:
    edited = apply_recipe(clone, "Add a figure")
    check_style(clone, edited)
    clone.run_deps()
    assert list_changes(clone) == edited | {"dvc.yaml", "workflow/report/brightness.png.rst"}
    assert clone.repro() == ["figures", "report"]
    caption = "Mean brightness of each sample"
    for report in ("results/report.html", "results/report.md"):
        assert caption in (clone.root / report).read_text()
    clone.dvc("plots", "show", "-o", str(tmp_path / "plots"))
    assert list((tmp_path / "plots").rglob("*brightness.png"))
    for suffix in ("png", "svg"):
        code, printed = clone.omokage("why", f"results/figures/brightness.{suffix}")
        assert code == 0 and "is a result of the pipeline, byte for byte" in printed
    assert "brightness.png" in clone.omokage("plan", "-S", "lr=1e-4")[1]
    assert clone.omokage("stale")[0] == clone.omokage("audit")[0] == 0
    clone.snakemake("--report", str(tmp_path / "page.html"))
    assert caption in (tmp_path / "page.html").read_text()
    # Without the figure, `make deps` removes it from dvc.yaml.
    clone.run("git", "checkout", "src/omokage/figures/registry.py")
    clone.run_deps()
    assert "brightness" not in (clone.root / "dvc.yaml").read_text()


def test_add_a_stage_of_your_own(clone: Clone) -> None:
    edited = apply_recipe(clone, "Add a stage of your own")
    check_style(clone, edited)
    clone.run_deps()
    assert list_changes(clone) == edited
    assert clone.repro() == ["reasons"]
    assert sum(json.loads((clone.root / "results/reasons.json").read_text()).values()) == 48
    assert "results/reasons.json" in clone.dvc("metrics", "show").stdout
    assert clone.omokage("stale")[0] == clone.omokage("audit")[0] == 0
