"""Damaged and hostile files of every format cause a refusal: no crash, no endless loop, and bounded memory."""

import json
import os
import subprocess
import sys

import pytest
from support.clone import PYTHON_PATH

MAX_MEMORY = 1024  # MiB; Pillow needs 200 for one copy of an image of 50,000,000 pixels


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutated_files_are_taken_or_refused(count: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "support.fuzz_files", str(count)],
        env={**os.environ, "PYTHONPATH": PYTHON_PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]  # negative: stopped by a signal, such as the limit on time
    result = json.loads(done.stdout)
    assert result["taken"] + result["refused"] >= count
    assert min(result["taken"], result["refused"]) >= count / 10
    assert result["peak"] < MAX_MEMORY
