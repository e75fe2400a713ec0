"""What the tests share: tiny parameters, and clones of this checkout to run real pipelines in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import warm
from filelock import FileLock

from omokage.params import whole

# Four tests run side by side on two cores, since some of them wait for a disk, a queue or SLURM. One thread each:
# threads of a convolution wait for each other spinning, and where there are more of them than cores each step takes
# ten times as long.
os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).parents[1]

# The smallest run in which every part does its real work.
TINY: dict[str, Any] = {
    "avatar_count": 48,
    "avatar_size": 32,
    "image_size": 16,
    "min_side": 8,
    "held_out": 0.3,
    "reference_faces": 12,
    "timesteps": 20,
    "lr": 0.004,
    "batch_size": 8,
    "steps": 6,
    "width": 16,
    "multipliers": [1, 2],
    "attention": [4],
    "log_every": 2,
    "sample_steps": 4,
    "samples": 10,
    "frames": 3,
    "progress_samples": 2,
    "transform_faces": 2,
    "transform_strengths": [0.5],
    "transform_steps": 4,
    "transform_between": 3,
    "kid_subsets": 3,
    "kid_subset_size": 5,
    "bootstrap": 20,
    "grid_side": 2,
}


def tiny(**changes: Any) -> dict[str, Any]:
    """The parameters of params.yaml, scaled down, with `changes`."""
    return {**whole.load(ROOT / "params.yaml"), **TINY, **changes}


class Clone:
    """A checkout of its own, with this checkout's tracked files as they are in the working tree."""

    python = sys.executable  # what runs DVC, Snakemake and the stages

    def __init__(self, place: Path) -> None:
        self.root = place
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in files.stdout.decode().split("\0"):
            source = ROOT / name
            if name and not name.startswith(("tests/", "results/")) and (source.exists() or source.is_symlink()):
                target = place / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        (place / "dvc.lock").unlink(missing_ok=True)
        self.edit("workflow/rules/common.smk", "THREADS = 2", "THREADS = 1")
        self.write_params(tiny())
        self.run("git", "init", "-q", "-b", "main")
        # What `make` does: temporary experiments inherit the local configuration, so they find the main checkout.
        self.dvc("config", "--local", "remote.checkout.url", ".")
        self.commit("start")

    @classmethod
    def at(cls, place: Path) -> "Clone":
        """Return the clone that is there already."""
        clone = object.__new__(cls)
        clone.root = place
        return clone

    def cold(self) -> "Clone":
        """Have processes of their own run it, which signals reach and SLURM counts."""
        self.python = sys.executable
        return self

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone; fail the test with its output unless it succeeds."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**self.surroundings(), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            said = f"{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
            pytest.fail(f"{' '.join(done.args)} gave {done.returncode}:\n{said}")
        return done

    def surroundings(self) -> dict[str, str]:
        """The environment of a command in the clone."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "SNAKEMAKE_", "PYTHONPATH"))
        }
        # DVC's queue finds its worker, the command dvc, on PATH.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**kept, **self.identity(), "OMOKAGE_PYTHON": self.python, "PATH": path}

    @staticmethod
    def identity() -> dict[str, str]:
        """Who commits, in git's variables."""
        return {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in IDENTITY.items()}

    def dvc(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run DVC."""
        # The worker that it starts may outlive these tests, and with them the warm process.
        python = sys.executable if arguments[:2] == ("queue", "start") else self.python
        return self.run(python, "-m", "dvc", *arguments, check=check, **environment)

    def code(self, code: str, *words: str, **environment: str) -> str:
        """Run some code with the clone's modules, and return the last line that it prints."""
        done = self.run(self.python, "-c", code, *words, check=True, PYTHONPATH="src", **environment)
        return done.stdout.splitlines()[-1]

    def snakemake(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake."""
        return self.run(self.python, "-m", "snakemake", *arguments, check=check, **environment)

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "-A")
        self.run("git", "-c", "commit.gpgsign=false", "commit", "-q", "--allow-empty", "-m", message)

    def write_params(self, values: Mapping[str, Any]) -> None:
        """Write params.yaml."""
        (self.root / "params.yaml").write_text(whole.render(values, "parameters of a test"), encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a piece of a file that is there."""
        text = (self.root / path).read_text()
        assert old in text, f"{path}: {old}"
        (self.root / path).write_text(text.replace(old, new))

    def set(self, **changes: Any) -> None:
        """Change some parameters."""
        self.write_params({**whole.load(self.root / "params.yaml"), **changes})

    def repro(self) -> list[str]:
        """Run `dvc repro` and return the stages that really ran, in order."""
        return stages_run(self.dvc("repro").stdout)


TRAINED = ["results/model.safetensors", "results/loss.csv", "results/noise_levels.csv", "results/train/metrics.json"]


def interruptible(clone: Clone) -> Clone:
    """Have a clone train for seconds, with a checkpoint every 0.2 s; the interval changes nothing that is written."""
    clone.cold()
    clone.edit("src/omokage/training/loop.py", "CHECKPOINT_SECONDS = 30.0", "CHECKPOINT_SECONDS = 0.2")
    clone.set(steps=200, log_every=20)
    return clone


IDENTITY = {"NAME": "Omokage's tests", "EMAIL": "tests@omokage.invalid"}


def stages_run(output: str) -> list[str]:
    """Return the stages that DVC says it ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]


def skip_without(programs: Iterable[str], packages: str, path: str | None = None) -> None:
    """Skip, saying what to install, where one of the programs is not on PATH; fail where CI has promised it."""
    if lacking := [name for name in programs if not shutil.which(name, path=path)]:
        said = f"{', '.join(lacking)} missing: install {packages} (Debian)"
        promised = os.environ.get("OMOKAGE_CI", "").split()
        pytest.fail(said) if set(lacking) & set(promised) else pytest.skip(said)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that none of them is left alone at the end, and not all wait for one clone."""

    def place(item: pytest.Item) -> tuple[bool, bool]:
        return item.get_closest_marker("long") is None, "finished" in getattr(item, "fixturenames", ())

    items.sort(key=place)
    # Each of the four processes is given two to begin with; so that none has two of the longest:
    items[:8] = [items[number] for number in (0, 7, 1, 6, 2, 5, 3, 4) if number < len(items)]


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]) -> Path:
    """Return the folder `name` that `make` has filled: once for all the processes that share the tests out."""
    base = tmp_path_factory.getbasetemp()
    # Those processes have folders of their own within that of this run of the tests.
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)
    with FileLock(shared / f"{name}.lock"):
        if not (shared / name).exists():
            begun = shared / f"{name} being made"
            shutil.rmtree(begun, ignore_errors=True)
            make(begun)
            begun.rename(shared / name)
    return shared / name


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, warmed: Callable[[Clone], Clone]) -> Clone:
    """A clone in which `dvc repro` has run the tiny pipeline; tests copy it rather than change it."""

    def finish(place: Path) -> None:
        clone = warmed(Clone(place))
        clone.repro()
        clone.commit("run")

    return Clone.at(made_once(tmp_path_factory, "a finished clone", finish))


