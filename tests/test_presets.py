"""Every preset runs through all stages; only counts, steps and the source are scaled down, not model and precision."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Clone

from omokage.params import whole

SCALED_DOWN = {
    "source": "avatars",
    "avatar_count": 8,
    "held_out": 0.4,
    "reference_faces": 3,
    "batch_size": 2,
    "steps": 1,
    "sample_steps": 2,
    "samples": 4,
    "frames": 2,
    "progress_samples": 0,
    "transform_faces": 1,
    "transform_steps": 2,
    "transform_between": 2,
    "kid_subsets": 2,
    "kid_subset_size": 2,
    "bootstrap": 20,
    "grid_side": 2,
}


@pytest.mark.long
@pytest.mark.parametrize("preset", ["another-anime-64", "folder-32", "laptop", "pixiv-64"])
def test_a_preset_runs_through_all_stages(preset: str, warmed: Callable[[Clone], Clone], tmp_path: Path) -> None:
    assert preset in {path.stem for path in (ROOT / "workflow" / "presets").glob("*.yaml")}
    clone = Clone(tmp_path / "clone")
    clone.write_params({**whole.load(ROOT / "workflow" / "presets" / f"{preset}.yaml"), **SCALED_DOWN})
    # Pictures are drawn 32 at a time, of which all but four would be thrown away, and judged at 12 levels of noise.
    clone.edit("src/omokage/stages/sample.py", "UNIT = 32\n", "UNIT = 4\n")
    clone.edit("src/omokage/stages/train.py", "LEVELS = 12\n", "LEVELS = 2\n")
    warmed(clone).repro()
    assert (clone.root / "results" / "report.html").stat().st_size > 10_000
