"""The campaign of benchmarks/chaos.py in brief: after a fault, `dvc repro` alone comes to what it would have been."""

import os
import random
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Clone, made_once, skip_without
from faults import FAULTS, NotSetError, living, repaired, start
from test_experiments import wait_for
from test_graph import digests

CHANGE = {"kid_subsets": 4}  # evaluate, figures, report
SECONDS = 12.0  # that these take, about
NEEDS = {"small files": ("prlimit", "util-linux"), "clock set back": ("faketime", "faketime")}


@pytest.fixture(scope="module")
def undisturbed(
    finished: Clone, direct: Callable[[Clone], Clone], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    def change(place: Path) -> None:
        shutil.copytree(finished.root, place, symlinks=True)
        clone = direct(Clone.at(place))
        clone.set(**CHANGE)
        clone.repro()

    return digests(Clone.at(made_once(tmp_path_factory, "an undisturbed change", change)))


@pytest.mark.long
@pytest.mark.parametrize("name", ["small files", "clock set back"])
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


def test_ctrl_c_stops_everything_and_says_how_to_go_on(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    clone.set(steps=20_000, log_every=1)
    table = clone.root / "results" / "loss.csv"
    with start(clone) as run:
        wait_for(lambda: table.read_text() if table.exists() else "", "\n20,")
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(timeout=60) != 0
    wait_for(lambda: str(living(clone)), "[]", seconds=15)
    said = (clone.root / ".dvc" / "tmp" / "said").read_text()
    assert re.search(r"train: stopped after step \d+: the same command goes on from there", said)
    assert "Traceback" not in said
    assert list((clone.root / ".dvc" / "tmp" / "omokage").glob("train-*/*/*.ckpt"))
