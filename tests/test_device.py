"""Where tensors are computed."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from omokage import device

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        [torch.ones(size, 100_000) for size in range(1, 30)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), faults())
device.prepare(1)
print(faults(), faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_used_again_and_not_given_back() -> None:
    # As glibc begins, before it has seen what the program frees: it may learn, or not, depending on what lies where.
    eager = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
    run = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True, env=eager)
    _, before, _, after = map(int, run.stdout.split())
    assert after < 100 < before
