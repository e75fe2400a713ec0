"""The model in other repositories by DVC's commands, and DVC's less common ways to run (see docs/reference/dvc.md)."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.clone import Clone, parse_stages_run

from omokage.base.files import hash_file
from omokage.config.yaml_file import load_yaml

MODEL = "results/model.safetensors"
UP_TO_DATE = "Data and pipelines are up to date."


@pytest.fixture
def published(copy_clone: Callable[[], Clone], tmp_path: Path) -> Clone:
    """A clone whose model lies in a remote and in no cache, with a tag for its first version."""
    clone = copy_clone()
    clone.dvc("remote", "add", "--default", "shared", str(tmp_path / "shared"))
    clone.commit("add a remote")
    clone.run("git", "tag", "-a", "-m", "first model", "face-ddpm@v0.1.0")
    clone.dvc("push", MODEL)
    return clone


@pytest.fixture
def elsewhere(published: Clone, tmp_path: Path) -> Clone:
    """Another DVC repository."""
    clone = Clone(tmp_path / "elsewhere")
    clone.python = published.python
    clone.root.mkdir()
    clone.run("git", "init", "-q")
    clone.dvc("init", "-q")
    return clone


def test_other_repositories_get_and_import_the_model(published: Clone, elsewhere: Clone) -> None:
    source, expected = str(published.root), hash_file(published.root / MODEL)
    elsewhere.dvc("artifacts", "get", source, "face-ddpm", "--rev", "v0.1.0", "-o", "version.safetensors")
    elsewhere.dvc("get", source, MODEL, "--rev", "main", "-o", "main.safetensors")
    elsewhere.dvc("import", source, MODEL, "-o", "imported.safetensors")
    for name in ("version", "main", "imported"):
        assert hash_file(elsewhere.root / f"{name}.safetensors") == expected
    (dep,) = load_yaml(elsewhere.root / "imported.safetensors.dvc")["deps"]
    assert dep["repo"]["rev_lock"] == published.run("git", "rev-parse", "HEAD").stdout.strip()


@pytest.mark.slow
def test_a_version_needs_an_annotated_tag(published: Clone, elsewhere: Clone) -> None:
    published.run("git", "tag", "-d", "face-ddpm@v0.1.0")
    published.run("git", "tag", "face-ddpm@v0.1.0")
    done = elsewhere.dvc("artifacts", "get", str(published.root), "face-ddpm", check=False)
    assert done.returncode != 0 and "Unable to find artifact" in done.stderr


def test_a_temporary_experiment_in_a_shallow_clone_is_refused_before_it_runs(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone], tmp_path: Path
) -> None:
    source, clone = bypass_snakemake(copy_clone()), Clone(tmp_path / "shallow")
    source.run("git", "clone", "-q", "--depth", "1", f"file://{source.root}", str(clone.root))
    clone.python = source.python
    clone.dvc("config", "--local", "remote.checkout.url", ".")
    done = clone.dvc("exp", "run", "--temp", "-S", "report_title=Another", "params", check=False)
    assert done.returncode != 0
    assert "omokage: params: the main checkout is a shallow clone" in done.stderr
    assert "git fetch --unshallow" in done.stderr
    clone.run("git", "fetch", "-q", "--unshallow")
    clone.dvc("exp", "run", "--temp", "--name", "kept", "-S", "report_title=Another", "params")
    assert "kept" in clone.dvc("exp", "list").stdout


@pytest.mark.slow
def test_in_a_clone_without_data_only_what_a_stage_reads_is_pulled(
    copy_clone: Callable[[], Clone], tmp_path: Path
) -> None:
    source = copy_clone()
    source.dvc("remote", "add", "--default", "shared", str(tmp_path / "shared"))
    source.commit("add a remote")
    source.dvc("push")
    clone = Clone(tmp_path / "fresh")
    source.run("git", "clone", "-q", str(source.root), str(clone.root))
    clone.python = source.python
    clone.dvc("config", "--local", "remote.checkout.url", ".")
    assert UP_TO_DATE in clone.dvc("repro", "--allow-missing").stdout
    clone.set_params(report_title="Another")
    done = clone.dvc("repro", "--pull", "--allow-missing")
    assert parse_stages_run(done.stdout) == ["params", "report"]
    assert (clone.root / "results/frames.safetensors").exists() and not (clone.root / MODEL).exists()


@pytest.mark.slow
def test_results_without_commit_and_those_of_snakemake_are_entered_by_dvc_commit(
    copy_clone: Callable[[], Clone],
) -> None:
    clone = copy_clone()
    clone.set_params(report_title="Another")
    clone.dvc("repro", "--no-commit")
    clone.dvc("commit", "-f")
    assert UP_TO_DATE in clone.dvc("status").stdout
    clone.set_params(report_title="By Snakemake")
    clone.snakemake()
    assert "report" in clone.dvc("status").stdout
    clone.dvc("commit", "-f")
    assert UP_TO_DATE in clone.dvc("status").stdout and clone.repro() == []


@pytest.mark.slow
def test_the_garbage_collector_deletes_what_going_back_needs(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    for title, run in (("A", ["params", "report"]), ("B", ["params", "report"]), ("A", [])):
        clone.set_params(report_title=title)
        assert clone.repro() == run
    clone.dvc("gc", "--workspace", "--force")
    clone.set_params(report_title="B")
    assert clone.repro() == ["params", "report"]
