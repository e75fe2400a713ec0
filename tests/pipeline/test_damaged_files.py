"""A file with the conflict markers of a merge, or a cut-off file: one line names the file and the way out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.clone import Clone

from omokage.cli.main import main
from omokage.config.yaml_file import load_yaml
from omokage.pipeline.dvc_lock import hash_md5
from omokage.stamps.records import FOLDER

COMMANDS = {
    "stale": ["stale"],
    "plan": ["plan"],
    "audit": ["audit"],
    "why": ["why", "results/figures/samples.png"],
    "compare": ["compare", "workspace", "HEAD"],
}
# By file: the commands that need it.
READERS = {
    "dvc.yaml": {"stale", "plan", "audit", "why"},
    "params.yaml": {"stale", "plan", "why"},
    "dvc.lock": {"stale", "plan", "audit", "why", "compare"},
    "results/scores.json": {"compare"},
    "results/loss.csv": {"compare"},
    "results/runs/train.json": {"stale", "plan", "audit"},
}


def conflict(text: str) -> str:
    return f"<<<<<<< HEAD\n{text}\n=======\n{text}\n>>>>>>> side\n"


def cut_off(text: str) -> str:
    return text[: text.rindex(":")] if ":" in text else "step"


@pytest.mark.parametrize("damage", [conflict, cut_off])
@pytest.mark.parametrize("name", READERS)
def test_every_command_names_a_damaged_file_and_the_way_out(
    copy_clone: Callable[[], Clone],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: Callable[[str], str],
) -> None:
    clone = copy_clone()
    # Without its record, `stale` takes a run from dvc.lock.
    (clone.root / FOLDER / "report.json").unlink()
    path = clone.root / name
    text = path.read_text()
    path.unlink()
    path.write_text(damage(text))
    monkeypatch.chdir(clone.root)
    for command in READERS[name]:
        code = main(COMMANDS[command])
        error = capsys.readouterr().err
        assert code != 0 and error.count("\n") == 1 and name in error, (command, error)
        if damage is conflict and FOLDER not in name:
            assert f"`git checkout --ours {name}` or `git checkout --theirs {name}`" in error
        else:
            assert "run `dvc repro`" in error or f"restore it with `git checkout -- {name}`" in error


def test_a_stage_names_a_damaged_input(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    for name, message in (
        ("results/scores.json", "results/scores.json is not from the recorded run of evaluate: run `dvc repro`"),
        (f"{FOLDER}train.json", "results/runs/train.json is not a valid run record: run `dvc repro`"),
    ):
        path = clone.root / name
        text = path.read_text()
        path.unlink()
        path.write_text(conflict(text))
        command = (clone.python, "-m", "omokage.pipeline.runner", "report", "--threads", "1")
        done = clone.run(*command, check=False, PYTHONPATH="src")
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("omokage: ")]
        assert line.startswith(f"omokage: report: {message}")
        path.write_text(text)


def test_dvc_restores_a_damaged_record(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    path = clone.root / FOLDER / "train.json"
    md5 = hash_md5(path)
    path.unlink()
    path.write_text("{")
    assert clone.repro() == []
    assert hash_md5(path) == md5 and load_yaml(path)["stage"] == "train"


def test_errors_of_git_are_shown(
    copy_clone: Callable[[], Clone], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = copy_clone()
    monkeypatch.chdir(clone.root)
    Path(".git").rename("elsewhere")
    Path(".git").write_text("gitdir: /nowhere")
    for command in ("why", "compare"):
        assert main(COMMANDS[command]) != 0
        output, error = capsys.readouterr()
        assert output == "" and error == (
            f"omokage: {clone.root}: dulwich cannot read this git repository (/nowhere has no file HEAD): "
            "run `git status` there to see why\n"
        )
