"""Prepare a stage's job: check its parameters, find and hash its inputs, and compute the fingerprint of the run."""

import importlib
import json
import subprocess
from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from omokage.base.checkout import find_main_checkout, work_folder
from omokage.base.errors import UserError
from omokage.base.files import hash_file, hash_tree, partial_path
from omokage.base.job import Job
from omokage.config.renamed import PARAMETERS
from omokage.config.validation import validate
from omokage.config.yaml_file import load_yaml
from omokage.pipeline.code import hash_code, list_code
from omokage.pipeline.graph import Stage, locate, read_packages
from omokage.pipeline.installed import get_release


def prepare_job(root: Path, stage: Stage, threads: int, live: tuple[str, ...] = ()) -> Job[Any]:
    """Return the job of `stage`. Its `live` outputs are written in place, the others under a temporary name.

    Raises UserError if a parameter is invalid, an input is missing, or an installed package is not of the version in
    the stage's package list.
    """
    values = load_yaml(root / "params.yaml")
    params = _check_params(stage, values)
    if find_main_checkout(root) != root.resolve():
        _check_experiment(root)
    paths = {dep: locate(root, dep, values) for dep in stage.deps}
    for path in paths.values():
        if not path.exists():
            raise UserError(f"{path} is missing: run `dvc repro`, which makes it, or restore it from git")
    outs = [out for out in stage.outs if out != stage.record]
    job = Job(
        params=params,
        inputs={dep: paths[dep] for dep in stage.data},
        outputs={out: root / out if out in live else partial_path(root / out) for out in outs},
        work=Path(),
        threads=threads,
        deps={dep: hash_tree(paths[dep]) for dep in stage.data},
        code={
            file.relative_to(root).as_posix(): hash_file(file) for dep in stage.code for file in list_code(root, dep)
        },
        code_deps={dep: hash_code(root, dep) for dep in stage.code},
        packages=_check_installed(read_packages(root, stage)),
    )
    identity = [stage.name, stage.select_params(values), job.deps, job.code_deps, job.packages]
    fingerprint = sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return job.with_work_folder(work_folder(root) / f"{stage.name}-{fingerprint}")


def _check_params(stage: Stage, values: dict[str, Any]) -> Any:
    """Return the parameters that the stage declares, checked against its part of the schema."""
    if stage.params is None:
        return validate(importlib.import_module("omokage.params.schema").Params, values)
    schema = importlib.import_module(f"omokage.params.{stage.name}").Params
    if difference := sorted(set(stage.params) ^ set(schema.model_fields)):
        raise UserError(
            f"dvc.yaml and {schema.__module__} declare different parameters ({', '.join(difference)}): run `make deps`"
        )
    # An old name is passed on, so that the message names the new one.
    old_names = [old for old, new in PARAMETERS.items() if new in stage.params]
    return validate(schema, {key: values[key] for key in (*stage.params, *old_names) if key in values})


def _check_experiment(root: Path) -> None:
    """Raise UserError if DVC would lose this temporary experiment, or its .dvc/config.local names no main checkout."""
    if _is_shallow(find_main_checkout(root)):
        raise UserError(
            "the main checkout is a shallow clone (git clone --depth), from which DVC loses the results of --temp and "
            "of the queue: run `git fetch --unshallow` there, or `dvc exp run` without --temp"
        )
    local = root / ".dvc" / "config.local"
    if not (local.is_file() and "checkout" in local.read_text(encoding="utf-8")):
        raise UserError(
            ".dvc/config.local does not name the main checkout, so `folder` cannot be found: run `make install` in "
            "the main checkout"
        )


def _is_shallow(checkout: Path) -> bool:
    """Return whether git has only a part of the checkout's history; False if there is no git to ask."""
    command = ["git", "rev-parse", "--is-shallow-repository"]
    try:
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return False
    return done.stdout.strip() == "true"


def _check_installed(packages: dict[str, str]) -> dict[str, str]:
    """Return `packages`, versions by distribution; raise UserError if another version, or none, is installed."""
    for name, version in packages.items():
        try:
            installed = get_release(name)
        except PackageNotFoundError:
            installed = "no version"
        if installed != version:
            raise UserError(
                f"{name}: {installed} is installed, but the cache is keyed by {version} (workflow/packages): "
                "install the pinned packages with `make`, or pin yours with `make deps`"
            )
    return packages
