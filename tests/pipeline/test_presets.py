"""Every preset runs through all stages; only source, counts and steps are scaled down, not the model or precision."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.clone import ROOT, Clone

from omokage.config.params_file import default_params
from omokage.config.presets import read_presets

PRESETS = read_presets(ROOT)
# The others are parts of these. The recipe for GPUs takes minutes even when scaled down.
SMALL = ("folder-32", "laptop")
LARGE = ("laptop-32", "folder-64", "another-anime-64", "pixiv-64", "pixiv-128")
SCALED_DOWN = {
    "source": "avatars",
    "avatar_count": 8,
    "held_out": 0.4,
    "reference_faces": 3,
    "batch_size": 2,
    "steps": 1,
    "sample_steps": 2,
    "samples": 4,
    "denoising_frames": 2,
    "progress_samples": 0,
    "transform_faces": 1,
    "transform_steps": 2,
    "transform_between": 2,
    "kid_subsets": 2,
    "kid_subset_size": 2,
    "bootstrap": 20,
    "grid_side": 2,
}


def test_every_preset_is_run_or_part_of_one_that_is_or_the_default() -> None:
    run = {*SMALL, *LARGE}
    parts = {part for name in run for part in PRESETS[name].combines}
    longer = {"gpu-30min", "gpu-2h"}  # they change steps, which are scaled down, and rates
    assert {name for name, preset in PRESETS.items() if preset.params} <= run | parts | longer


@pytest.mark.long
@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_a_preset_runs_through_all_stages(
    name: str, bypass_snakemake: Callable[[Clone], Clone], tmp_path: Path
) -> None:
    clone = Clone.create(tmp_path / "clone")
    params = {**default_params(), **PRESETS[name].params}
    clone.write_params({**params, **SCALED_DOWN, "half_size_steps": min(1, params["half_size_steps"])})
    bypass_snakemake(clone).repro()
    assert (clone.root / "results" / "report.html").stat().st_size > 10_000
