"""Clones of this checkout, in which tests run the real pipeline with tiny parameters."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import pytest
from filelock import FileLock

from omokage.config.params_file import render_params
from omokage.config.yaml_file import load_yaml

ROOT = Path(__file__).parents[2]
# With this PYTHONPATH, another process can import the project's modules and those of tests/support.
PYTHON_PATH = f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"

# The smallest parameters with which every stage still does all of its work.
TINY_PARAMS: dict[str, Any] = {
    "avatar_count": 48,
    "avatar_size": 32,
    "image_size": 16,
    "min_side": 8,
    "held_out": 0.3,
    "reference_faces": 12,
    "timesteps": 20,
    "lr": 0.004,
    "batch_size": 8,
    "half_size_steps": 2,
    "steps": 6,
    "model_channels": 16,
    "channel_mult": [1, 2],
    "attention_resolutions": [4],
    "log_every": 2,
    "sample_steps": 4,
    "samples": 10,
    "denoising_frames": 3,
    "progress_samples": 2,
    "sampler_study": [],
    "transform_faces": 2,
    "transform_strengths": [0.5],
    "transform_steps": 4,
    "transform_between": 3,
    "kid_subsets": 3,
    "kid_subset_size": 5,
    "bootstrap": 20,
    "grid_side": 2,
}
TRAINING_OUTPUTS = [
    "results/model.safetensors",
    "results/half_size_loss.csv",
    "results/loss.csv",
    "results/noise_levels.csv",
    "results/train/metrics.json",
]
COMMITTER = {"NAME": "Omokage's tests", "EMAIL": "tests@omokage.invalid"}


def tiny_params(**changes: Any) -> dict[str, Any]:
    """Return the parameters of this checkout's params.yaml with TINY_PARAMS and then `changes` applied."""
    return {**load_yaml(ROOT / "params.yaml"), **TINY_PARAMS, **changes}


