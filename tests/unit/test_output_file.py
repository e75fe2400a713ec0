"""What `--out` refuses: inputs, tracked files, files of the pipeline, folders, other formats, and existing files."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.clone import ROOT, Clone

from omokage.base.errors import UserError
from omokage.cli.main import main
from omokage.cli.output_file import check_output


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a tracked file and some results, as the current folder."""
    root = tmp_path / "checkout"
    (root / "src" / "omokage").mkdir(parents=True)
    (root / "results" / "figures").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, root)
    for name in ("tracked.png", "mine.png", "face.png", "results/figures/loss.png"):
        (root / name).write_text(name)
    git = Clone(ROOT).build_environment()
    subprocess.run(["git", "init", "-q"], cwd=root, env=git, check=True)
    subprocess.run(["git", "add", "tracked.png"], cwd=root, env=git, check=True)
    (root / "tracked-link.png").symlink_to("tracked.png")
    (root / "face-link.png").symlink_to("face.png")
    (root / "into-results").symlink_to("results")
    (root / "hard.png").hardlink_to(root / "face.png")
    (root / "folder.png").mkdir()
    os.mkfifo(root / "pipe.png")
    monkeypatch.chdir(root)
    return root


def list_files(checkout: Path) -> set[tuple[Path, int, int]]:
    """Return every file outside .git, with its inode and modification time."""
    paths = [path for path in checkout.rglob("*") if ".git" not in path.parts]
    return {(path, path.lstat().st_ino, path.lstat().st_mtime_ns) for path in paths}


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("face.png", "is an input of this command"),
        ("./results/../face.png", "is an input of this command"),
        ("face-link.png", "is an input of this command"),
        ("hard.png", "is an input of this command"),
        ("tracked.png", "is tracked by git"),
        ("tracked-link.png", "is tracked by git"),
        ("results/figures/loss.png", "belongs to the pipeline (stage figures"),
        ("into-results/figures/loss.png", "belongs to the pipeline (stage figures"),
        ("data/faces/new.png", "belongs to the pipeline (stage faces"),
        ("pictures/new.png", "belongs to the pipeline (stage download"),
        ("src/omokage/base/new.png", "belongs to the pipeline (stage params"),
        ("results/model.safetensors", "expected a name that ends in .png"),
        ("sheet.jpg", "expected a name that ends in .png"),
        ("sheet", "expected a name that ends in .png"),
        ("folder.png", "is a folder"),
        ("pipe.png", "is not a regular file"),
        ("mine.png/sheet.png", "is a file: expected a folder"),
        ("new/sheet.PNG", None),
    ],
)
def test_force_does_not_lift_what_protects_files(checkout: Path, out: str, message: str | None) -> None:
    before = list_files(checkout)
    for force in (False, True):
        if message is None:
            assert check_output(Path(out), ".png", [Path("face.png")], force) == checkout / out
        else:
            with pytest.raises(UserError, match=r"^\S+ ?.*$") as error:
                check_output(Path(out), ".png", [Path("face.png")], force)
            assert message in str(error.value) and "\n" not in str(error.value)
    assert list_files(checkout) == before


def test_an_existing_file_is_overwritten_only_with_force(checkout: Path) -> None:
    with pytest.raises(UserError, match=r"mine.png exists: overwrite it with --force"):
        check_output(Path("mine.png"), ".png", [], force=False)
    assert check_output(Path("mine.png"), ".png", [], force=True) == checkout / "mine.png"


def test_a_tracked_file_is_protected_outside_the_checkout_too(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "*.png").touch()
    subprocess.run(["git", "init", "-q"], cwd=other, check=True)
    assert check_output(other / "a.png", ".png", [], force=True)
    subprocess.run(["git", "add", "--", "*.png"], cwd=other, check=True)
    with pytest.raises(UserError, match="is tracked by git"):
        check_output(other / "*.png", ".png", [], force=True)
    assert check_output(other / "a.png", ".png", [], force=True)


def test_an_error_of_git_is_no_answer(checkout: Path) -> None:
    (checkout / ".git" / "index").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"git cannot say whether it tracks this file \(.*index file smaller"):
        check_output(Path("mine.png"), ".png", [], force=True)


def test_compare_checks_its_page_before_it_reads_the_runs(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "page.html").touch()
    assert main(["compare", "workspace", "HEAD", "--out", "page.html"]) == 2
    assert "page.html exists: overwrite it with --force" in capsys.readouterr().err


def test_transform_checks_its_output_before_it_loads_the_model(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transform", "vary", "face.png", "--out", "face.png", "--force"]) == 2
    assert capsys.readouterr().err == "omokage: face.png is an input of this command: choose another path with --out\n"
    assert (checkout / "face.png").read_text() == "face.png"
