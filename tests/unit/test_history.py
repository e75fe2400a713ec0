"""The history of a project folder: its revisions, files and dvc.lock, read from git with dulwich."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omokage.base.errors import UserError
from omokage.provenance.history import WORKSPACE, History
from omokage.provenance.lineage import MD5

IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "Tests", "EMAIL": "tests@omokage.invalid", "DATE": "2026-03-01T23:30:00 +0200"}.items()
}
LOCK = """schema: '2.0'
stages:
  train:
    cmd: sh workflow/stage train
    deps:
    - path: data/faces
      hash: md5
      md5: a0000000000000000000000000000001.dir
    params:
      params.yaml:
        lr: {lr}
        width: 16
    outs:
    - path: results/loss.csv
      hash: md5
      md5: a0000000000000000000000000000002
"""
EXPERIMENT = "refs/exps/{0:.2}/{1}/{2}"


def git(root: Path, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | IDENTITY
    command = ["git", "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def commit(root: Path, lr: float, folder: str = ".") -> str:
    """Commit a run with this learning rate in a folder of the repository, and return the commit's hash."""
    write_lock(root / folder, lr)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", f"run with {lr}")
    return git(root, "rev-parse", "HEAD")


def write_lock(project: Path, lr: float) -> None:
    path = project / "results" / "train" / "metrics.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"lr": lr}))
    (project / "dvc.lock").write_text(LOCK.format(lr=lr))


def read_rates(history: History) -> dict[str, float]:
    """Return the learning rate in the dvc.lock of every revision, by its name."""
    locks = {revision.name: history.locks(revision) for revision in history.revisions}
    return {name: lock["train"]["params"]["lr"] for name, lock in locks.items() if lock}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with two runs: lr 0.1 and lr 0.2."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    commit(root, 0.1)
    commit(root, 0.2)
    return root


@pytest.fixture
def history(repository: Path) -> Iterator[History]:
    with History(repository) as opened:
        yield opened


def test_revisions_are_the_workspace_and_all_commits_the_newest_first(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "side", "HEAD~1")
    side = commit(repository, 0.3)
    git(repository, "checkout", "-q", "main")
    main, first = git(repository, "rev-parse", "main", "main~1").split()
    write_lock(repository, 0.9)
    with History(repository) as history:
        assert history.revisions[0] == WORKSPACE
        assert {revision.commit for revision in history.revisions[1:3]} == {main, side}
        assert history.revisions[3].commit == first
        assert read_rates(history) == {"workspace": 0.9, main[:7]: 0.2, side[:7]: 0.3, first[:7]: 0.1}


def test_a_revision_is_printed_with_its_name_and_the_date_of_the_committer(history: History) -> None:
    revision = history.revisions[1]
    assert str(WORKSPACE) == "the workspace"
    # 23:30 at two hours east of Greenwich is still 1 March there.
    assert str(revision) == f"commit {revision.commit[:7]} (2026-03-01)"


def test_an_experiment_is_read_although_it_is_not_applied(repository: Path) -> None:
    base = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "--detach")
    experiment = commit(repository, 0.5)
    git(repository, "checkout", "-q", "main")
    git(repository, "update-ref", EXPERIMENT.format(base, base[2:], "fast/one"), experiment)
    with History(repository) as history:
        found = history.revision("fast/one")
        assert (found.kind, found.name, found.commit) == ("experiment", "fast/one", experiment)
        assert str(found) == f"experiment fast/one ({experiment[:7]}, 2026-03-01)"
        assert history.revisions[1] == found
        assert history.locks(found)["train"]["params"]["lr"] == 0.5


def test_experiments_of_the_same_name_are_named_by_their_hash(repository: Path) -> None:
    experiments = []
    for number, base in enumerate(git(repository, "rev-parse", "main", "main~1").split()):
        git(repository, "checkout", "-q", "--detach", base)
        experiments.append(commit(repository, 0.5 + number))
        git(repository, "update-ref", EXPERIMENT.format(base, base[2:], "same"), experiments[-1])
    git(repository, "checkout", "-q", "main")
    with History(repository) as history:
        names = [revision.name for revision in history.revisions if revision.kind == "experiment"]
        assert sorted(names) == sorted(experiment[:12] for experiment in experiments)
        for number, experiment in enumerate(experiments):
            assert history.locks(history.revision(experiment[:12]))["train"]["params"]["lr"] == 0.5 + number


