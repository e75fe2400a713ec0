"""Presets: named sets of parameter values that differ from the defaults.

A data preset selects the images. A recipe preset sets the model and its training, and works with every data preset. A
change follows a recipe, and sets some of its parameters to other values. A preset with the key `combines` first applies
the presets listed there, in that order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from omokage.base.errors import UserError
from omokage.base.files import write_text
from omokage.config.params_file import check_params, default_params, render_params
from omokage.config.similar import find_similar
from omokage.config.yaml_file import load_yaml

FOLDER = "workflow/presets"
KEYS = ("purpose", "time", "hardware", "combines", "params")


@dataclass(frozen=True)
class Preset:
    """One preset: its purpose, the time of a run, the hardware it needs, and its parameters.

    `combines` lists the presets that are applied first. `params` includes their parameters.
    """

    name: str
    purpose: str
    time: str
    hardware: str
    combines: tuple[str, ...]
    params: dict[str, Any]


def read_presets(root: Path) -> dict[str, Preset]:
    """Return the checkout's presets, by name; raise UserError if a preset is incomplete or has invalid parameters."""
    files = {path.stem: load_yaml(path) for path in sorted((root / FOLDER).glob("*.yaml"))}
    return {name: _read_preset(name, files) for name in files}


def _read_preset(name: str, files: Mapping[str, Mapping[str, Any]]) -> Preset:
    file, path = files[name], f"{FOLDER}/{name}.yaml"
    if unknown := sorted(map(str, file.keys() - set(KEYS))):
        raise UserError(f"{path}: unknown key {', '.join(unknown)}: expected {', '.join(KEYS)}")
    if missing := [key for key in ("purpose", "time", "hardware") if not isinstance(file.get(key), str)]:
        raise UserError(f"{path}: expected a text for {', '.join(missing)}")
    combines, own = file.get("combines") or [], file.get("params") or {}
    if not isinstance(combines, list) or not isinstance(own, dict):
        raise UserError(f"{path}: expected a list for combines, and `key: value` lines for params")
    if unknown := [part for part in combines if part not in files]:
        raise UserError(f"{path}: combines = {combines}: there is no preset {', '.join(map(str, unknown))}")
    if nested := [part for part in combines if files[part].get("combines")]:
        raise UserError(f"{path}: combines = {combines}: {nested[0]} combines presets itself: list those instead")
    params: dict[str, Any] = {}
    for part in combines:
        params |= _read_preset(part, files).params
    params |= own
    check_params(default_params() | params, path)
    return Preset(name, file["purpose"], file["time"], file["hardware"], tuple(combines), params)


def combine_presets(presets: Mapping[str, Preset], names: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that the presets `names` set; a later preset wins. Raises UserError for an unknown name."""
    params: dict[str, Any] = {}
    for name in names:
        if name not in presets:
            similar = find_similar(name, presets)
            hint = f"did you mean {similar}?" if similar else f"choose from {', '.join(presets)}"
            raise UserError(f"there is no preset {name!r}: {hint}")
        params |= presets[name].params
    return params


def use_presets(root: Path, names: Sequence[str], committed: Mapping[str, Any] | None = None) -> None:
    """Write params.yaml from the defaults and the presets `names`, where a later preset wins.

    Raises UserError if a name is unknown, if the parameters contradict each other, or if params.yaml holds edits. It
    holds edits if its values equal neither `committed` (the parameters in git, if any) nor those of any one or two
    presets. Values are compared instead of text, since DVC reformats lists when it sets a parameter.
    """
    presets, target = read_presets(root), root / "params.yaml"
    params = default_params() | combine_presets(presets, names)
    check_params(params, " + ".join(names))
    current = load_yaml(target) if target.exists() else None
    if current == params:
        return
    unedited = [default_params() | combine_presets(presets, pair) for pair in product(presets, repeat=2)]
    if current is not None and current not in unedited and current != committed:
        raise UserError(
            f"params.yaml holds edits, which {' + '.join(names)} would overwrite: keep them with "
            "`cp params.yaml mine.yaml`, then run `git checkout -- params.yaml` and try again"
        )
    write_text(target, render_params(params))
