"""The whole graph, run with tiny parameters by DVC and by Snakemake: same outputs, and only what a change affects."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.clone import ROOT, TINY_PARAMS, Clone, create_once, parse_stages_run
from support.runs import STAGES, find_planned_stages, hash_outputs

from omokage.config.yaml_file import load_yaml
from omokage.pipeline.graph import read_stages
from omokage.stamps.stamp import read_stamp

# The report is not restored if the times in timings.json, which it reads, are not those of its last run.
RESTORED = {"params", "train", "sample", "transform", "evaluate", "figures"}
AFFECTED_BY_LR = {*RESTORED, "report"}
# Figures that depend on no training.
WITHOUT_TRAINING = {"schedule", "noising", "contact", "data_card", "architecture", "hyperparameters"}
MAX_SIZE_IN_GIT = 3_000_000  # bytes


@pytest.fixture(autouse=True)
def _remove_clones(tmp_path: Path) -> Iterator[None]:
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def copy_with_experiment(
    clone_with_experiment: Clone, preload: Callable[[Clone], Clone], tmp_path: Path
) -> Callable[[], Clone]:
    """A function that returns a copy of the clone whose cache holds a run with lr=1e-3."""
    return lambda: preload(clone_with_experiment.copy(tmp_path / "copy with experiment"))


@pytest.mark.long
def test_snakemake_alone_makes_the_same_outputs_and_then_has_nothing_to_do(
    finished_clone: Clone, tmp_path: Path
) -> None:
    # The finished clone used the preloaded Python: this test also compares it with real interpreters.
    clone = Clone.create(tmp_path / "clone").without_preloading()
    clone.snakemake()
    assert hash_outputs(clone) == hash_outputs(finished_clone)
    assert "Nothing to be done" in clone.snakemake("--dry-run").stdout


@pytest.mark.long
def test_snakemake_runs_after_dvc_what_dvc_would_run_and_dvc_commit_accepts_it(
    copy_clone: Callable[[], Clone], copy_with_experiment: Callable[[], Clone]
) -> None:
    clone = copy_clone()
    assert find_planned_stages(clone) == set()
    clone.set_params(lr=1e-3)
    assert find_planned_stages(clone) == AFFECTED_BY_LR
    clone.snakemake()
    assert find_planned_stages(clone) == set()
    by_dvc = copy_with_experiment()
    by_dvc.set_params(lr=1e-3)
    assert parse_stages_restored(by_dvc.dvc("repro").stdout) == RESTORED
    assert hash_outputs(clone) == hash_outputs(by_dvc)
    assert clone.dvc("commit", "--force", "--quiet").returncode == 0
    assert clone.repro() == []
    changed, changed_by_dvc = ({*each.run("git", "diff", "--name-only").stdout.split()} for each in (clone, by_dvc))
    # What DVC restores takes no time.
    assert changed == changed_by_dvc | {"results/timings.json"}
    # DVC restores files with the current time, in any order: only their hashes say that they are up to date.
    by_dvc.set_params(lr=TINY_PARAMS["lr"])
    by_dvc.repro()
    assert find_planned_stages(by_dvc) == set()


def test_repro_without_a_change_runs_nothing_and_changes_nothing(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    before = hash_outputs(clone)
    done = clone.dvc("repro")
    assert "Data and pipelines are up to date." in done.stdout
    assert parse_stages_run(done.stdout) == []
    assert hash_outputs(clone) == before
    assert clone.run("git", "status", "--porcelain").stdout == ""


def test_returning_to_an_earlier_lr_restores_its_results(
    copy_with_experiment: Callable[[], Clone], finished_clone: Clone
) -> None:
    clone = copy_with_experiment()
    lr = load_yaml(finished_clone.root / "params.yaml")["lr"]
    # The times of the experiment were not committed, so its report lacks them and is written again.
    for value, run, restored in ((1e-3, ["report"], RESTORED), (lr, [], AFFECTED_BY_LR)):
        clone.set_params(lr=value)
        output = clone.dvc("repro").stdout
        assert parse_stages_run(output) == run
        assert parse_stages_restored(output) == restored
    assert hash_outputs(clone) == hash_outputs(finished_clone)
    assert clone.run("git", "status", "--porcelain").stdout == ""


def parse_stages_restored(output: str) -> set[str]:
    """Return the stages whose results `dvc repro` reports as restored from its cache."""
    return set(re.findall(r"Stage '(\w+)' is cached - skipping run", output))


@pytest.mark.parametrize(
    ("cache_type", "values", "written_again"),
    [
        pytest.param("copy", (4, 3), ["report"], marks=pytest.mark.slow),
        ("hardlink", (4, 3), ["report"]),
        # If DVC restored git's files as symlinks, git would store links.
        ("symlink", (4, 5, 4), ["figures", "report"]),
    ],
)
def test_earlier_results_are_restored_under_every_cache_type_and_git_stores_no_link(
    copy_clone: Callable[[], Clone],
    bypass_snakemake: Callable[[Clone], Clone],
    cache_type: str,
    values: tuple[int, ...],
    written_again: list[str],
) -> None:
    clone = bypass_snakemake(copy_clone())
    clone.dvc("config", "cache.type", cache_type)
    hashes = {TINY_PARAMS["kid_subsets"]: hash_outputs(clone)}
    for subsets in values[:-1]:
        clone.set_params(kid_subsets=subsets)
        assert clone.repro() == ["params", "evaluate", "figures", "report"]
        hashes[subsets] = hash_outputs(clone)
    clone.set_params(kid_subsets=values[-1])
    # The report reads timings.json, which now has the times of both runs.
    assert clone.repro() == written_again
    assert hash_outputs(clone) == hashes[values[-1]]
    assert not any((clone.root / out).is_symlink() for stage in STAGES.values() for out in stage.outs_in_git)
    record = clone.root / "results" / "runs" / "evaluate.json"
    assert record.is_symlink() == (cache_type == "symlink")
    assert (record.lstat().st_nlink > 1) == (cache_type == "hardlink")


@pytest.mark.long
@pytest.mark.parametrize(
    ("cache_type", "jobs"),
    [
        pytest.param("copy", 2, marks=pytest.mark.slow),
        ("hardlink", 5),
        pytest.param("symlink", 2, marks=pytest.mark.slow),
    ],
)
def test_partial_work_of_a_fan_out_is_not_used_by_another_run(
    copy_clone: Callable[[], Clone], ddim_outputs: dict[str, str], cache_type: str, jobs: int
) -> None:
    clone = copy_clone()
    clone.configure_profile(sample_jobs=jobs, detect_jobs=2, faces_jobs=3)
    clone.dvc("config", "cache.type", cache_type)
    clone.dvc("checkout", "--relink")
    clone.set_params(lr=1e-3, samples=40)
    clone.repro("sample")
    clone.set_params(lr=TINY_PARAMS["lr"], samples=40, sampler="ddim")
    assert clone.repro("sample") == ["params", "sample"]
    assert hash_outputs(clone, list(ddim_outputs)) == ddim_outputs
    work = clone.root / ".dvc" / "tmp" / "omokage"
    assert (work / "logs" / "workspace" / f"sample-1-of-{jobs}.log").exists()
    assert not list(work.glob("sample-*/**/batch-*"))


@pytest.fixture(scope="module")
def ddim_outputs(
    tmp_path_factory: pytest.TempPathFactory, finished_clone: Clone, bypass_snakemake: Callable[[Clone], Clone]
) -> dict[str, str]:
    """The hashes of the outputs of `sample` for 40 samples by DDIM, from one process without earlier work."""

    def create(folder: Path) -> None:
        clone = bypass_snakemake(finished_clone.copy(folder))
        clone.set_params(samples=40, sampler="ddim")
        clone.repro("sample")

    outputs = ["results/samples.safetensors", "results/frames.safetensors", "results/runs/sample.json"]
    return hash_outputs(Clone(create_once(tmp_path_factory, "DDIM samples", create)), outputs)


def test_every_figure_is_stamped_with_what_made_it_and_no_path_of_this_machine(finished_clone: Clone) -> None:
    for figure in sorted((finished_clone.root / "results" / "figures").iterdir()):
        stamp = json.dumps(read_stamp(figure))
        assert str(finished_clone.root) not in stamp
        assert '"folder": "pictures"' not in stamp
        assert ('"lr"' in stamp) == (figure.stem not in WITHOUT_TRAINING)
    assert '"lr"' in json.dumps(read_stamp(finished_clone.root / "results" / "report.html"))


def test_a_run_adds_little_to_git(finished_clone: Clone) -> None:
    assert measure_outputs_in_git(finished_clone.root) < MAX_SIZE_IN_GIT
    assert measure_outputs_in_git(ROOT) < MAX_SIZE_IN_GIT


def measure_outputs_in_git(root: Path) -> int:
    """Return the bytes of dvc.lock and of the outputs that git does not ignore."""
    outs = {out for stage in read_stages(root).values() for out in stage.outs}
    command = ["git", "check-ignore", "--stdin"]
    answer = subprocess.run(command, cwd=root, input="\n".join(outs), capture_output=True, text=True)
    ignored = set(answer.stdout.splitlines())
    assert "results/model.safetensors" in ignored
    files = [root / out for out in outs - ignored]
    return sum(path.stat().st_size for path in files if path.is_file()) + (root / "dvc.lock").stat().st_size
