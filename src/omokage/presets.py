"""Take a preset for params.yaml: `make PRESET=name`."""

import shutil
import subprocess
import sys
from pathlib import Path

from omokage.errors import Refused
from omokage.params import whole


def take(root: Path, name: str) -> None:
    """Copy workflow/presets/NAME.yaml to params.yaml.

    Raises Refused for an unknown name, and where params.yaml holds edits: it equals no preset, nor what git has of it.
    """
    presets = {path.stem: path for path in sorted((root / "workflow" / "presets").glob("*.yaml"))}
    if name not in presets:
        raise Refused(f"there is no preset {name!r}: choose one of {', '.join(presets)}")
    target = root / "params.yaml"
    current = whole.load(target) if target.exists() else None
    edited = current is not None and current not in [whole.load(path) for path in presets.values()]
    if (
        edited
        and subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "params.yaml"], cwd=root, check=False).returncode
    ):
        raise Refused(
            f"params.yaml holds edits that PRESET={name} would overwrite: keep them with "
            "`cp params.yaml mine.yaml`, then `git checkout -- params.yaml` and try again"
        )
    if current != whole.load(presets[name]):
        partial = target.with_name(".partial-params.yaml")
        shutil.copyfile(presets[name], partial)
        partial.replace(target)


if __name__ == "__main__":
    try:
        take(Path.cwd(), sys.argv[1])
    except Refused as error:
        sys.exit(f"omokage: {error}")
