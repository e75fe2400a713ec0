"""The presets: valid, minimal, each value with a reason; and using one without losing edits of params.yaml."""

import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.clone import ROOT

from omokage.base.errors import UserError
from omokage.cli.main import main
from omokage.config.params_file import check_params, default_params, render_params
from omokage.config.presets import FOLDER, combine_presets, read_presets, use_presets
from omokage.config.yaml_file import load_yaml

PRESETS = read_presets(ROOT)
DATA = [name for name, preset in PRESETS.items() if preset.purpose.startswith("data: ")]
RECIPES = [name for name, preset in PRESETS.items() if preset.purpose.startswith("recipe: ")]
CHANGES = [name for name, preset in PRESETS.items() if preset.purpose.startswith("change: ")]
COMBINATIONS = [name for name, preset in PRESETS.items() if preset.combines]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the presets and params.yaml, without git."""
    shutil.copytree(ROOT / FOLDER, tmp_path / FOLDER)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy2(ROOT / name, tmp_path)
    return tmp_path


def write_as_dvc(path: Path, values: dict[str, Any]) -> None:
    """Write parameters without comments and with block-style lists, as `dvc exp run -S` may leave them."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(values, path)
    assert "\n- " in path.read_text()


def test_every_preset_is_valid_and_selects_data_or_a_recipe_or_changes_a_recipe_or_combines_them() -> None:
    assert sorted([*DATA, *RECIPES, *CHANGES, *COMBINATIONS]) == sorted(PRESETS)
    assert {"avatars", "folder", "pixiv"} <= {*DATA} and {"laptop", "cpu-32", "gpu-64"} <= {*RECIPES}
    for name in COMBINATIONS:
        data, recipe, *changes = PRESETS[name].combines
        assert data in DATA and recipe in RECIPES and {*changes} <= {*CHANGES}, name
        assert combine_presets(PRESETS, [name]) == combine_presets(PRESETS, [data, recipe, *changes])


@pytest.mark.parametrize(("data", "recipe"), product(DATA, RECIPES))
def test_any_data_goes_with_any_recipe(data: str, recipe: str) -> None:
    assert not {*PRESETS[data].params} & {*PRESETS[recipe].params}
    assert check_params(default_params() | combine_presets(PRESETS, [data, recipe]))


@pytest.mark.parametrize(("combination", "change"), product(["pixiv-64", "another-anime-64"], CHANGES))
def test_a_change_follows_a_combination_on_a_gpu(combination: str, change: str) -> None:
    params = check_params(default_params() | combine_presets(PRESETS, [combination, change])).values()
    assert {key: params[key] for key in PRESETS[change].params} == PRESETS[change].params


def test_the_laptop_preset_is_the_defaults() -> None:
    assert combine_presets(PRESETS, ["laptop", "avatars"]) == {}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_holds_only_differences_from_the_defaults_each_with_a_reason(name: str) -> None:
    defaults = default_params()
    assert [key for key, value in PRESETS[name].params.items() if defaults[key] == value] == []
    _, _, params = (ROOT / FOLDER / f"{name}.yaml").read_text().partition("\nparams:\n")
    assert all(line.startswith("  ") and len(line.partition("  # ")[2]) > 10 for line in params.splitlines())


def test_using_presets_writes_params_yaml_with_its_comments(checkout: Path) -> None:
    use_presets(checkout, ["pixiv", "cpu-32"])
    values = default_params() | PRESETS["pixiv"].params | PRESETS["cpu-32"].params
    assert (checkout / "params.yaml").read_text() == render_params(values)
    use_presets(checkout, ["pixiv-64"])
    assert load_yaml(checkout / "params.yaml") == default_params() | PRESETS["pixiv-64"].params
    use_presets(checkout, ["laptop"])
    assert (checkout / "params.yaml").read_text() == (ROOT / "params.yaml").read_text()


