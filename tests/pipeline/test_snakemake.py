"""What Snakemake users expect of `snakemake`: each command does what Snakemake's manual says, with the real engine."""

import html
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clone import TINY_PARAMS, Clone
from support.runs import STAGES, find_planned_stages, hash_outputs

from omokage.pipeline.graph import find_upstream
from omokage.pipeline.reruns import find_reruns
from omokage.pipeline.rule_files import find_file
from omokage.pipeline.snakemake_report import CATEGORIES
from omokage.report.captions import CAPTIONS

OUTPUTS = {find_file(out) for stage in STAGES.values() for out in stage.outs}


@pytest.fixture(scope="module")
def clone(finished_clone: Clone, preload: Callable[[Clone], Clone], tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the finished clone whose parameter `figure_dpi` has changed. Tests must not change it further."""
    clone = preload(finished_clone.copy(tmp_path_factory.mktemp("snakemake") / "clone"))
    clone.set_params(figure_dpi=90)
    return clone


STALE = {"params", "figures", "report"}


def test_a_dry_run_lists_what_hashes_call_stale(clone: Clone) -> None:
    outputs = hash_outputs(clone)
    assert find_planned_stages(clone) == STALE
    assert find_planned_stages(clone, "results/figures/loss.png") == {"figures"}
    assert find_planned_stages(clone, "results/report.html") == {"figures", "report"}
    assert find_planned_stages(clone, "results/loss.csv") == set()
    assert find_planned_stages(clone, "--until", "figures") == {"figures"}
    assert find_planned_stages(clone, "--until", "sample") == set()
    assert find_planned_stages(clone, "--forcerun", "sample") == {"sample", "evaluate", *STALE}
    assert find_planned_stages(clone, "--forcerun", "results/loss.csv") == set(find_reruns(STAGES)["lr"])
    assert find_planned_stages(clone, "--forceall") == set(STAGES)
    assert hash_outputs(clone) == outputs


def test_times_that_a_checkout_scrambled_run_nothing(finished_clone: Clone, clone: Clone) -> None:
    for number, out in enumerate(sorted(OUTPUTS)):
        os.utime(clone.root / out, (1e9 + number * 7919 % 1000,) * 2)
    assert find_planned_stages(clone) == STALE


def test_rules_are_listed_with_the_descriptions_in_dvc_yaml(clone: Clone) -> None:
    listed = clone.snakemake("--list").stdout.splitlines()
    assert [f"{name} ({stage.description})" for name, stage in sorted(STAGES.items())] == [
        line for line in listed if line.partition(" ")[0] in STAGES
    ]


def test_the_summary_has_every_output_and_its_status(clone: Clone) -> None:
    header, *rows = [line.split("\t") for line in clone.snakemake("--summary").stdout.splitlines()]
    assert header[0] == "output_file" and {row[0] for row in rows} == OUTPUTS
    pending = {row[2] for row in rows if row[-1] == "update pending"}
    assert pending == STALE


def test_the_graphs_have_the_stages_and_their_files(clone: Clone) -> None:
    for option in ("--dag", "--rulegraph"):
        graph = clone.snakemake("--forceall", option).stdout
        labels = dict(re.findall(r"(\d+)\[label = \"(\w+)\"", graph))
        edges = {(labels[a], labels[b]) for a, b in re.findall(r"(\d+) -> (\d+)", graph)}
        assert {(upstream, name) for name in STAGES for upstream in find_upstream(STAGES, name)} - edges == {
            ("params", name) for name in STAGES if find_upstream(STAGES, name) == ["params"]
        }
    files = clone.snakemake("--filegraph").stdout
    assert all(out in files for out in OUTPUTS)


def test_snakemakes_report_shows_the_figures_and_the_report_with_captions(clone: Clone, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    clone.snakemake("--report", str(page))
    text = page.read_text(encoding="utf-8")
    assert all(Path(out).name in text for out in CATEGORIES)
    assert CAPTIONS["loss"].text in html.unescape(text)
    assert not (clone.root / "report.html").exists()


def test_an_archive_has_the_workflow_and_no_output(clone: Clone, tmp_path: Path) -> None:
    clone.snakemake("--archive", str(tmp_path / "archive.tar.gz"))
    with tarfile.open(tmp_path / "archive.tar.gz") as archive:
        names = set(archive.getnames())
    assert {"Snakefile", "workflow/Snakefile", "workflow/rules/stages.smk", "dvc.yaml", "requirements.lock"} <= names
    assert not any(name.endswith((".safetensors", ".zip")) for name in names)


def test_outputs_are_deleted_only_if_that_is_no_dry_run(clone: Clone) -> None:
    listed = clone.snakemake("--delete-all-output", "-n")
    assert {line.removeprefix("Would delete ") for line in (listed.stdout + listed.stderr).splitlines()} >= OUTPUTS
    assert all((clone.root / out).exists() for out in OUTPUTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--touch"], "omokage: --touch: hashes, not times, decide what is up to date: run `dvc commit`"),
        (
            ["--config", "lr=1e-4"],
            "omokage: lr is a parameter: set it in params.yaml, or run `dvc exp run -S lr=0.0001`",
        ),
        (
            ["--config", "sample_job=2"],
            "omokage: the configuration has the unknown key sample_job: did you mean sample_",
        ),
        (
            ["--set-resources", "trian:mem_mb=1"],
            "omokage: set-resources or set-threads has the unknown rule trian: did you mean train?",
        ),
        (["--directory", "results"], "omokage: Snakemake must be run in the checkout"),
    ],
)
def test_what_cannot_do_what_the_manual_says_is_refused(clone: Clone, arguments: list[str], message: str) -> None:
    done = clone.snakemake(*arguments, check=False)
    assert done.returncode == 1 and message in done.stdout + done.stderr
    assert "Migrating" not in done.stderr


def test_the_workflow_is_clean_for_snakemakes_linter(clone: Clone) -> None:
    assert "Congratulations" in clone.snakemake("--lint").stderr


def test_a_stage_that_fails_keeps_the_results_of_the_last_run_and_the_cache(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    clone.dvc("config", "cache.type", "symlink")
    clone.dvc("checkout", "--relink")
    outputs = hash_outputs(clone)
    clone.set_params(min_side=TINY_PARAMS["avatar_size"] + 1)
    failed = clone.snakemake(check=False)
    assert failed.returncode == 1 and "omokage: faces: " in failed.stderr
    kept = [out for out in outputs if out not in STAGES["params"].outs]
    assert hash_outputs(clone, kept) == {out: outputs[out] for out in kept}
    assert "faces" in find_planned_stages(clone)
    clone.set_params(min_side=TINY_PARAMS["min_side"])
    clone.snakemake()
    assert hash_outputs(clone) == outputs
    clone.dvc("checkout", "--relink", "--force")
    assert clone.repro() == []