@pytest.fixture
def copy_of(finished: Clone, warmed: Callable[[Clone], Clone], tmp_path: Path) -> Callable[[], Clone]:
    """Return a function that gives a fresh, warm copy of the finished clone, cache and all."""

    def copy() -> Clone:
        place = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(finished.root, place, symlinks=True)
        return warmed(Clone.at(place))

    return copy


@pytest.fixture(scope="session")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Clone], Clone]:
    """A function that from then on has a warm Python run a clone's DVC, Snakemake and stages."""
    all_tests = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    folder = made_once(tmp_path_factory, "warm", lambda place: warm.start(place, all_tests))

    def warm_up(clone: Clone) -> Clone:
        clone.python = str(folder / "python")
        return clone

    return warm_up


@pytest.fixture(scope="session")
def direct(warmed: Callable[[Clone], Clone]) -> Callable[[Clone], Clone]:
    """A function that warms a clone and has its launcher leave out Snakemake, which other tests run for every stage."""

    def without_snakemake(clone: Clone) -> Clone:
        run = f'PYTHONPATH=src exec "{warmed(clone).python}" -m omokage.runner "$1" --threads 1'
        (clone.root / "workflow" / "stage").write_text(f'cd "$(dirname "$0")/.." && {run}\n')
        clone.commit("direct")
        return clone

    return without_snakemake


@pytest.fixture(scope="session")
def with_experiment(
    tmp_path_factory: pytest.TempPathFactory, finished: Clone, direct: Callable[[Clone], Clone]
) -> Clone:
    """A clone like the finished one, with an experiment `other` of lr=1e-3, which is not applied; tests read it."""

    def try_another(place: Path) -> None:
        shutil.copytree(finished.root, place, symlinks=True)
        clone = direct(Clone.at(place))
        clone.dvc("exp", "run", "--name", "other", "-S", "lr=1e-3")
        clone.run("git", "reset", "-q", "--hard")
        clone.dvc("checkout")

    return Clone.at(made_once(tmp_path_factory, "a clone with an experiment", try_another))


@pytest.fixture(scope="session")
def undisturbed(finished: Clone, direct: Callable[[Clone], Clone], tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """What the training of an interruptible clone comes to when nothing interrupts it."""

    def train(place: Path) -> None:
        shutil.copytree(finished.root, place, symlinks=True)
        direct(interruptible(Clone.at(place))).dvc("repro", "train")

    return Clone.at(made_once(tmp_path_factory, "an undisturbed training", train))
