"""DVC's run-cache, which holds earlier runs: DVC restores such a run instead of running the stage again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc.config import Config
from dvc.repo import Repo

from omokage.config.yaml_file import load_yaml
from omokage.pipeline.dvc_lock import get_hashes, get_params
from omokage.pipeline.graph import Stage

OBJECTS = Path("files", "md5")


def find_cache(root: Path) -> Path:
    """Return the folder of the checkout's DVC cache. Below it, OBJECTS holds the files, and `runs` the run-cache."""
    return Path(Config(str(root / ".dvc"), validate=False).get("cache", {}).get("dir", root / ".dvc" / "cache"))


class RunCache:
    """The run-cache of a checkout. It has one file per run, in the format of an entry of dvc.lock."""

    def __init__(self, root: Path) -> None:
        folder = find_cache(root)
        self.objects = folder / OBJECTS
        self.runs = {path: path.read_text(encoding="utf-8") for path in sorted((folder / "runs").glob("*/*/*"))}

    def find_outs(self, stage: Stage, values: Mapping[str, Any], deps: Mapping[str, str]) -> dict[str, str] | None:
        """Return the MD5s of the outputs, by path, that DVC would restore, or None if DVC would run the stage.

        `values` holds the parameters of all stages, and `deps` the MD5 of each dependency, by path.
        """
        command = f"cmd: sh workflow/stage {stage.name}\n"
        for path, text in self.runs.items():
            # A fast check first, since parsing every file as YAML would take long.
            if text.startswith(command) and all(digest in text for digest in deps.values()):
                entry = load_yaml(path)
                outs = get_hashes(entry, "outs")
                is_same = get_hashes(entry, "deps") == deps and get_params(entry) == stage.select_params(values)
                if is_same and all(self._has_object(digest) for digest in outs.values()):
                    return outs
        return None

    def _has_object(self, digest: str) -> bool:
        return (self.objects / digest[:2] / digest[2:]).is_file()


def save_run(root: Path, name: str) -> None:
    """Save the last run of the stage `name` to the run-cache.

    This is for stages with `cache: false` under `outs:`. DVC can restore a run of such a stage, but does not save it
    (Stage.run in DVC 3.67). If `cache.type` allows symbolic links, nothing is saved: DVC would restore the outputs as
    links, and git would store the links. A hard link is a regular file for git, and stages replace files instead of
    writing into them.
    """
    with Repo(str(root)) as repo:
        if "symlink" not in repo.cache.local.cache_types:
            for stage in repo.stage.collect(name):
                stage.save()
