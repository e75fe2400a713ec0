"""What a stage leaves besides the bytes of its outputs: their permissions, and the time that it took."""

from collections.abc import Callable

import pytest
from support.clone import Clone
from support.runs import STAGES

from omokage.pipeline.durations import read_records

# Runs a stage with a umask. With "resumed", the folder of the run's partial results exists before.
RUN = """
import os, sys
from pathlib import Path
from omokage.pipeline.graph import read_stages
from omokage.pipeline.prepare import prepare_job
from omokage.pipeline.run_stage import run_stage

stage, umask, resumed = sys.argv[1:]
os.umask(int(umask, 8))
if resumed == "resumed":
    prepare_job(Path.cwd(), read_stages(Path.cwd())[stage], 1).work.mkdir(parents=True)
run_stage(Path.cwd(), stage, 1)
print("done")
"""


@pytest.mark.parametrize("umask", ["002", "077"])
def test_the_permissions_of_outputs_follow_the_umask(copy_clone: Callable[[], Clone], umask: str) -> None:
    clone = copy_clone()
    clone.run_code(RUN, "faces", umask, "new")
    outs = [clone.root / out for out in STAGES["faces"].outs]
    paths = [path for out in outs for path in [out, *out.rglob("*")]]
    assert len(paths) > len(outs)
    for path in paths:
        expected = (0o777 if path.is_dir() else 0o666) & ~int(umask, 8)
        assert path.stat().st_mode & 0o777 == expected, path


def test_the_time_of_every_whole_run_is_recorded_and_that_of_a_resumed_run_is_not(
    copy_clone: Callable[[], Clone],
) -> None:
    clone = copy_clone()
    records = read_records(clone.root)
    assert [record["stage"] for record in records] == list(STAGES)
    assert all(record["threads"] == 1 and record["seconds"] >= 0 for record in records)
    clone.run_code(RUN, "faces", "022", "resumed")
    assert read_records(clone.root) == records
    clone.run_code(RUN, "faces", "022", "new")
    assert [record["stage"] for record in read_records(clone.root)] == [*STAGES, "faces"]
    assert clone.run("git", "status", "--porcelain", ":!results/timings.json").stdout == ""
