"""The campaign of benchmarks/chaos.py in brief: after a fault, `dvc repro` alone comes to what it would have been."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Clone, made_once, skip_without
from faults import FAULTS, NotSetError, living, repaired
from test_graph import digests

CHANGE = {"kid_subsets": 4}  # evaluate, figures, report
SECONDS = 12.0  # that these take, about
NEEDS = {"small files": ("prlimit", "util-linux"), "clock set back": ("faketime", "faketime")}


@pytest.fixture(scope="module")
def undisturbed(
    finished: Clone, warmed: Callable[[Clone], Clone], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    def change(place: Path) -> None:
        shutil.copytree(finished.root, place, symlinks=True)
        clone = warmed(Clone.at(place))
        clone.set(**CHANGE)
        clone.repro()

    return digests(Clone.at(made_once(tmp_path_factory, "an undisturbed change", change)))


@pytest.mark.parametrize("name", ["Ctrl-C", "small files", "clock set back"])
def test_a_fault_changes_nothing_that_the_next_repro_makes(
    copy_of: Callable[[], Clone], undisturbed: dict[str, str], name: str
) -> None:
    if name in NEEDS:
        skip_without([NEEDS[name][0]], NEEDS[name][1])
    for seed in range(5):
        clone = copy_of()
        clone.set(**CHANGE)
        try:
            FAULTS[name](clone, random.Random(seed), SECONDS)
            break
        except NotSetError:
            continue
    else:
        pytest.fail("the fault could not be set in five runs")
    repaired(clone)
    assert digests(clone) == undisturbed
    assert clone.repro() == []
    assert living(clone) == []