class Clone:
    """A separate checkout with the files of this checkout's working tree.

    `python` is the interpreter of DVC, Snakemake and the stages. `extra_environment` is set for every command.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.python = sys.executable
        self.extra_environment: dict[str, str] = {}

    @classmethod
    def create(cls, root: Path) -> Self:
        """Copy this checkout without its tests and results to `root`, with tiny parameters, and commit it."""
        clone = cls(root)
        for name in _list_files(ROOT):
            source, target = ROOT / name, root / name
            if not name.startswith(("tests/", "results/")) and (source.exists() or source.is_symlink()):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        (root / "dvc.lock").unlink(missing_ok=True)
        clone.write_params(tiny_params())
        clone.run("git", "init", "-q", "-b", "main")
        # As `make` does. Temporary experiments inherit this setting, by which they find the main checkout.
        clone.dvc("config", "--local", "remote.checkout.url", ".")
        clone.commit("start")
        return clone

    def copy(self, root: Path) -> "Clone":
        """Copy this clone, with its cache and results, to `root`."""
        shutil.copytree(self.root, root, symlinks=True)
        clone = Clone(root)
        clone.python = self.python
        clone.extra_environment.update(self.extra_environment)
        return clone

    def without_preloading(self) -> Self:
        """Run commands with the real interpreter, so that signals and SLURM reach the processes; return this clone."""
        self.python = sys.executable
        return self

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone; with `check`, fail the test and show the output unless the command succeeds."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**self.build_environment(), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            output = f"{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
            pytest.fail(f"{' '.join(done.args)} exited with {done.returncode}:\n{output}")
        return done

    def build_environment(self) -> dict[str, str]:
        """Return the environment of a command: that of the tests, but without settings of DVC and Snakemake."""
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "SNAKEMAKE_", "PYTHONPATH"))
        }
        # DVC's queue finds its worker, the command dvc, on PATH.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**inherited, "PATH": path, **self.git_identity(), **self.settings()}

    def settings(self) -> dict[str, str]:
        """Return the variables that every run of the pipeline in this clone needs."""
        return {"OMOKAGE_PYTHON": self.python, "OMOKAGE_THREADS": "1", **self.extra_environment}

    @staticmethod
    def git_identity() -> dict[str, str]:
        """Return git's variables for author and committer."""
        return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in COMMITTER.items()}

    def dvc(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `dvc` with these arguments."""
        # The queue's worker may outlive the tests, but the preloaded process ends with them.
        python = sys.executable if arguments[:2] == ("queue", "start") else self.python
        return self.run(python, "-m", "dvc", *arguments, check=check, **environment)

    def snakemake(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `snakemake` with these arguments."""
        return self.run(self.python, "-m", "snakemake", *arguments, check=check, **environment)

    def omokage(self, *arguments: str) -> tuple[int, str]:
        """Run an `omokage` command; return its exit code and everything that it printed."""
        command = (self.python, "-m", "omokage.cli.main", *arguments)
        done = self.run(*command, check=False, PYTHONPATH="src")
        return done.returncode, done.stdout + done.stderr

    def run_code(self, code: str, *arguments: str, **environment: str) -> str:
        """Run Python code with the clone's modules, and return the last line it prints."""
        done = self.run(self.python, "-c", code, *arguments, check=True, PYTHONPATH="src", **environment)
        return done.stdout.splitlines()[-1]

    def run_deps(self) -> None:
        """Run what `make deps` runs: update everything that is derived from the code."""
        for module in ("omokage.pipeline.declare", "omokage.documentation.write"):
            self.run(self.python, "-m", module, PYTHONPATH="src")

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "-A")
        self.run("git", "-c", "commit.gpgsign=false", "commit", "-q", "--allow-empty", "-m", message)

    def write_params(self, values: Mapping[str, Any]) -> None:
        """Write params.yaml with these parameters."""
        (self.root / "params.yaml").write_text(render_params(values), encoding="utf-8")

    def set_params(self, **changes: Any) -> None:
        """Change parameters in params.yaml."""
        self.write_params({**load_yaml(self.root / "params.yaml"), **changes})

    def configure_profile(self, **values: int) -> None:
        """Give the default profile a configfile with these values, such as sample_jobs=2; call it once for a clone."""
        text = "".join(f"{key}: {value}\n" for key, value in values.items())
        (self.root / "settings.yaml").write_text(text, encoding="utf-8")
        with (self.root / "workflow" / "profiles" / "default" / "config.yaml").open("a", encoding="utf-8") as profile:
            profile.write("configfile: settings.yaml\n")

    def repro(self, *stages: str) -> list[str]:
        """Run `dvc repro` and return the stages that it ran, in order; stages restored from the cache do not count."""
        return parse_stages_run(self.dvc("repro", *stages).stdout)


def _list_files(root: Path) -> list[str]:
    """Return the files that git tracks, and untracked files that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True)
    return listed.stdout.decode().rstrip("\0").split("\0")


def make_interruptible(clone: Clone) -> Clone:
    """Make a clone train for several seconds and save a checkpoint every 0.2 s, which does not change the results."""
    clone.without_preloading()
    clone.extra_environment["OMOKAGE_CHECKPOINT_SECONDS"] = "0.2"
    clone.set_params(steps=200, log_every=20)
    return clone


def parse_stages_run(output: str) -> list[str]:
    """Return the stages that `dvc repro` reports as run."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]


def skip_unless_installed(programs: Iterable[str], packages: str, path: str | None = None) -> None:
    """Skip the test if a program is missing, naming the `packages` to install; fail if OMOKAGE_CI lists the program."""
    if missing := [name for name in programs if not shutil.which(name, path=path)]:
        message = f"{', '.join(missing)} missing: install {packages} (Debian)"
        promised = os.environ.get("OMOKAGE_CI", "").split()
        pytest.fail(message) if set(missing) & set(promised) else pytest.skip(message)


def create_once(tmp_path_factory: pytest.TempPathFactory, name: str, create: Callable[[Path], Any]) -> Path:
    """Return the folder `name`, which `create` fills once for all worker processes of this test run."""
    base = tmp_path_factory.getbasetemp()
    # Each worker process has its own folder, below the folder of the whole test run.
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)
    with FileLock(shared / f"{name}.lock"):
        if not (shared / name).exists():
            partial = shared / f"{name} (partial)"
            shutil.rmtree(partial, ignore_errors=True)
            create(partial)
            partial.rename(shared / name)
    return shared / name