def test_using_a_preset_never_overwrites_edits(checkout: Path) -> None:
    edited = render_params({**default_params(), "lr": 0.5})
    (checkout / "params.yaml").write_text(edited)
    with pytest.raises(UserError, match=r"^params\.yaml holds edits, which pixiv-64 would overwrite"):
        use_presets(checkout, ["pixiv-64"])
    assert (checkout / "params.yaml").read_text() == edited


def test_values_that_git_has_are_no_edits(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "params.yaml").write_text(render_params({**default_params(), "lr": 0.5}))
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "params.yaml"], [*identity, "commit", "-q", "-m", "values"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    (checkout / "dvc.yaml").touch()
    monkeypatch.chdir(checkout)
    assert main(["presets", "use", "folder-32"]) == 0
    assert load_yaml(checkout / "params.yaml") == default_params() | PRESETS["folder-32"].params


def test_lists_that_dvc_has_rewritten_are_no_edits(checkout: Path) -> None:
    write_as_dvc(checkout / "params.yaml", default_params() | PRESETS["gpu-64"].params)
    use_presets(checkout, ["cpu-32"])
    assert load_yaml(checkout / "params.yaml") == default_params() | PRESETS["cpu-32"].params


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("purpose: a\ntime: b\n", f"{FOLDER}/mine.yaml: expected a text for hardware"),
        ("purpose: a\ntime: b\nhardware: c\ncombines: [nope]\n", r"combines = \['nope'\]: there is no preset nope"),
        ("purpose: a\ntime: b\nhardware: c\nparams: {lr: -1.0}\n", f"{FOLDER}/mine.yaml: lr = -1.0: input should be"),
        ("purpose: a\ntime: b\nhardware: c\ncombines: pixiv\n", f"{FOLDER}/mine.yaml: expected a list for combines"),
        ("purpose: a\ntime: b\nhardware: c\nparams: [lr]\n", f"{FOLDER}/mine.yaml: expected a list for combines"),
        ("purpose: a\ntime: b\nhardware: c\nparams: {width: 8}\n", "width was renamed to model_channels"),
        ("purpose: a\ntime: b\nhardware: c\nparam: {lr: 1e-3}\n", f"{FOLDER}/mine.yaml: unknown key param: expected "),
        ("purpose: a\ntime: b\nhardware: c\ncombines: [pixiv-64]\n", "pixiv-64 combines presets itself: list those"),
    ],
)
def test_an_invalid_preset_file_is_refused(checkout: Path, text: str, message: str) -> None:
    (checkout / FOLDER / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_presets(checkout)


def test_the_command_lists_shows_and_uses_presets(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(checkout)
    assert main(["presets"]) == 0
    listed = capsys.readouterr().out
    assert "pixiv-64 = pixiv + gpu-64\n" in listed
    for name, preset in PRESETS.items():
        assert name in listed and " ".join(preset.purpose.split()) in " ".join(listed.split())
    assert main(["presets", "show", "folder", "gpu-64"]) == 0
    shown = capsys.readouterr().out
    assert "source: folder  # default: avatars\n" in shown
    assert "channel_mult: [1, 2, 2, 2]  # default: [1, 2, 4, 4]\n" in shown
    assert main(["presets", "show", "laptop"]) == 0
    assert capsys.readouterr().out == "no difference from the defaults\n"
    assert main(["presets", "use", "folder", "cpu-32"]) == 0
    assert capsys.readouterr().out == "params.yaml: folder + cpu-32; `dvc repro` runs it\n"
    assert load_yaml(checkout / "params.yaml")["source"] == "folder"
    assert main(["presets", "use", "nope"]) == 2
    assert capsys.readouterr().err == f"omokage: there is no preset 'nope': choose from {', '.join(PRESETS)}\n"
    assert main(["presets", "use", "pixiv-46"]) == 2
    assert capsys.readouterr().err == "omokage: there is no preset 'pixiv-46': did you mean pixiv-64?\n"
