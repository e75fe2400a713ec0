"""results/timings.json: one time for each run, and no trace of a run that is known already."""

import json
from pathlib import Path
from typing import Any

import pytest

from omokage.pipeline.machine import describe_machine
from omokage.pipeline.timings import MAX_RUNS, read_last_seconds, write_seconds
from omokage.stamps.timings import PATH, find_machines, find_seconds, identify_run

NONE = {"params": 0.0, "report": 0.0}


def make_record(stage: str = "train", **changes: Any) -> dict[str, Any]:
    outs = {"results/model.safetensors": "ab"}
    return {"stage": stage, "params": {"lr": 1}, "deps": {}, "packages": {}, "outs": outs, "facts": {}} | changes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in (".dvc/tmp/omokage", "results"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_a_time_is_added_for_a_new_run_only(root: Path) -> None:
    first, second = make_record(), make_record(params={"lr": 2})
    write_seconds(root, first, 12.34)
    before = (root / PATH).read_bytes()
    write_seconds(root, make_record(facts={"device": "another"}), 99.0)
    assert (root / PATH).read_bytes() == before
    write_seconds(root, second, 5.0)
    write_seconds(root, make_record("faces"), 3.0)
    assert find_seconds(root / PATH, [first, make_record("faces")]) == {"train": 12.3, "faces": 3.0}
    assert read_last_seconds(root) == {**NONE, "train": 5.0, "faces": 3.0}
    # Another device gives other bytes, and so another run.
    assert find_seconds(root / PATH, [make_record(outs={"results/model.safetensors": "cd"})]) == {}


def test_the_machine_of_a_run_is_known_unless_the_file_is_older(root: Path) -> None:
    record = make_record()
    (root / PATH).write_text(json.dumps({"train": {identify_run(record): 9.0}}))
    assert find_seconds(root / PATH, [record]) == {"train": 9.0} and find_machines(root / PATH, [record]) == {}
    write_seconds(root, another := make_record("faces"), 3.0)
    machine = find_machines(root / PATH, [another, record])["faces"]
    assert machine.startswith(describe_machine()) and machine.endswith("GiB of memory")
    assert read_last_seconds(root) == {**NONE, "train": 9.0, "faces": 3.0}
    assert find_machines(root / PATH, [make_record(params={"lr": 2})]) == {}
    # The run of the older file, made again.
    write_seconds(root, record, 8.0)
    assert find_seconds(root / PATH, [record]) == {"train": 8.0} and find_machines(root / PATH, [record]) == {
        "train": machine
    }
    (root / PATH).write_text('{"machines": {"train": []}}')
    assert find_machines(root / PATH, [record]) == {}


def test_the_file_does_not_grow_forever(root: Path) -> None:
    for lr in range(2 * MAX_RUNS):
        write_seconds(root, make_record(params={"lr": lr}), lr)
    assert len(json.loads((root / PATH).read_text())["machines"]["train"]) == MAX_RUNS
    assert [*json.loads((root / PATH).read_text())["train"].values()] == [*range(MAX_RUNS, 2 * MAX_RUNS)]


@pytest.mark.parametrize("stage", ["params", "report"])
def test_stages_without_a_time_leave_no_file(root: Path, stage: str) -> None:
    write_seconds(root, make_record(stage), 1.0)
    assert not (root / PATH).exists()


@pytest.mark.parametrize(
    "text", ["<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n", '{"train', "[]", '{"train": {"seconds": "long"}}', "\0"]
)
def test_a_damaged_file_is_reported_in_one_line_and_left_alone(
    root: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (root / PATH).write_text(text)
    write_seconds(root, make_record(), 1.0)
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and PATH in error and f"git checkout -- {PATH}" in error
    assert (root / PATH).read_text() == text
    assert find_seconds(root / PATH, [make_record()]) == {} and read_last_seconds(root) == NONE


def test_a_file_that_cannot_be_written_is_reported_in_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / PATH).mkdir()
    write_seconds(root, make_record(), 1.0)
    assert capsys.readouterr().err.count("\n") == 1


def test_the_name_of_a_run_is_the_same_for_a_record_read_from_its_file() -> None:
    record = make_record(params={"lr": 1e-3, "sizes": (1, 2)})
    assert identify_run(json.loads(json.dumps(record))) == identify_run(record)
