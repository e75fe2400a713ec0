"""Make the results of a clone look like those of an older version, which used other parameter and stage names."""

import json
from collections.abc import Mapping
from typing import Any

from PIL import Image

from omokage.config.params_file import render_value
from omokage.config.renamed import PARAMETERS, STAGES
from omokage.config.yaml_file import load_yaml
from omokage.pipeline.dvc_lock import hash_md5
from omokage.stamps.stamp import read_stamp, save_png
from support.clone import Clone

OLD_PARAMETERS = {current: old for old, current in PARAMETERS.items()}
OLD_STAGES = {current: old for old, current in STAGES.items()}


def commit_old_names(clone: Clone, figure: str) -> None:
    """Commit params.yaml, dvc.lock and the metadata in one PNG with old names; then restore only params.yaml."""
    old_md5 = hash_md5(clone.root / figure)
    stamp = read_stamp(clone.root / figure)
    stamp["params"] = _rename(stamp["params"])
    runs = stamp["runs"].items()
    stamp["runs"] = {OLD_STAGES.get(name, name): {**run, "params": _rename(run["params"])} for name, run in runs}
    with Image.open(clone.root / figure) as image:
        save_png(image.convert("RGB"), clone.root / figure, stamp)
    lock = load_yaml(clone.root / "dvc.lock")
    lock["stages"] = {OLD_STAGES.get(name, name): entry for name, entry in lock["stages"].items()}
    for entry in lock["stages"].values():
        if "params" in entry:
            entry["params"]["params.yaml"] = _rename(entry["params"]["params.yaml"])
    # JSON is valid YAML.
    text = json.dumps(lock, indent=1).replace(old_md5, hash_md5(clone.root / figure))
    (clone.root / "dvc.lock").write_text(text)
    params = clone.root / "params.yaml"
    current, old = params.read_text(), _rename(load_yaml(params))
    params.write_text("".join(f"{key}: {render_value(value)}\n" for key, value in old.items()))
    clone.commit("results of an older version")
    params.write_text(current)


def _rename(values: Mapping[str, Any]) -> dict[str, Any]:
    return {OLD_PARAMETERS.get(key, key): value for key, value in values.items()}
