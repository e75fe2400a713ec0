"""Check the path to which a command will write, before the work starts.

A command never overwrites one of its inputs, a file that git tracks, or a file of the pipeline. It overwrites another
existing file only with `--force`.
"""

import argparse
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from omokage.base.errors import UserError
from omokage.config.yaml_file import load_yaml
from omokage.pipeline.dvc_lock import read_lock
from omokage.pipeline.graph import locate, read_stages


def add_output_options(parser: argparse.ArgumentParser, default: str, content: str) -> None:
    """Add the options --out and --force; `content` names what the command writes."""
    parser.add_argument(
        "--out", type=Path, default=Path(default), help=f"the {content} to write (default: %(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file of an earlier run")


def check_output(path: Path, suffix: str, inputs: Iterable[Path], force: bool) -> Path:
    """Return the file that `path` refers to, with links resolved; raise UserError if the command must not write it.

    `suffix` is the only format that the command writes, and `inputs` are the files that it reads.
    """
    target = path.resolve()
    if target.is_dir():
        raise UserError(f"{path} is a folder: expected a file, such as {path / f'sheet{suffix}'}")
    if target.suffix.lower() != suffix:
        raise UserError(f"{path}: expected a name that ends in {suffix}, the only format of this command")
    if target.exists() and not target.is_file():
        raise UserError(f"{path} is not a regular file: choose another path with --out")
    if any(_is_same(target, item) for item in inputs):
        raise UserError(f"{path} is an input of this command: choose another path with --out")
    _check_writable(path, target)
    _check_pipeline(path, target)
    _check_git(path, target)
    if not force:
        refuse_existing(path)
    return target


def check_output_folder(path: Path, inputs: Iterable[Path]) -> Path:
    """Return the folder that `path` refers to, with links resolved; raise UserError if the command must not fill it.

    The folder may exist. `inputs` are the files that the command reads.
    """
    target = path.resolve()
    if target.exists() and not target.is_dir():
        raise UserError(f"{path} is a file: expected a folder")
    if any(item.resolve().is_relative_to(target) for item in inputs):
        raise UserError(f"{path} has an input of this command: choose another folder with --out")
    _check_writable(path, target)
    _check_pipeline(path, target)
    _check_git(path, target)
    return target


def refuse_existing(path: Path) -> None:
    """Raise UserError if the file exists."""
    if path.exists():
        raise UserError(f"{path} exists: overwrite it with --force, or choose another path with --out")


def _is_same(target: Path, item: Path) -> bool:
    return target == item.resolve() or (target.exists() and item.exists() and target.samefile(item))


def _check_writable(path: Path, target: Path) -> None:
    folder = next(folder for folder in target.parents if folder.exists())
    if not folder.is_dir():
        raise UserError(f"{path}: {folder} is a file: expected a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{path}: {folder} cannot be written to: choose another path with --out")


def _check_pipeline(path: Path, target: Path) -> None:
    """Raise UserError if the file is, or lies in, an output or a dependency of the checkout in which it lies."""
    for root in target.parents:
        if (root / "dvc.yaml").is_file() and (root / "src" / "omokage").is_dir():
            values = load_yaml(root / "params.yaml")
            for name, declared in _list_pipeline_files(root):
                if target.is_relative_to(locate(root, declared, values).resolve()):
                    raise UserError(
                        f"{path} belongs to the pipeline (stage {name} in dvc.yaml): choose another path with --out"
                    )


def _list_pipeline_files(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (stage, path) for every output and dependency; for a stage that a user has added, as dvc.lock lists it."""
    for name, stage in read_stages(root).items():
        yield from ((name, path) for path in (*stage.outs, *stage.deps))
    for name, entry in read_lock(root).items():
        yield from ((name, item["path"]) for item in entry.get("outs", []))


def _check_git(path: Path, target: Path) -> None:
    """Raise UserError if git tracks the file, or if git cannot answer."""
    folder = next(folder for folder in target.parents if folder.exists())
    command = ["git", "--literal-pathspecs", "ls-files", "--", str(target)]
    environment = {**os.environ, "LC_ALL": "C"}  # for the message that is looked for below
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    except FileNotFoundError as error:
        if not target.exists():
            return
        raise UserError(f"{path} exists, and git, which may track it, is not installed: choose another path") from error
    if done.stdout:
        raise UserError(f"{path} is tracked by git: choose another path with --out")
    reason = done.stderr.decode("utf-8", "replace").partition("\n")[0]
    if done.returncode and "not a git repository" not in reason:
        raise UserError(f"{path}: git cannot say whether it tracks this file ({reason}): choose another path")
