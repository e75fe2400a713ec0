"""The graph run for real, tiny, by both engines: the same bytes, and only what a change touches."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, TINY, Clone, made_once, stages_run, tiny
from test_evaluation import Standin
from test_experiments import draw

from omokage import pipeline, provenance
from omokage.params import whole
from omokage.reruns import reruns

STAGES = pipeline.read(ROOT)
OUTS = sorted({out for stage in STAGES.values() for out in stage.outs})


def digests(clone: Clone, outs: list[str] = OUTS) -> dict[str, str]:
    return {out: pipeline.digest(clone.root / out) for out in outs}


@pytest.mark.long
def test_snakemake_alone_makes_the_same_bytes_and_then_has_nothing_to_do(finished: Clone, tmp_path: Path) -> None:
    # Cold, where the finished clone was made warm: so the two ways to run tests are compared, too.
    clone = Clone(tmp_path / "clone").cold()
    clone.snakemake()
    assert digests(clone) == digests(finished)
    assert "Nothing to be done" in clone.snakemake("--dry-run").stdout


def planned(clone: Clone) -> set[str]:
    """The stages that Snakemake says it would run."""
    shown = clone.snakemake("--dry-run", "--quiet", "rules")
    counts = re.findall(r"^(\w+) +1$", shown.stdout + shown.stderr, flags=re.MULTILINE)
    return set(counts) - {"all", "total"}


@pytest.mark.long
def test_after_dvc_snakemake_agrees_on_what_to_run(
    copy_of: Callable[[], Clone], direct: Callable[[Clone], Clone]
) -> None:
    clone = copy_of()
    assert planned(clone) == set()
    clone.set(lr=1e-3)
    assert planned(clone) == {"params", "train", "sample", "transform", "evaluate", "figures", "report"}
    by_dvc = direct(copy_of())
    by_dvc.set(lr=1e-3)
    clone.snakemake()
    assert planned(clone) == set()
    assert set(by_dvc.repro()) == {"params", "train", "sample", "transform", "evaluate", "figures", "report"}
    assert digests(clone) == digests(by_dvc)
    # Restored by DVC with times in no order: hashes still tell that all fits.
    by_dvc.set(lr=TINY["lr"])
    by_dvc.repro()
    assert planned(by_dvc) == set()


def test_nothing_to_do_runs_nothing_and_changes_nothing(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    before = digests(clone)
    done = clone.dvc("repro")
    assert "Data and pipelines are up to date." in done.stdout
    assert stages_run(done.stdout) == []
    assert digests(clone) == before
    assert clone.run("git", "status", "--porcelain").stdout == ""


def test_lr_there_and_back_trains_once_each(
    copy_of: Callable[[], Clone], direct: Callable[[Clone], Clone], finished: Clone
) -> None:
    clone = direct(copy_of())
    clone.set(lr=1e-3)
    assert "train" in clone.repro()
    clone.set(lr=whole.load(finished.root / "params.yaml")["lr"])
    done = clone.dvc("repro").stdout
    assert stages_run(done) == []
    restored = {"params", "train", "sample", "transform", "evaluate", "figures", "report"}
    assert set(re.findall(r"Stage '(\w+)' is cached - skipping run", done)) == restored
    assert digests(clone) == digests(finished)
    assert clone.run("git", "status", "--porcelain", ":!results/timings.json").stdout == ""


def test_where_dvc_links_the_report_is_written_anew(
    copy_of: Callable[[], Clone], direct: Callable[[Clone], Clone]
) -> None:
    clone = direct(copy_of())
    clone.dvc("config", "cache.type", "symlink")
    for lr, run in ((1e-3, "train"), (2e-3, "train"), (1e-3, "report")):
        clone.set(lr=lr)
        assert run in (done := clone.repro())
    # Restored it would be a link, in git as well.
    assert done == ["report"]
    assert not any((clone.root / out).is_symlink() for stage in pipeline.read(ROOT).values() for out in stage.small)


# What the schema, or another parameter's value, leaves no free choice for.
OTHER: dict[str, Any] = {
    "avatar_styles": ["micah"],
    "avatar_backgrounds": ["ffffff"],
    "avatar_count": 60,
    "kaggle_dataset": "someone/something",
    "image_size": 32,
    "crop": "whole",
    "min_side": 30,
    "held_out": 0.5,
    "extractor": "efficientnet-lite0",
    "prediction": "x0",
    "weighting": "min_snr",
    "weight_floor": 0.5,
    "spacing": "leading",
    "lr": 0.05,
    "decay": 0.1,
    "batch_size": 16,
    "ema_length": 0.07,
    "guide": 0.1,
    "sampler": "ddim",
    "multipliers": [1, 1],
    "attention": [8],
    "width": 24,
    "patch": 1,
    "warmup": 0.5,
    "grad_clip": 1e-3,
    "ema_half_life": 1.0,
    "eta": 0.5,
    "samples": 11,
    "study": ["raw/heun:3"],
    "transform_strengths": [0.9],
    "folder": "others",
    "source": "folder",
}


UNFELT = {"crop", "crop_likelihood", "crop_margin", "min_side", "folder", "kaggle_dataset", "kaggle_version"}
UNFELT |= {"log_every", "frames", "faces_per_picture", "near_duplicates"}
UNFELT |= {"min_sharpness", "min_contrast", "min_colour"}


def other(key: str) -> Any:
    """Another value that the schema allows for this parameter."""
    value, field = tiny()[key], whole.Params.model_json_schema()["properties"][key]
    if key in OTHER:
        return OTHER[key]
    if "enum" in field:
        return next(choice for choice in field["enum"] if choice != value)
    if isinstance(value, bool):
        return not value
    return value + "x" if isinstance(value, str) else value + 1 if isinstance(value, int) else value * 0.9 + 0.01


def inputs(clone: Clone) -> dict[str, Any]:
    """The hashes of every stage's data inputs, as DVC locked them."""
    locked = whole.load(clone.root / "dvc.lock")["stages"]
    return {name: {dep["path"]: dep["md5"] for dep in stage["deps"]} for name, stage in locked.items()}


