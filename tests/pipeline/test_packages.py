"""The version of a package is part of the key of the stages that use it, and of no others."""

from collections.abc import Callable
from importlib import metadata

import pytest
from support.clone import Clone

from omokage.config.yaml_file import load_yaml
from omokage.pipeline.graph import find_upstream, read_packages, read_stages
from omokage.pipeline.plan import plan_steps
from omokage.pipeline.stale import find_record


def pretend_to_install(clone: Clone, name: str, version: str) -> None:
    """Make importlib.metadata report another version of a distribution: the clone's src comes first on the path."""
    described = metadata.distribution(name).read_text("METADATA")
    assert described is not None
    folder = clone.root / "src" / f"{name}-{version}.dist-info"
    folder.mkdir()
    folder.joinpath("METADATA").write_text(
        described.replace(f"\nVersion: {metadata.version(name)}\n", f"\nVersion: {version}\n")
    )


@pytest.mark.long
def test_a_new_seaborn_replots_a_new_torch_retrains_a_new_pytest_does_nothing(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    stages, values = read_stages(clone.root), load_yaml(clone.root / "params.yaml")

    def plan() -> list[str]:
        return [step.stage for step in plan_steps(clone.root, values)]

    def find_users(package: str) -> list[str]:
        """Return the stages that use a package, and all stages downstream of them."""
        users: list[str] = []
        for name, stage in stages.items():
            if package in read_packages(clone.root, stage) or {*find_upstream(stages, name)} & {*users}:
                users.append(name)
        return users

    seaborn_users, torch_users = find_users("seaborn"), find_users("torch")
    assert seaborn_users == ["figures", "report"]
    assert {"train", "sample", "evaluate"} <= {*torch_users} and not {"params", "download", "detect"} & {*torch_users}
    pretend_to_install(clone, "pytest", "99.0")
    pretend_to_install(clone, "torch", metadata.version("torch") + "+cpu")  # another build of the same release
    clone.run_deps()
    assert plan() == clone.repro() == []
    pretend_to_install(clone, "seaborn", "99.0")
    clone.run_deps()
    assert plan() == clone.repro() == seaborn_users
    record = find_record(clone.root, stages["figures"])
    assert record and record["packages"]["seaborn"] == "99.0"
    pretend_to_install(clone, "torch", "99.0")
    clone.run_deps()
    assert plan() == torch_users
    assert (ran := clone.repro("train"))[-1] == "train"
    assert plan() == [name for name in torch_users if name not in ran]
