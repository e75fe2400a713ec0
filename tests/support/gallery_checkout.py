"""A git repository with runs for `omokage compare` and `omokage gallery`, made without running the pipeline."""

import hashlib
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from omokage.comparison import page, runs
from omokage.comparison.gallery_page import render_gallery
from omokage.comparison.gallery_runs import read_runs
from omokage.comparison.samples import FIGURE
from omokage.figures import samples as samples_figure
from omokage.figures.sheet import Images
from omokage.provenance.history import History
from omokage.provenance.lineage import SAMPLES, SCORES

SIDE, COUNT = 16, 20
# Names of experiments: Japanese, Arabic, and one that is HTML.
JAPANESE, ARABIC, HOSTILE = "学習率-低い", "معدل-التعلم", "<img/src=x/onerror=alert(1)>&'\""
EXPERIMENTS = {JAPANESE: (0.001, 50.0), ARABIC: (0.002, 30.0), HOSTILE: (0.003, 40.0)}
METRICS: dict[str, Any] = {
    **{"extractor": "efficientnet-lite0", "resize": "clean", "n": COUNT, "n_reference": COUNT, "seed": 0},
    **{"distance": 35.0, "distance_low": 33.0, "distance_high": 37.0, "distance_floor": 10.0},
    **{"kid": 0.02, "kid_low": 0.018, "kid_high": 0.022, "kid_floor": -0.0001, "recall": 0.5, "recall_floor": 0.9},
    **{"style": {"red": 3.0, "contrast": 0.9}, "style_floor": {"red": 0.1, "contrast": 1.0}},
}
LEVELS = "t,log_snr,train,held_out\n" + "".join(f"{n},{6 - n},{0.3 / n},{0.4 / n}\n" for n in range(1, 12))


def git(root: Path, *arguments: str) -> str:
    """Run a git command in the repository, and return what it prints."""
    identity = {f"GIT_{role}_{key}": "tests" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | identity
    done = subprocess.run(["git", *arguments], cwd=root, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def make_samples(seed: int) -> Images:
    """Return random samples, uint8 [COUNT, 3, SIDE, SIDE]."""
    return np.random.default_rng(seed).integers(0, 256, (COUNT, 3, SIDE, SIDE), np.uint8)


def write_run(root: Path, lr: float, distance: float, seed: int = 0, cached: bool = True, **params: Any) -> None:
    """Write the results of a run and its dvc.lock; with `cached`, also its samples into DVC's cache."""
    images, content = make_samples(seed), save({"samples": make_samples(seed)})
    samples_figure.plot(images, images, grid_side=4).save(buffer := io.BytesIO(), "PNG")
    shift = distance - METRICS["distance"]
    scores = {**METRICS, **{key: METRICS[key] + shift for key in ("distance", "distance_low", "distance_high")}}
    loss = "step,loss\n" + "".join(f"{step},{1 / step + lr}\n" for step in range(1, 60))
    files = {
        "train": {"results/loss.csv": loss.encode(), "results/noise_levels.csv": LEVELS.encode()},
        "evaluate": {SCORES: json.dumps(scores).encode()},
        "figures": {FIGURE: buffer.getvalue()},
    }
    for path, data in (item for outs in files.values() for item in outs.items()):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    if cached:
        md5 = hashlib.md5(content).hexdigest()
        target = root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    values = {
        "faces": {"image_size": SIDE, "held_out": 0.15},
        "train": {"lr": lr, "steps": 100, "channel_mult": [1, 2], "flip": False, **params},
        "sample": {"sample_seed": 0, "sampler_study": []},
    }
    outs = {"sample": {SAMPLES: content}, **files}
    stages = {name: _make_entry(name, values.get(name, {}), outs.get(name, {})) for name in {**values, **outs}}
    # JSON is valid YAML.
    (root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}), encoding="utf-8")
    (root / "results/timings.json").write_text(json.dumps({name: {"run": 30.0} for name in stages}), encoding="utf-8")


def _make_entry(name: str, params: dict[str, Any], outs: dict[str, bytes]) -> dict[str, Any]:
    listed = [{"path": path, "md5": hashlib.md5(data).hexdigest()} for path, data in outs.items()]
    return {"cmd": f"sh workflow/stage {name}", "params": {"params.yaml": params}, "outs": listed}


def make_checkout(root: Path) -> Path:
    """Make a repository with a run, a commit with the same results, and the EXPERIMENTS on top of it; return `root`.

    DVC's cache has the samples of all but the second experiment. All experiments have the same `steps`, 200.
    """
    root.mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    (root / ".gitignore").write_text("/.dvc/\n/gallery.html\n/compare.html\n")
    (root / "dvc.yaml").write_text("stages: {}\n")
    write_run(root, 0.01, 35.0)
    (root / ".dvc/config").write_text("")
    _commit(root, "first run")
    (root / "README").write_text("text")
    base = _commit(root, "only a text")
    git(root, "checkout", "-q", "--detach")
    for seed, (name, (lr, distance)) in enumerate(EXPERIMENTS.items(), start=1):
        write_run(root, lr, distance, seed, cached=name != ARABIC, steps=200)
        git(root, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", _commit(root, "dvc: commit experiment"))
        git(root, "checkout", "-q", base)
    git(root, "checkout", "-q", "main")
    return root


def _commit(root: Path, message: str) -> str:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)
    return git(root, "rev-parse", "HEAD")


def write_pages(folder: Path) -> Path:
    """Make a checkout in a folder, write compare.html and gallery.html there, and return the checkout."""
    root = make_checkout(folder / "checkout")
    with History(root) as history:
        compared = [runs.read_run(history, name) for name in (*EXPERIMENTS, "main")]
        (root / "compare.html").write_text(page.render_page(compared, "{}"), encoding="utf-8")
        (root / "gallery.html").write_text(render_gallery(*read_runs(history, 100)), encoding="utf-8")
    return root
