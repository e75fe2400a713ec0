"""What git sees of a run: nothing if it repeats a committed one, and in merges only results that truly differ."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.clone import Clone

TIMINGS = "results/timings.json"


@pytest.fixture
def origin(copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]) -> Clone:
    """A clone with committed results, which other clones pull from."""
    return bypass_snakemake(copy_clone())


def clone_with_git(origin: Clone, root: Path) -> Clone:
    """Return a git clone of `origin` without its cache, set up as by `make install`."""
    origin.run("git", "clone", "-q", str(origin.root), str(root))
    clone = Clone(root)
    clone.python = origin.python
    clone.dvc("config", "--local", "remote.checkout.url", ".")
    return clone


@pytest.mark.parametrize("stage", ["faces", pytest.param("report", marks=pytest.mark.slow)])
def test_a_first_run_in_a_fresh_clone_leaves_git_clean_and_a_pull_works(
    origin: Clone, tmp_path: Path, stage: str
) -> None:
    fresh = clone_with_git(origin, tmp_path / "fresh")
    assert "faces" in fresh.repro(stage)
    assert fresh.run("git", "status", "--porcelain").stdout == ""
    before = (origin.root / TIMINGS).read_text()
    origin.set_params(crop_margin=0.2)
    origin.repro("faces")
    assert (origin.root / TIMINGS).read_text() != before
    origin.commit("another margin")
    fresh.run("git", "pull", "-q")
    assert fresh.run("git", "rev-parse", "HEAD").stdout == origin.run("git", "rev-parse", "HEAD").stdout


def commit_on_branch(clone: Clone, branch: str, stage: str, **changes: float) -> None:
    """Commit a run of `stage` with other parameters on a new branch of main."""
    clone.run("git", "reset", "-q", "--hard")
    clone.run("git", "checkout", "-q", "-b", branch, "main")
    clone.set_params(**changes)
    assert stage in clone.repro(stage)
    clone.commit(branch)


def merge(clone: Clone, ours: str, theirs: str) -> list[str]:
    """Merge the branch `theirs` into a copy of `ours`, and return the files with conflicts."""
    clone.run("git", "checkout", "-q", "--detach", ours)
    clone.run("git", "merge", "-q", "--no-edit", theirs, check=False)
    return clone.run("git", "diff", "--name-only", "--diff-filter=U").stdout.split()


def test_branches_conflict_only_in_results_of_the_same_stage(origin: Clone) -> None:
    commit_on_branch(origin, "margin", "faces", crop_margin=0.2)
    commit_on_branch(origin, "subsets", "evaluate", kid_subsets=4)
    # Only the record of `params`, which lists all parameters, differs on both sides.
    assert {*merge(origin, "margin", "subsets")} <= {"dvc.lock", "results/runs/params.json"}

    commit_on_branch(origin, "wide", "faces", crop_margin=0.5)
    conflicts = merge(origin, "wide", "margin")
    assert {"params.yaml", "dvc.lock", TIMINGS} <= {*conflicts}
    assert not {"results/curation.json", "results/faces.json"} & {*conflicts}

    # The conflict in the file of times stops nothing.
    origin.run("git", "checkout", "-q", "--theirs", *(path for path in conflicts if path != TIMINGS))
    origin.set_params(crop_margin=0.4)
    done = origin.dvc("repro", "faces")
    assert f"omokage: {TIMINGS}: the time of faces is not added" in done.stderr
    assert f"git checkout -- {TIMINGS}" in done.stderr
    assert "<<<<<<<" in (origin.root / TIMINGS).read_text()
