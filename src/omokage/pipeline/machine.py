"""Describe this machine, to tell whether a time was measured on a machine of the same kind."""

import os
import platform
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path


@cache
def describe_machine() -> str:
    """Return the processor, the number of usable cores and the GPUs of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ", ".join([_find_processor(), f"{cores} cores", *_find_gpus()])


def has_gpu(machine: str) -> bool:
    """Return whether a description of a machine names a GPU."""
    return "GPU" in machine


def _find_processor() -> str:
    try:
        names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), flags=re.MULTILINE)
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine()


def _find_gpus() -> list[str]:
    """Return the NVIDIA GPUs that a stage can use, without their serial numbers."""
    if not shutil.which("nvidia-smi") or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return sorted(re.findall(r"^(GPU \d+: .+?) \(UUID", listed, flags=re.MULTILINE))
