"""Time `omokage gallery` in a copy of this checkout with many experiments, which are made without running anything.

    PYTHONPATH=src .venv/bin/python benchmarks/gallery.py 100

Each experiment is a commit below refs/exps, as DVC stores them, with another learning rate, distance and samples. Its
samples, made from those of this checkout, are in the copy's DVC cache. Prints the wall time and the CPU time of a first
and of a second call, and the size of the page.
"""

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from omokage.pipeline.dvc_run_cache import OBJECTS, find_cache
from omokage.provenance.lineage import SAMPLES, SCORES

ROOT = Path(__file__).parents[1]
SEED = 0


def main(count: int) -> None:
    """Make the copy with `count` experiments, and print what two calls of the command take there."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        run(ROOT, "git", "clone", "-q", ".", str(copy))
        run(copy, "git", "remote", "remove", "origin")
        make_experiments(copy, count)
        for call in ("first", "second"):
            start, cpu = time.perf_counter(), read_cpu_seconds()
            run(copy, sys.executable, "-m", "omokage.cli.main", "gallery", "--force", PYTHONPATH=str(ROOT / "src"))
            wall, cpu = time.perf_counter() - start, read_cpu_seconds() - cpu
            print(f"{call} call: {wall:.1f} s, {cpu:.1f} s of CPU time")
        page = (copy / "gallery.html").read_bytes()
        print(f"{page.count(b'<li class=')} runs, {len(page) / 1e6:.2f} MB")


def make_experiments(copy: Path, count: int) -> None:
    """Commit the experiments, and write their samples to the cache of the copy."""
    generator = np.random.default_rng(SEED)
    samples = load_file(ROOT / SAMPLES)["samples"]
    base = run(copy, "git", "rev-parse", "HEAD")
    lock, scores = ((copy / name).read_text(encoding="utf-8") for name in ("dvc.lock", SCORES))
    old_md5 = hashlib.md5((ROOT / SAMPLES).read_bytes()).hexdigest()
    for number in range(count):
        content = save({"samples": samples[generator.permutation(len(samples))]})
        md5 = hashlib.md5(content).hexdigest()
        target = find_cache(copy) / OBJECTS / md5[:2] / md5[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        rate = round(10 ** generator.uniform(-4, -2), 6)
        changed = re.sub(r"(?m)^( +lr: ).*$", rf"\g<1>{rate}", lock.replace(old_md5, md5))
        (copy / "dvc.lock").write_text(changed, encoding="utf-8")
        values = {**json.loads(scores), "distance": round(generator.uniform(20, 200), 2)}
        (copy / SCORES).write_text(json.dumps(values), encoding="utf-8")
        tree = commit_tree(copy, base, f"experiment {number}")
        run(copy, "git", "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/trial-{number}", tree)
    run(copy, "git", "checkout", "-q", "--force", "HEAD")


def commit_tree(copy: Path, parent: str, message: str) -> str:
    """Commit dvc.lock and the scores on top of `parent` without moving a branch, and return the commit's hash."""
    run(copy, "git", "add", "dvc.lock", SCORES)
    tree = run(copy, "git", "write-tree")
    identity = {f"GIT_{role}_{key}": "benchmark" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    return run(copy, "git", "commit-tree", tree, "-p", parent, "-m", message, **identity)


def run(folder: Path, *command: str, **environment: str) -> str:
    """Run a command in a folder, and return what it prints."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def read_cpu_seconds() -> float:
    """Return the CPU seconds of all commands that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(int(sys.argv[1]))
