"""DVC's run-cache: the runs whose results it restores instead of running a stage again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc.config import Config
from dvc.repo import Repo

from omokage import lock
from omokage.params import whole
from omokage.pipeline import Stage


class RunCache:
    """The run-cache of a checkout; DVC writes a file for each run, like an entry of dvc.lock."""

    def __init__(self, root: Path) -> None:
        folder = Path(Config(str(root / ".dvc"), validate=False).get("cache", {}).get("dir", root / ".dvc" / "cache"))
        self.objects = folder / "files" / "md5"
        self.runs = {path: path.read_text(encoding="utf-8") for path in sorted((folder / "runs").glob("*/*/*"))}

    def outs(self, stage: Stage, values: Mapping[str, Any], deps: Mapping[str, str]) -> dict[str, str] | None:
        """Return the MD5 of the outputs, by path, that DVC would restore for a stage, or None if it would run.

        `values` are all parameters, `deps` the MD5 of what the stage depends on.
        """
        named = f"cmd: sh workflow/stage {stage.name}\n"
        for path, text in self.runs.items():
            # To read all of them as YAML would take long.
            if text.startswith(named) and all(digest in text for digest in deps.values()):
                entry = whole.load(path)
                made = lock.hashes(entry, "outs")
                fitting = lock.hashes(entry, "deps") == deps and lock.params(entry) == stage.chosen(values)
                if fitting and all(self._holds(digest) for digest in made.values()):
                    return made
        return None

    def _holds(self, digest: str) -> bool:
        return (self.objects / digest[:2] / digest[2:]).is_file()


def keep(root: Path, name: str) -> None:
    """Save the run that has just made the outputs of a stage, as DVC does by itself for others.

    It would restore any, but saves none of a stage with `cache: false` under `outs:` (its Stage.run, in 3.67). Where it
    links files to its cache it would restore links, and git take them for such: then nothing is saved.
    """
    with Repo(str(root)) as repo:
        if not {"hardlink", "symlink"} & set(repo.cache.local.cache_types):
            for stage in repo.stage.collect(name):
                stage.save()