def test_a_file_is_read_from_the_workspace_and_from_a_commit(repository: Path, history: History) -> None:
    path = "results/train/metrics.json"
    old = history.revision("HEAD~1")
    assert json.loads(history.read(old, path) or b"")["lr"] == 0.1
    assert history.read(WORKSPACE, path) == (repository / path).read_bytes()
    for revision in (old, WORKSPACE):
        assert history.read(revision, "results/none.json") is None
        assert history.read(revision, "results/train") is None
        assert history.read(revision, f"{path}/below") is None


def test_an_entry_of_dvc_lock_has_parameters_under_current_names_and_hashes(repository: Path) -> None:
    with History(repository) as history:
        for revision in (WORKSPACE, history.revision("HEAD")):
            assert history.locks(revision) == {
                "train": {
                    "params": {"lr": 0.2, "model_channels": 16},
                    "deps": {"data/faces": "a0000000000000000000000000000001.dir"},
                    "outs": {"results/loss.csv": "a0000000000000000000000000000002"},
                }
            }


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> side\n",
        lambda text: text[: text.index("md5: a0000000000000000000000000000002")],
        lambda text: text.partition("stages")[0],
        lambda text: text.replace("    deps:", "    deps: 7\n    more:"),
        lambda text: "[1, 2",
        lambda text: "",
    ],
)
def test_a_damaged_dvc_lock_counts_as_empty_in_a_commit_and_is_named_in_the_workspace(
    repository: Path, damage: Callable[[str], str]
) -> None:
    damaged = damage((repository / "dvc.lock").read_text())
    (repository / "dvc.lock").write_text(damaged)
    git(repository, "commit", "-q", "-a", "-m", "damage")
    with History(repository) as history:
        assert history.locks(history.revision("HEAD")) == {}
        assert history.locks(history.revision("HEAD~1"))["train"]["params"]["lr"] == 0.2
        way_out = "--ours" if "<<<" in damaged else "--"
        with pytest.raises(UserError, match=rf"^dvc\.lock (is|has) .*`git checkout {way_out} dvc\.lock`") as error:
            history.locks(WORKSPACE)
        assert "\n" not in str(error.value)


def test_what_is_computed_from_blobs_is_kept_and_a_damaged_file_is_rebuilt(repository: Path) -> None:
    (repository / ".dvc").mkdir()
    file = repository / ".dvc" / "tmp" / "omokage" / "blobs.json"
    values = iter(range(9))

    def measure(content: str | None) -> int:
        """Return the value that the file keeps, or a new one."""
        if content is not None:
            file.write_text(content)
        with History(repository) as history:
            assert sorted(read_rates(history).values()) == [0.1, 0.2, 0.2]
            return int(history.cache.get("test", "blob", lambda: next(values)))

    assert (measure(None), measure(None)) == (0, 0)
    valid = file.read_text()
    edited = valid.replace("0.1", "0.9")
    assert edited != valid
    for number, content in enumerate(("", "{}", valid[:-9], edited, "\0"), start=1):
        assert (measure(content), measure(None)) == (number, number)


def test_a_checkout_that_cannot_be_written_works_without_the_file(repository: Path) -> None:
    (repository / ".dvc").mkdir()
    (repository / ".dvc" / "tmp").write_text("a file where a folder should be")
    for _ in range(2):
        with History(repository) as history:
            assert sorted(read_rates(history).values()) == [0.1, 0.2, 0.2]


def test_the_hash_of_a_folder_of_code_is_the_same_in_a_commit_as_in_the_workspace(repository: Path) -> None:
    folder = repository / "src" / "part"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.py", "deep/b.py", "deep/__init__.py", "deep.py", "notes.txt", ".hidden.py"):
        (folder / name).write_text(name)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "code")
    with History(repository) as history:
        head = history.revision("HEAD")
        for path in ("src/part", "src/part/a.py"):
            assert MD5.fullmatch(history.hash_md5(head, path) or "")
            assert history.hash_md5(head, path) == history.hash_md5(WORKSPACE, path)
        assert history.hash_md5(head, "src/none") is history.hash_md5(WORKSPACE, "src/none") is None


@pytest.mark.parametrize("name", ["HEAD", "main", "HEAD~0", "@", "v1", "main^{commit}", "HEAD^{/run with}", "main@{0}"])
def test_a_commit_is_found_in_any_syntax_of_git(repository: Path, name: str) -> None:
    git(repository, "tag", "-a", "-m", "annotated", "v1")
    with History(repository) as history:
        assert history.revision(name).commit == git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["nobody", "-x", "--all", "", "0" * 40, "HEAD~9", "HEAD:results", "main..HEAD"])
def test_an_unknown_revision_is_refused(history: History, name: str) -> None:
    with pytest.raises(UserError, match=r"expected workspace, an experiment \(`dvc exp list -A`\) or a commit"):
        history.revision(name)


