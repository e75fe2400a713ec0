"""The triggers by which Snakemake runs exactly the stages that hashes call stale, and what protects DVC's cache."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.runs import STAGES

from omokage.pipeline import rule_files
from omokage.pipeline.rule_files import find_file, trigger_path

FUTURE = time.time() + 3600.0


def write_outputs(root: Path, stage: str, modified: float) -> list[Path]:
    """Write the outputs of a stage, as Snakemake knows them, with this modification time."""
    paths = [root / find_file(out) for out in STAGES[stage].outs]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
        os.utime(path, (modified, modified))
    return paths


@pytest.mark.parametrize("age", [1e9, 0.0, -3600.0], ids=["old", "new", "from the future"])
def test_the_trigger_of_a_stage_to_run_is_new_and_newer_than_the_outputs(tmp_path: Path, age: float) -> None:
    modified = time.time() - age
    outputs = write_outputs(tmp_path, "train", modified)
    trigger, other = (tmp_path / trigger_path(name) for name in ("train", "sample"))
    stages = [STAGES["train"], STAGES["sample"]]
    rule_files.write_triggers(tmp_path, stages, ["train"])
    content = trigger.read_text()
    assert trigger.stat().st_mtime > modified
    assert other.stat().st_mtime == rule_files.LONG_AGO
    assert [path.stat().st_mtime for path in outputs] == pytest.approx([modified] * len(outputs))
    rule_files.write_triggers(tmp_path, stages, ["train"])
    assert trigger.read_text() != content
    rule_files.write_triggers(tmp_path, stages, [])
    assert trigger.stat().st_mtime == rule_files.LONG_AGO


def test_before_a_job_runs_no_file_of_its_stage_is_from_the_future(tmp_path: Path) -> None:
    files = [*write_outputs(tmp_path, "train", FUTURE), *write_outputs(tmp_path, "faces", FUTURE)]
    old = write_outputs(tmp_path, "detect", 1.0)
    rule_files.write_triggers(tmp_path, [STAGES["train"]], ["train"])
    rule_files.clamp_times(tmp_path, [STAGES["train"]])
    now = time.time()
    read_by_train = tmp_path / "data" / "faces" / "index.csv"
    touched = [path for path in files if path.stat().st_mtime <= now]
    assert touched == [*files[: len(STAGES["train"].outs)], read_by_train]
    assert (tmp_path / trigger_path("train")).stat().st_mtime <= now
    assert {path.stat().st_mtime for path in old} == {1.0}


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_stage_never_writes_through_a_link_into_the_cache(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    cached, out = tmp_path / "cached", tmp_path / "results" / "model.safetensors"
    cached.write_text("cached")
    out.parent.mkdir()
    link(cached, out)
    rule_files.copy_linked_outputs(tmp_path, STAGES["train"])
    out.write_text("new")
    assert cached.read_text() == "cached"
