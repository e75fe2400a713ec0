"""A package's version is part of the key of the stages that use it, and of no others."""

import sys
from collections.abc import Callable
from importlib import metadata

import pytest
from conftest import Clone, stages_run

from omokage import pipeline, plan
from omokage.params import whole


def install(clone: Clone, name: str, version: str) -> None:
    """Have another version of a distribution installed, as far as anyone can ask: the clone's src comes first."""
    told = metadata.distribution(name).read_text("METADATA")
    assert told is not None
    place = clone.root / "src" / f"{name}-{version}.dist-info"
    place.mkdir()
    place.joinpath("METADATA").write_text(
        told.replace(f"\nVersion: {metadata.version(name)}\n", f"\nVersion: {version}\n")
    )
    # What `make deps` does.
    clone.run(sys.executable, "-m", "omokage.imports", ".", PYTHONPATH="src")


@pytest.mark.long
def test_a_new_seaborn_redraws_a_new_torch_retrains_a_new_pytest_does_nothing(
    copy_of: Callable[[], Clone], direct: Callable[[Clone], Clone]
) -> None:
    clone = direct(copy_of())
    stages, values = pipeline.read(clone.root), whole.load(clone.root / "params.yaml")

    def foretold() -> list[str]:
        return [step.stage for step in plan.steps(clone.root, values)]

    def touched(package: str) -> list[str]:
        """The stages that use a package, and all after them."""
        found: list[str] = []
        for name, stage in stages.items():
            if package in pipeline.packages(clone.root, stage) or {*pipeline.upstream(stages, name)} & {*found}:
                found.append(name)
        return found

    by_seaborn, by_torch = touched("seaborn"), touched("torch")
    assert by_seaborn == ["figures", "report"]
    assert {"train", "sample", "evaluate"} <= {*by_torch} and not {"params", "download", "detect"} & {*by_torch}
    install(clone, "pytest", "99.0")
    assert foretold() == clone.repro() == []
    install(clone, "seaborn", "99.0")
    assert foretold() == clone.repro() == by_seaborn
    record = pipeline.read_record(clone.root, stages["figures"])
    assert record and record["packages"]["seaborn"] == "99.0"
    install(clone, "torch", "99.0")
    assert foretold() == by_torch
    assert (ran := stages_run(clone.dvc("repro", "train").stdout))[-1] == "train"
    assert foretold() == [name for name in by_torch if name not in ran]
