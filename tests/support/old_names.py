"""Make the results of a clone look like those of an older version, which used other parameter and stage names."""

import json
from collections.abc import Mapping
from typing import Any

from PIL import Image

from omokage.base.files import hash_file
from omokage.config.params_file import render_value
from omokage.config.renamed import PARAMETERS, STAGES
from omokage.config.yaml_file import load_yaml
from omokage.stamps.records import FOLDER, write_record
from omokage.stamps.stamp import read_stamp, save_png
from support.clone import Clone

OLD_PARAMETERS = {current: old for old, current in PARAMETERS.items()}
OLD_STAGES = {current: old for old, current in STAGES.items()}


def commit_old_names(clone: Clone, figure: str) -> None:
    """Commit params.yaml, the run records and the metadata in one PNG with old names; then restore only params.yaml."""
    stamp = read_stamp(clone.root / figure)
    stamp["params"] = _rename(stamp["params"])
    runs = stamp["runs"].items()
    stamp["runs"] = {OLD_STAGES.get(name, name): {**run, "params": _rename(run["params"])} for name, run in runs}
    with Image.open(clone.root / figure) as image:
        save_png(image.convert("RGB"), clone.root / figure, stamp)
    for path in sorted((clone.root / FOLDER).glob("*.json")):
        (record,) = json.loads(path.read_text())
        path.unlink()
        record |= {"stage": OLD_STAGES.get(record["stage"], record["stage"]), "params": _rename(record["params"])}
        if figure in record["outs"]:
            record["outs"][figure] = hash_file(clone.root / figure)
        write_record(clone.root / FOLDER / f"{record['stage']}.json", record)
    params = clone.root / "params.yaml"
    current, old = params.read_text(), _rename(load_yaml(params))
    params.write_text("".join(f"{key}: {render_value(value)}\n" for key, value in old.items()))
    clone.commit("results of an older version")
    params.write_text(current)


def _rename(values: Mapping[str, Any]) -> dict[str, Any]:
    return {OLD_PARAMETERS.get(key, key): value for key, value in values.items()}
