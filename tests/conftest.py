"""Fixtures that all tests share: clones of the checkout in which the pipeline has run with tiny parameters."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from support import preloaded
from support.clone import Clone, create_once, make_interruptible, parse_stages_run
from support.runs import STAGES

from omokage.pipeline.reruns import find_reruns

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

# Four tests run at once on two cores, since some of them wait for a disk, a queue or SLURM. With more threads than
# cores, the threads of a convolution spin while they wait for each other, and a step takes ten times as long.
os.environ["OMP_NUM_THREADS"] = "1"
# An example of a property may take any time, since other work may run on the machine.
settings.register_profile("omokage", deadline=None)
settings.load_profile("omokage")
LAUNCHER = """cd "$(dirname "$0")/.."
PYTHONPATH=src exec "$OMOKAGE_PYTHON" -m omokage.pipeline.runner "$1" --threads 1
"""


@pytest.hookimpl(trylast=True)  # after the slow tests are deselected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long tests first, and tests without the finished clone first of all: they run while the clone is created."""

    def sort_key(item: pytest.Item) -> tuple[bool, bool]:
        return item.get_closest_marker("long") is None, "finished_clone" in getattr(item, "fixturenames", ())

    items.sort(key=sort_key)
    # Each of the four workers first receives two tests in a row. This gives each of them one of the four longest.
    items[:8] = [items[number] for number in (0, 7, 1, 6, 2, 5, 3, 4) if number < len(items)]


@pytest.fixture(scope="module")
def use_one_thread() -> None:
    """Compute with one thread, also if an earlier test of this process has asked torch for more."""
    # Imported late, because torch reads OMP_NUM_THREADS when it is loaded.
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def preload(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Clone], Clone]:
    """Return a function that makes a clone use the preloaded Python, which starts faster (see support/preloaded.py)."""
    # The preloaded process ends with the process that runs all tests.
    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    folder = create_once(tmp_path_factory, "preloaded", lambda folder: preloaded.start(folder, owner))

    def use_preloaded(clone: Clone) -> Clone:
        clone.python = str(folder / "python")
        return clone

    return use_preloaded


@pytest.fixture(scope="session")
def bypass_snakemake(preload: Callable[[Clone], Clone]) -> Callable[[Clone], Clone]:
    """Return a function that makes a clone use the preloaded Python and run stages without Snakemake."""

    def replace_launcher(clone: Clone) -> Clone:
        (clone.root / "workflow" / "stage").write_text(LAUNCHER)
        clone.commit("run stages without Snakemake")
        return preload(clone)

    return replace_launcher


@pytest.fixture(scope="session")
def finished_clone(tmp_path_factory: pytest.TempPathFactory, preload: Callable[[Clone], Clone]) -> Clone:
    """Return a clone in which `dvc repro` has run the tiny pipeline. Tests must change only copies (`copy_clone`)."""

    def create(folder: Path) -> None:
        clone = preload(Clone.create(folder))
        clone.repro()
        clone.commit("run")

    return Clone(create_once(tmp_path_factory, "finished clone", create))


@pytest.fixture
def copy_clone(finished_clone: Clone, preload: Callable[[Clone], Clone], tmp_path: Path) -> Callable[[], Clone]:
    """Return a function that copies the finished clone with its cache; the copy uses the preloaded Python."""

    def copy() -> Clone:
        return preload(finished_clone.copy(tmp_path / f"copy{len(list(tmp_path.iterdir()))}"))

    return copy


@pytest.fixture(scope="session")
def clone_with_experiment(
    tmp_path_factory: pytest.TempPathFactory, finished_clone: Clone, bypass_snakemake: Callable[[Clone], Clone]
) -> Clone:
    """Return a copy of the finished clone with an unapplied experiment `other` (lr=1e-3). Tests must not change it."""

    def create(folder: Path) -> None:
        clone = bypass_snakemake(finished_clone.copy(folder))
        done = clone.dvc("exp", "run", "--name", "other", "-S", "lr=1e-3")
        assert parse_stages_run(done.stdout) == find_reruns(STAGES)["lr"]
        clone.run("git", "reset", "-q", "--hard")
        clone.dvc("checkout")

    return Clone(create_once(tmp_path_factory, "clone with an experiment", create))


@pytest.fixture(scope="session")
def uninterrupted_training(
    finished_clone: Clone, bypass_snakemake: Callable[[Clone], Clone], tmp_path_factory: pytest.TempPathFactory
) -> Clone:
    """Return an interruptible clone after an uninterrupted training, whose outputs an interrupted one must equal."""

    def create(folder: Path) -> None:
        bypass_snakemake(make_interruptible(finished_clone.copy(folder))).repro("train")

    return Clone(create_once(tmp_path_factory, "uninterrupted training", create))


@pytest.fixture(scope="module")
def session() -> Iterator["Chrome"]:
    """A headless Chromium for the tests of one module."""
    from support.browser import start_browser  # here, since most tests need no Selenium

    browser = start_browser()
    yield browser
    browser.quit()