# A figure that shows nothing; its stamp, which names all that it rests on, still tells one file from another.
DRAWN = 'figure.draw(*map(opened, figure.inputs), **by_name["params"], **by_name["facts"])'
BLANK = 'Image.new("P", (8, 8))'
NOTHING = f'([{BLANK}], [1]) if figure.draw is animation.draw else Chart({BLANK}, "<svg>\\n</svg>")'


@pytest.mark.long
@pytest.mark.parametrize("half", [0, 1])
def test_dvc_reruns_for_every_parameter_what_the_table_says(
    direct: Callable[[Clone], Clone], tmp_path: Path, half: int
) -> None:
    clone = Clone(tmp_path / "clone")
    clone.edit("src/omokage/stages/figures.py", DRAWN, NOTHING)
    # Most of dvc.lock is the hashes of code, which does not change here, and which DVC rewrites after every stage.
    clone.edit("src/omokage/runner.py", "    _check_seal(stage, before)\n", "")
    lines = (clone.root / "dvc.yaml").read_text().splitlines(keepends=True)
    (clone.root / "dvc.yaml").write_text("".join(line for line in lines if not line.strip().startswith("- src/")))
    for folder in ("pictures", "others"):
        draw(clone.root / folder, 24)
    (clone.root / "weights").mkdir()
    torch.jit.script(Standin()).save(clone.root / "weights" / "inception-2015-12-05.pt")
    clone.set(attention=[], extractor="inception", figure_dpi=40, weighting="simple", progress_samples=0)
    table, cut_off = reruns(STAGES), set()
    # Keys of one stage stay together: `eta` is felt after `sampler` has become ddim, `min_snr_gamma` after min_snr.
    keys = sorted(table, key=lambda key: key in ("extractor", "folder", "source"))
    keys = keys[half * len(keys) // 2 : (half + 1) * len(keys) // 2]
    direct(clone).repro()
    brought = whole.load(clone.root / "dvc.lock")["stages"]["weights"]["outs"]
    assert [out["nfiles"] for out in brought if out["path"] == "data/weights"] == [1]
    after = inputs(clone)
    for key in keys:
        clone.set(**{key: other(key)})
        seen = set(clone.repro())
        before, after = after, inputs(clone)
        fed = {name for name in STAGES if before[name] != after[name]}
        declaring = {name for name, stage in STAGES.items() if stage.params is None or key in stage.params}
        assert seen == declaring | fed, key
        assert seen <= set(table[key]), key
        if seen != set(table[key]):
            cut_off.add(key)
    # Where a stage makes the same bytes again, DVC goes no further: these change nothing in this run's pictures.
    assert cut_off == UNFELT & set(keys)


@pytest.mark.long
@pytest.mark.parametrize(("link", "jobs"), [("copy", 2), ("hardlink", 5), ("symlink", 2)])
def test_pieces_of_a_fan_out_never_outlive_their_run(
    copy_of: Callable[[], Clone], fresh_ddim: dict[str, str], link: str, jobs: int
) -> None:
    clone = copy_of()
    (clone.root / "jobs.yaml").write_text(f"sample_jobs: {jobs}\ndetect_jobs: 2\nfaces_jobs: 3\n")
    profile = clone.root / "workflow" / "profiles" / "default" / "config.yaml"
    profile.write_text(profile.read_text() + "configfile: jobs.yaml\n")
    clone.dvc("config", "cache.type", link)
    clone.dvc("checkout", "--relink")
    clone.set(lr=1e-3, samples=40)
    clone.dvc("repro", "sample")
    clone.set(lr=TINY["lr"], samples=40, sampler="ddim")
    done = stages_run(clone.dvc("repro", "sample").stdout)
    assert done == ["params", "sample"]
    assert digests(clone, list(fresh_ddim)) == fresh_ddim
    work = clone.root / ".dvc" / "tmp" / "omokage"
    assert (work / "logs" / "workspace" / f"sample-1-of-{jobs}.log").exists()
    assert not list(work.glob("sample-*/**/unit-*"))


@pytest.fixture(scope="module")
def fresh_ddim(tmp_path_factory: pytest.TempPathFactory, direct: Callable[[Clone], Clone]) -> dict[str, str]:
    def draw_by_ddim(place: Path) -> None:
        clone = direct(Clone(place))
        clone.set(samples=40, sampler="ddim")
        clone.dvc("repro", "sample")

    clone = Clone.at(made_once(tmp_path_factory, "a clone by ddim", draw_by_ddim))
    return digests(clone, ["results/samples.safetensors", "results/frames.safetensors", "results/runs/sample.json"])


def test_every_figure_carries_what_made_it_and_no_place(finished: Clone) -> None:
    for figure in sorted((finished.root / "results" / "figures").iterdir()):
        stamp = json.dumps(provenance.read(figure))
        assert str(finished.root) not in stamp
        assert '"folder": "pictures"' not in stamp
        assert ('"lr"' in stamp) == (figure.stem not in {"schedule", "noising", "contact", "data_card"})
    assert '"lr"' in json.dumps(provenance.read(finished.root / "results" / "report.html"))


def test_what_a_run_puts_into_git_is_small(finished: Clone) -> None:
    assert in_git(finished.root) < 3_000_000
    assert in_git(ROOT) < 3_000_000


def in_git(root: Path) -> int:
    outs = {out for stage in pipeline.read(root).values() for out in stage.outs}
    ignored = [
        line.strip("/") for path in root.glob("*/.gitignore") for line in path.read_text().split() if line[0] == "/"
    ]
    kept = [root / out for out in outs if Path(out).name not in ignored]
    return sum(path.stat().st_size for path in kept if path.is_file()) + (root / "dvc.lock").stat().st_size


@pytest.fixture(autouse=True)
def _tidy(tmp_path: Path) -> Iterator[None]:
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)