def test_the_history_of_a_subfolder_has_the_lock_of_that_folder(repository: Path) -> None:
    write_lock(repository, 0.4)
    last = commit(repository, 0.7, "projects/faces")
    with History(repository / "projects" / "faces") as history:
        assert read_rates(history) == {"workspace": 0.7, last[:7]: 0.7}
        assert history.read(history.revision("HEAD~1"), "results/train/metrics.json") is None


def test_the_history_of_a_worktree_is_that_of_its_repository(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "worktree"), "HEAD~1")
    newest, oldest = (sha[:7] for sha in git(repository, "rev-parse", "main", "main~1").split())
    with History(tmp_path / "worktree") as history:
        assert read_rates(history) == {"workspace": 0.1, newest: 0.2, oldest: 0.1}
        assert history.revision("HEAD").commit.startswith(oldest)


def test_the_history_of_a_submodule_is_its_own(repository: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "--quiet", "add", str(repository), "faces")
    commit(outer, 0.8)
    newest, oldest = (sha[:7] for sha in git(repository, "rev-parse", "main", "main~1").split())
    with History(outer / "faces") as history:
        assert read_rates(history) == {"workspace": 0.2, newest: 0.2, oldest: 0.1}
    with History(outer) as history:
        assert history.read(history.revision("HEAD"), "faces/results/train/metrics.json") is None
        assert history.read(history.revision("HEAD"), "faces") is None


def test_packed_objects_and_refs_are_read(repository: Path) -> None:
    git(repository, "gc", "-q", "--aggressive")
    with History(repository) as history:
        assert sorted(read_rates(history).values()) == [0.1, 0.2, 0.2]


def test_only_the_workspace_exists_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    write_lock(tmp_path, 0.1)
    with History(tmp_path) as history:
        assert read_rates(history) == {"workspace": 0.1}
        with pytest.raises(UserError, match="HEAD"):
            history.revision("HEAD")


def test_a_repository_without_commits_has_only_the_workspace(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with History(tmp_path) as history:
        assert history.revisions == [WORKSPACE]


def test_git_need_not_be_installed(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with History(repository) as history:
        assert sorted(read_rates(history).values()) == [0.1, 0.2, 0.2]
        for name in ("HEAD", "main", head, head[:8]):
            assert history.revision(name).commit == head
        with pytest.raises(UserError, match="nobody: git is not installed, and dulwich does not know this revision"):
            history.revision("nobody")


def test_a_damaged_or_missing_object_is_named_with_what_to_do(repository: Path) -> None:
    blob = git(repository, "rev-parse", "HEAD:dvc.lock")
    path = repository / ".git" / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    with History(repository) as history, pytest.raises(UserError, match=f"{blob}: damaged git object: run `git fsck`"):
        history.locks(history.revision("HEAD"))
    path.unlink()
    with History(repository) as history, pytest.raises(UserError, match=f"{blob}: missing git object: run `git fetch"):
        history.locks(history.revision("HEAD"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda git_folder: (git_folder / "HEAD").write_text("nonsense"),
        lambda git_folder: (git_folder / "HEAD").unlink(),
        lambda git_folder: (git_folder / "refs" / "heads" / "main").write_text("0" * 40),
        lambda git_folder: (git_folder / "refs" / "heads" / "main").write_text("nonsense"),
        lambda git_folder: (git_folder / "packed-refs").write_text("nonsense"),
        lambda git_folder: (git_folder / "config").write_text("[core"),
        lambda git_folder: shutil.rmtree(git_folder / "objects"),
        lambda git_folder: (git_folder.rename("elsewhere"), git_folder.symlink_to("nowhere")),
        lambda git_folder: (git_folder.rename("elsewhere"), git_folder.write_text("gitdir: /nowhere")),
    ],
)
def test_a_damaged_repository_is_never_taken_for_an_empty_one(
    repository: Path, damage: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    damage(repository / ".git")
    with pytest.raises(UserError) as error, History(repository) as history:
        history.revisions  # noqa: B018  the property raises the error
    assert "git" in str(error.value) and "\n" not in str(error.value)


def test_a_tag_of_something_else_than_a_commit_is_no_revision(repository: Path) -> None:
    git(repository, "tag", "tree", "HEAD^{tree}")
    git(repository, "tag", "-a", "-m", "a blob", "blob", "HEAD:dvc.lock")
    with History(repository) as history:
        assert sorted(read_rates(history).values()) == [0.1, 0.2, 0.2]


def test_a_shallow_clone_has_the_commits_that_it_fetched(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), "shallow")
    with History(tmp_path / "shallow") as history:
        assert sorted(read_rates(history).values()) == [0.2, 0.2]
