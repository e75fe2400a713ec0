"""List the DVC experiments of a checkout, including those that run, wait in the queue or failed there."""

import json
from contextlib import suppress
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.experiments.executor.base import TaskStatus
from dvc.repo.experiments.refs import APPLY_STASH, CELERY_FAILED_STASH, CELERY_STASH, WORKSPACE_STASH
from dvc.repo.experiments.stash import ExpStash
from dvc.repo.experiments.utils import exp_refs

from omokage.base.errors import UserError

STASHES = (WORKSPACE_STASH, CELERY_STASH, CELERY_FAILED_STASH, APPLY_STASH)


def list_experiment_names(root: Path) -> set[str]:
    """Return the names of all experiments of the main checkout `root`, under which their logs are kept.

    Raises UserError if DVC cannot read the repository.
    """
    try:
        with Repo(str(root)) as repo:
            finished = {ref.name for ref in exp_refs(repo.scm)}
            stashed = {entry.name for stash in STASHES for entry in ExpStash(repo.scm, stash).stash_revs.values()}
    except DvcException as error:
        raise UserError(f"DVC cannot list the experiments: {error}: run `dvc exp list` for details") from error
    return {name for name in finished | stashed | _list_running(root) if name}


def _list_running(root: Path) -> set[str]:
    """Return the names of the experiments that DVC's files describe as running."""
    names, folder = set(), root / ".dvc" / "tmp" / "exps"
    for path in [*folder.glob("run/*/*.run"), *folder.glob("*/run/*/*.run")]:
        with suppress(OSError, ValueError, KeyError, TypeError):  # DVC removes and rewrites these files
            info = json.loads(path.read_text(encoding="utf-8"))
            if info["status"] <= TaskStatus.SUCCESS:
                names.add(info["name"])
    return names
