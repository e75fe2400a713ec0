"""params.yaml: one schema, one loader, and one line of text for every mistake."""

from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.clone import ROOT, tiny_params

from omokage.base.errors import UserError
from omokage.config.other_names import OTHER_NAMES
from omokage.config.parameters import DESCRIPTIONS
from omokage.config.params_file import check_params, default_params, render_params, rewrite_params
from omokage.config.renamed import PARAMETERS, STAGES, rename_parameters
from omokage.config.yaml_file import load_yaml
from omokage.data.detection.analyse import FACE_SIDE
from omokage.params import schema
from omokage.pipeline.graph import read_stages


def test_params_yaml_holds_the_defaults_with_their_comments() -> None:
    assert (ROOT / "params.yaml").read_text() == render_params(default_params()), "run `make deps`"


def test_every_parameter_has_a_default_and_a_meaning() -> None:
    in_schema = list(dict.fromkeys(key for part in schema.PARTS.values() for key in part.model_fields))
    assert list(DESCRIPTIONS) == in_schema
    assert {*schema.Params.model_fields} == {*in_schema}
    assert all(description.meaning for description in DESCRIPTIONS.values())


def test_names_in_other_projects_are_listed_in_the_order_of_params_yaml() -> None:
    assert list(OTHER_NAMES) == [key for key in DESCRIPTIONS if key in OTHER_NAMES]


def test_each_stage_declares_exactly_the_keys_of_its_part() -> None:
    stages = read_stages(ROOT)
    assert stages.pop("params").params is None
    assert {name: stage.params for name, stage in stages.items()} == {
        name: tuple(part.model_fields) for name, part in schema.PARTS.items()
    }


def test_a_stage_cannot_read_a_parameter_that_it_does_not_declare() -> None:
    values = tiny_params()
    part = schema.PARTS["sample"]
    params = part(**{key: values[key] for key in part.model_fields})
    with pytest.raises(AttributeError, match="'lr' is not declared by this stage"):
        _ = params.lr
    with pytest.raises(ValidationError):
        params.samples = 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(("text", "value"), [("1e-05", 1e-5), ("1e-4", 1e-4), ("0.001", 1e-3), ("1", 1)])
def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path, text: str, value: float) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(f"lr: {text}\n")
    assert load_yaml(file) == {"lr": value}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": "fast"}, "lr = 'fast': input should be a valid number"),
        ({"lr": -1.0}, "lr = -1.0: input should be greater than 0"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"steps": True}, "steps = True"),
        (
            {"half_size_steps": 5, "channel_mult": [1], "attention_resolutions": []},
            "half_size_steps = 5 with channel_mult = [1]: the steps",
        ),
        (
            {"half_size_steps": 5, "channel_mult": [2, 4], "attention_resolutions": []},
            "half_size_steps = 5 with channel_mult = [2, 4]: the steps",
        ),
        ({"steps": 2.5}, "steps = 2.5"),
        ({"schedule": "cosin"}, "schedule = 'cosin': input should be 'linear', 'cosine' or 'sigmoid'"),
        ({"learning_rate": 1}, "learning_rate = 1 is not a parameter: params.yaml lists all parameters"),
        ({"lr": None}, "lr = None"),
        ({"avatar_backgrounds": ["red"]}, "avatar_backgrounds = "),
        ({"sample_steps": 21}, "sample_steps = 21: expected at most timesteps = 20"),
        ({"transform_steps": 21}, "transform_steps = 21: expected at most timesteps = 20"),
        (
            {"zero_snr": True, "prediction": "eps"},
            "zero_snr = True with prediction = 'eps': at pure noise, a predicted eps does",
        ),
        (
            {"zero_snr": True, "loss_weighting": "min_snr", "loss_weight_floor": 0.0},
            "zero_snr = True with loss_weighting = 'min_snr' and loss_weight_floor = 0: pure noise would have no",
        ),
        (
            {"prediction": "x0", "loss_weighting": "snr"},
            "loss_weighting = 'snr' with prediction = 'x0': the weight of the error would be the SNR at low noise",
        ),
        (
            {"image_size": 10},
            "image_size = 10: with patch_size = 2 and 2 values in channel_mult it must be a multiple of 4",
        ),
        ({"attention_resolutions": [5]}, "attention_resolutions = [5]: expected resolutions of the UNet, [8, 4]"),
        ({"warmup": 0.7, "decay": 0.7}, "expected a sum of at most 1"),
        ({"source": "folder", "folder": "/tmp"}, "expected a path relative to the main checkout"),
        ({"samples": 1}, "samples = 1: input should be greater than or equal to 2"),
        ({"progress_samples": 1}, "progress_samples = 1: expected 0, or at least 2"),
        ({"sampler_study": ["ddim:20", "heun:21"]}, "sampler_study = ['heun:21']: expected at most timesteps = 20"),
        ({"sampler_study": ["euler:20"]}, "sampler_study = 'euler:20': string should match pattern"),
        ({"guidance_scale": 0.5}, "guidance_scale = 0.5: input should be greater than or equal to 1"),
        ({"guidance_snapshot": 1.0}, "guidance_snapshot = 1.0: input should be less than 1"),
        ({"avatar_size": FACE_SIDE + 1}, f"avatar_size = {FACE_SIDE + 1}: input should be less than or equal to"),
    ],
)
def test_the_message_names_key_value_and_expected_values(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        check_params({**tiny_params(), **changes})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("old_name", "new_name"), PARAMETERS.items())
def test_the_old_name_of_a_parameter_is_answered_with_the_new_one(old_name: str, new_name: str) -> None:
    values = tiny_params()
    value = values.pop(new_name)
    with pytest.raises(UserError) as error:
        check_params({**values, old_name: value})
    # One problem, although the new name is missing as well.
    assert str(error.value) == f"params.yaml: {old_name} was renamed to {new_name}: write {new_name}: {value!r}"


