"""The table of reruns (pipeline/reruns.py) agrees with what DVC does after a change of each parameter."""

import json
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from support.clone import Clone
from support.evaluation import save_stand_in_weights
from support.images import write_random_images
from support.runs import STAGES

from omokage.config.yaml_file import load_yaml
from omokage.evaluation.features.extractors import INCEPTION_FILE
from omokage.params.schema import Params
from omokage.pipeline.reruns import find_reruns

TABLE = find_reruns(STAGES)
# One parameter of each stage, except two: the extractor's other value needs a download, and the fixture
# `clone_with_experiment` checks `lr`, a parameter of `train`.
REPRESENTATIVES = (
    "report_title",
    "grid_side",
    "bootstrap",
    "transform_seed",
    "sample_seed",
    "reference_faces",
    "max_dropped",  # without effect, as `crop`; `avatar_seed` changes the faces
    "crop",
    "avatar_seed",
)
FIGURES_AND_REPORT = ["figures", "report"]
# New values for parameters that the schema, or a second parameter, restricts.
OTHER_VALUES: dict[str, Any] = {
    "progress_samples": 3,
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
    "loss_weighting": "min_snr",
    "loss_weight_floor": 0.5,
    "timestep_spacing": "leading",
    "lr": 0.05,
    "decay": 0.1,
    "batch_size": 16,
    "ema_sigma_rel": 0.07,
    "guidance_snapshot": 0.1,
    "guidance_min_log_snr": 100.0,
    "sampler": "ddim",
    "channel_mult": [1, 1],
    "attention_resolutions": [8],
    "model_channels": 24,
    "patch_size": 1,
    "warmup": 0.5,
    "grad_clip": 1e-3,
    "ema_half_life": 1.0,
    "eta": 0.5,
    "samples": 11,
    "sampler_study": ["raw/heun:3"],
    "transform_strengths": [0.9],
    "folder": "others",
    "init_from": "copy.safetensors",  # see `change_params`
    "source": "folder",
    "copies": "strict",
    "precision": "bf16",  # not auto, which is fp32 on some processors
}
# Their change leaves the outputs of a stage as they are in this tiny run, so that later stages do not rerun.
WITHOUT_EFFECT = {
    "crop",
    "crop_likelihood",
    "crop_margin",
    "min_side",
    "folder",
    "kaggle_dataset",
    "kaggle_version",
    "log_every",
    "keep_best",  # the last step has the lowest held-out error
    "denoising_frames",
    "faces_per_picture",
    "max_dropped",
    "copies",
    "near_duplicates",
    "min_sharpness",
    "min_contrast",
    "min_colour",
}


def choose_other_value(key: str, value: Any) -> Any:
    """Return a valid value of the parameter that differs from `value`."""
    field = Params.model_json_schema()["properties"][key]
    if OTHER_VALUES.get(key, value) != value:
        return OTHER_VALUES[key]
    if "enum" in field:
        return next(choice for choice in field["enum"] if choice != value)
    if isinstance(value, bool):
        return not value
    return value + "x" if isinstance(value, str) else value + 1 if isinstance(value, int) else value * 0.9 + 0.01


def change_params(clone: Clone, *keys: str) -> None:
    """Give each of the parameters another value."""
    values = load_yaml(clone.root / "params.yaml")
    if "init_from" in keys:  # a model of the same architecture
        shutil.copy(clone.root / "results" / "model.safetensors", clone.root / "models" / OTHER_VALUES["init_from"])
    clone.set_params(**{key: choose_other_value(key, values[key]) for key in keys})


def find_declaring_stages(key: str) -> set[str]:
    """Return the stages that declare a parameter in dvc.yaml; `params` declares the whole file."""
    return {name for name, stage in STAGES.items() if stage.params is None or key in stage.params}


