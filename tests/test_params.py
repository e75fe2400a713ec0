"""params.yaml: one schema, one loader, one clear line for whatever is wrong."""

from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from omokage import pipeline, presets
from omokage.data.look import FACE_SIDE
from omokage.errors import Refused
from omokage.params import whole
from omokage.params.words import WORDS


def test_every_preset_is_whole_and_rendered_from_the_schema() -> None:
    files = [ROOT / "params.yaml", *sorted((ROOT / "workflow" / "presets").glob("*.yaml"))]
    assert len(files) == 5
    for path in files:
        values = whole.check(whole.load(path), path.name).values()
        heading = [line[1:].strip() for line in path.read_text().split("\n\n")[0].splitlines()]
        assert whole.render(values, "\n".join(heading)) == path.read_text(), f"{path.name}: run `make params`"


def test_the_laptop_preset_is_params_yaml() -> None:
    assert whole.load(ROOT / "workflow" / "presets" / "laptop.yaml") == whole.load(ROOT / "params.yaml")


def test_each_stage_declares_exactly_the_keys_of_its_part() -> None:
    stages = pipeline.read(ROOT)
    assert stages.pop("params").params is None
    assert {name: set(stage.params or ()) for name, stage in stages.items()} == {
        name: set(part.model_fields) for name, part in whole.PARTS.items()
    }


def test_a_stage_cannot_read_what_it_does_not_declare() -> None:
    values = tiny()
    part = whole.PARTS["sample"]
    params = part(**{key: values[key] for key in part.model_fields})
    with pytest.raises(AttributeError, match="'lr' is not among those this stage declares"):
        _ = params.lr
    with pytest.raises(ValidationError):
        params.samples = 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(("text", "value"), [("1e-05", 1e-5), ("1e-4", 1e-4), ("0.001", 1e-3), ("1", 1)])
def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path, text: str, value: float) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(f"lr: {text}\n")
    assert whole.load(file) == {"lr": value}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"lr": "fast"}, "lr = 'fast': input should be a valid number"),
        ({"lr": -1.0}, "lr = -1.0: input should be greater than 0"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"steps": True}, "steps = True"),
        ({"steps": 2.5}, "steps = 2.5"),
        ({"schedule": "cosin"}, "schedule = 'cosin': input should be 'linear', 'cosine' or 'sigmoid'"),
        ({"learning_rate": 1}, "learning_rate = 1 is no parameter: known are"),
        ({"lr": None}, "lr = None"),
        ({"avatar_backgrounds": ["red"]}, "avatar_backgrounds = "),
        ({"sample_steps": 21}, "sample_steps = 21: expected at most timesteps = 20"),
        ({"transform_steps": 21}, "transform_steps = 21: expected at most timesteps = 20"),
        ({"zero_snr": True, "prediction": "eps"}, "zero_snr = True with prediction = 'eps': pure noise tells nothing"),
        (
            {"zero_snr": True, "weighting": "min_snr", "weight_floor": 0.0},
            "zero_snr = True with weighting = 'min_snr' and weight_floor = 0: pure noise would have no weight",
        ),
        ({"image_size": 10}, "image_size = 10: with patch = 2 and 2 multipliers it must be a multiple of 4"),
        ({"attention": [5]}, "attention = [5]: expected resolutions of the UNet, [8, 4]"),
        ({"warmup": 0.7, "decay": 0.7}, "expected a sum of at most 1"),
        ({"source": "folder", "folder": "/tmp"}, "expected a path relative to the main checkout"),
        ({"samples": 1}, "samples = 1: input should be greater than or equal to 2"),
        ({"progress_samples": 1}, "progress_samples = 1: expected 0, or at least 2"),
        ({"study": ["ddim:20", "heun:21"]}, "study = ['heun:21']: expected at most timesteps = 20"),
        ({"study": ["euler:20"]}, "study = 'euler:20': string should match pattern"),
        ({"guidance": 0.5}, "guidance = 0.5: input should be greater than or equal to 1"),
        ({"guide": 1.0}, "guide = 1.0: input should be less than 1"),
        ({"avatar_size": FACE_SIDE + 1}, f"avatar_size = {FACE_SIDE + 1}: input should be less than or equal to"),
    ],
)
def test_what_is_wrong_is_named_with_value_and_choices(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Refused) as refusal:
        whole.check({**tiny(), **changes})
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_largest_avatar_still_is_a_face_as_it_is() -> None:
    assert whole.check({**tiny(), "avatar_size": FACE_SIDE})
    assert all(str(FACE_SIDE) in WORDS[key] for key in ("avatar_size", "crop"))


def test_a_missing_key_is_named() -> None:
    values = tiny()
    del values["lr"]
    with pytest.raises(Refused, match="lr is missing: add it"):
        whole.check(values)


@pytest.mark.parametrize("text", ["", "- 1\n", "lr: [\n", "lr: 1\nlr: 2\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(Refused):
        whole.load(file)


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers()))


@settings(max_examples=300, deadline=None)
@given(key=st.sampled_from(sorted(whole.Params.model_fields)), value=SCALARS)
def test_any_value_is_taken_or_refused_in_one_line(key: str, value: object) -> None:
    try:
        accepted = whole.check({**tiny(), key: value})
    except Refused as refusal:
        assert str(refusal).count("\n") == 0
    else:
        assert getattr(accepted, key) == value


def test_rendered_parameters_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    values = tiny(lr=1e-5, avatar_backgrounds=["000000", "1e1000"], report_title="a: b # c")
    file.write_text(whole.render(values, "heading"))
    assert whole.load(file) == values


def make_checkout(folder: Path) -> Path:
    (folder / "workflow" / "presets").mkdir(parents=True)
    for preset in (ROOT / "workflow" / "presets").glob("*.yaml"):
        (folder / "workflow" / "presets" / preset.name).write_text(preset.read_text())
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    return folder


def test_a_preset_is_taken_but_never_over_edits(tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    presets.take(root, "pixiv-64")
    assert whole.load(root / "params.yaml")["source"] == "kaggle"
    presets.take(root, "laptop")
    assert (root / "params.yaml").read_text() == (root / "workflow" / "presets" / "laptop.yaml").read_text()
    edited = whole.render({**whole.load(root / "params.yaml"), "lr": 0.5}, "mine")
    (root / "params.yaml").write_text(edited)
    with pytest.raises(Refused, match="holds edits"):
        presets.take(root, "pixiv-64")
    assert (root / "params.yaml").read_text() == edited
    with pytest.raises(Refused, match="no preset 'nope': choose one of another-anime-64, folder-32, laptop, pixiv-64"):
        presets.take(root, "nope")