def test_old_names_stand_for_current_parameters_and_stages() -> None:
    assert {*PARAMETERS.values()} <= {*DESCRIPTIONS}
    assert not {*PARAMETERS} & {*DESCRIPTIONS}
    assert {*STAGES.values()} <= {*read_stages(ROOT)}
    assert rename_parameters({"weights": "ema", "lr": 1e-4}) == {"ema_kind": "ema", "lr": 1e-4}


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("batchsize", "batch_size"), ("Steps", "steps"), ("lrr", "lr"), ("shedule", "schedule"), ("sample", "samples")],
)
def test_a_typo_is_answered_with_the_closest_parameter(typo: str, meant: str) -> None:
    with pytest.raises(UserError) as error:
        check_params({**tiny_params(), typo: 1})
    assert str(error.value) == f"params.yaml: {typo} = 1 is not a parameter: did you mean {meant}?"


def test_the_largest_avatar_is_small_enough_to_count_as_a_whole_face() -> None:
    assert check_params({**tiny_params(), "avatar_size": FACE_SIDE})
    assert all(str(FACE_SIDE) in DESCRIPTIONS[key].meaning for key in ("avatar_size", "crop"))


def test_a_missing_key_is_named() -> None:
    values = tiny_params()
    del values["lr"]
    with pytest.raises(UserError, match="lr is missing: add it"):
        check_params(values)


@pytest.mark.parametrize("text", ["", "- 1\n", "lr: [\n", "lr: 1\nlr: 2\n"])
def test_a_file_that_is_not_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(UserError):
        load_yaml(file)


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers()))


@settings(max_examples=300)
@given(key=st.sampled_from(sorted(schema.Params.model_fields)), value=SCALARS)
def test_any_value_is_accepted_or_refused_in_one_line(key: str, value: object) -> None:
    try:
        accepted = check_params({**tiny_params(), key: value})
    except UserError as error:
        assert str(error).count("\n") == 0
    else:
        is_unpinned = key == "kaggle_version" and value is None
        assert getattr(accepted, key) == (0 if is_unpinned else value)


def test_rendered_parameters_are_read_back_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    values = tiny_params(lr=1e-5, avatar_backgrounds=["000000", "1e1000"], report_title="a: b # c")
    file.write_text(render_params(values))
    assert load_yaml(file) == values


def test_rewriting_params_yaml_keeps_values_and_adds_missing_parameters(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("lr: 0.001  # an old comment\nchannel_mult:\n  - 1\n  - 1\n  - 2\n  - 2\n")
    rewrite_params(file)
    values = default_params() | {"lr": 0.001, "channel_mult": [1, 1, 2, 2]}
    assert file.read_text() == render_params(values)


def test_dvc_changes_only_the_line_of_the_parameter_that_it_sets(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(render_params(load_yaml(ROOT / "params.yaml")))
    before = path.read_text().splitlines()
    apply_overrides(str(path), ["lr=1e-3"])
    after = path.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new for _, new in changed] == ["lr: 0.001  # peak learning rate"]