def test_the_table_agrees_with_dvc_for_every_parameter(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    change_params(clone, *TABLE)
    changed_params: dict[str, set[str]] = {}
    for name, changes in json.loads(clone.dvc("status", "--json").stdout).items():
        changed_params[name] = set().union(*(change["changed deps"].get("params.yaml", {}) for change in changes))
    edges = re.findall(r'"(\w+)" -> "(\w+)"', clone.dvc("dag", "--dot").stdout)
    for key, table_row in TABLE.items():
        expected = {name for name, keys in changed_params.items() if key in keys}
        assert expected == find_declaring_stages(key), key
        for name in STAGES:
            # `params` writes a constant, so the stages that depend on it do not rerun.
            if any((upstream, name) in edges for upstream in expected - {"params"}):
                expected.add(name)
        assert list(table_row) == [name for name in STAGES if name in expected], key


def read_input_hashes(clone: Clone) -> dict[str, Any]:
    """Return the hashes of every stage's inputs, as dvc.lock has them."""
    locked = load_yaml(clone.root / "dvc.lock")["stages"]
    return {name: {dep["path"]: dep["md5"] for dep in stage["deps"]} for name, stage in locked.items()}


def find_changes_without_effect(clone: Clone, keys: list[str], without: Collection[str] = ()) -> set[str]:
    """Change the parameters in turn, check which stages `dvc repro` runs, and return those that rerun fewer stages.

    A stage must rerun if it declares the parameter or if one of its inputs changed, and the table must list it. The
    stages `without` are not run.
    """
    stages = [name for name in STAGES if name not in without]
    without_effect = set()
    # All disagreements are reported at the end: a run with every parameter takes too long to stop at the first one.
    unexpected: dict[str, tuple[set[str], set[str]]] = {}
    after = read_input_hashes(clone)
    for key in keys:
        change_params(clone, key)
        ran = set(clone.repro(*stages))
        before, after = after, read_input_hashes(clone)
        with_changed_inputs = {name for name in STAGES if before[name] != after[name]}
        expected = find_declaring_stages(key) & {*stages} | with_changed_inputs
        if ran != expected or not ran <= set(TABLE[key]):
            unexpected[key] = (ran, expected)
        if ran != set(TABLE[key]) - {*without}:
            without_effect.add(key)
    assert not unexpected
    return without_effect


def check_changes(clone: Clone, keys: Collection[str]) -> None:
    """Check for each of the parameters that its change reruns the stages in the table, unless it has no effect.

    Figures and report, which take half of the time of a run, rerun once for all parameters of the stages before them.
    """
    of_figures = [key for key in keys if find_declaring_stages(key) <= {"params", *FIGURES_AND_REPORT}]
    others = [key for key in keys if key not in of_figures]
    without_effect = find_changes_without_effect(clone, others, FIGURES_AND_REPORT)
    assert clone.repro() == FIGURES_AND_REPORT
    without_effect |= find_changes_without_effect(clone, of_figures)
    assert without_effect == WITHOUT_EFFECT & {*keys}


@pytest.mark.long
def test_repro_reruns_what_the_table_says_for_a_parameter_of_each_stage(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    check_changes(clone, REPRESENTATIVES)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("half", [0, 1])
def test_repro_reruns_what_the_table_says_for_every_parameter(
    bypass_snakemake: Callable[[Clone], Clone], tmp_path: Path, half: int
) -> None:
    clone = Clone.create(tmp_path / "clone")
    for folder in ("pictures", "others"):
        write_random_images(clone.root / folder, 24)
    (clone.root / "weights").mkdir()
    save_stand_in_weights(clone.root / "weights" / INCEPTION_FILE)
    clone.set_params(
        attention_resolutions=[], extractor="inception", figure_dpi=40, loss_weighting="simple", progress_samples=0
    )
    # The parameters of a stage stay together: `eta` has an effect once `sampler` is ddim, `min_snr_gamma` once
    # `loss_weighting` is min_snr.
    keys = sorted(TABLE, key=lambda key: key in ("extractor", "folder", "source"))
    keys = keys[half * len(keys) // 2 : (half + 1) * len(keys) // 2]
    bypass_snakemake(clone).repro()
    weights = load_yaml(clone.root / "dvc.lock")["stages"]["extractor_weights"]["outs"]
    assert [out["nfiles"] for out in weights if out["path"] == "data/extractor_weights"] == [1]
    check_changes(clone, keys)
