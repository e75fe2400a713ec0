"""The device settings."""

import os
import platform
import subprocess
import sys

import pytest

COUNT_PAGE_FAULTS = """
import resource
import torch
from omokage.compute.device import prepare_device

def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        [torch.ones(size, 100_000) for size in range(1, 30)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(count_faults(), count_faults())
prepare_device(1)
print(count_faults(), count_faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this setting")
def test_freed_memory_is_reused_without_page_faults() -> None:
    # The thresholds that glibc starts with. It adapts them to the program, which would make the test depend on chance.
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
    command = [sys.executable, "-c", COUNT_PAGE_FAULTS]
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    _, before, _, after = map(int, run.stdout.split())
    assert after < 100 < before
