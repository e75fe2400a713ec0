"""Changes of code: DVC, `omokage stale` and the table of reruns agree on what they make stale, and what they do not."""

from collections.abc import Callable

import pytest
from dvc.repo import Repo
from support.clone import ROOT, Clone
from support.runs import STAGES

from omokage.config.yaml_file import load_yaml
from omokage.pipeline.code import is_declared, list_code
from omokage.pipeline.dvc_lock import get_hashes, hash_dependency, read_lock
from omokage.pipeline.graph import fill_in, locate
from omokage.pipeline.reruns import find_code_reruns
from omokage.pipeline.stale import find_stale

CODE_DEPS = sorted({dep for stage in STAGES.values() for dep in stage.code})
# What editors, desktops and Python leave next to code, as paths in a folder.
LEFTOVERS = (
    ".DS_Store",
    "loop.py~",
    ".loop.py.swp",
    "__pycache__/loop.cpython-311.pyc",
    "notes.txt",
    ".ipynb_checkpoints/loop.py",
)


def find_changed_deps(clone: Clone) -> dict[str, set[str]]:
    """Return for each stage that `dvc status` lists those of its own dependencies that have changed."""
    with Repo(str(clone.root)) as repo:
        return {
            stage.rpartition(":")[2]: {dep for change in changes for dep in change["changed deps"]}
            for stage, changes in repo.status().items()
        }


def find_changed_for_dvc(clone: Clone) -> set[str]:
    """Return the stages that `dvc status` lists: those with a changed file among their own dependencies."""
    return set(find_changed_deps(clone))


def find_stale_stages(clone: Clone) -> list[str]:
    return list(find_stale(clone.root, load_yaml(clone.root / "params.yaml")))


def choose_file(dep: str) -> str:
    """Return a declared file, or a file of a declared folder that no stage declares alone or with a deeper folder."""
    files = [path.relative_to(ROOT).as_posix() for path in list_code(ROOT, dep)]
    deeper = tuple(other for other in CODE_DEPS if other.startswith(f"{dep}/"))
    return next(path for path in files if not is_declared(path, deeper))


@pytest.mark.long
def test_a_change_in_any_folder_makes_stale_what_the_table_of_reruns_says(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    assert find_changed_for_dvc(clone) == set() and find_stale_stages(clone) == []
    table = find_code_reruns(STAGES)
    assert set(table) == {*CODE_DEPS}
    sources = {path: (clone.root / path).read_text() for path in map(choose_file, table)}
    for dep, reruns in table.items():
        changed = choose_file(dep)
        (clone.root / changed).write_text(f"{sources[changed]}\n# edited\n")
        assert find_stale_stages(clone) == reruns, changed
        (clone.root / changed).write_text(sources[changed])
    # DVC takes a second to answer, so it is asked about many files at once: a folder and what it contains in turn.
    outer = {dep for dep in table if any(other.startswith(f"{dep}/") for other in table)}
    for group in (outer, table.keys() - outer):
        edited = [choose_file(dep) for dep in group]
        for path in edited:
            (clone.root / path).write_text(f"{sources[path]}\n# edited\n")
        expected = {
            name: {dep for dep in stage.code if any(is_declared(path, (dep,)) for path in edited)}
            for name, stage in STAGES.items()
        }
        assert find_changed_deps(clone) == {name: deps for name, deps in expected.items() if deps}
        for path in edited:
            (clone.root / path).write_text(sources[path])
    assert find_changed_for_dvc(clone) == set()
    # `dvc repro` after a change of the figures' code: see test_contributing.py.
    module = clone.root / "src/omokage/report/memorisation.py"
    module.write_text(f"{module.read_text()}\n# edited\n")
    assert clone.repro() == table["src/omokage/report"] == ["report"]


def test_leftovers_and_init_files_next_to_code_change_nothing(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    for folder in {path if path.is_dir() else path.parent for path in (clone.root / dep for dep in CODE_DEPS)}:
        for name in LEFTOVERS:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("nothing to run")
        init = folder / "__init__.py"
        init.write_text('"""Another docstring."""\n')
    assert find_changed_for_dvc(clone) == set()
    assert find_stale_stages(clone) == []
    # Our hashes of all dependencies are those of DVC.
    locked, values = read_lock(clone.root), load_yaml(clone.root / "params.yaml")
    for name, stage in STAGES.items():
        ours = {
            fill_in(dep, values): hash_dependency(clone.root, dep, locate(clone.root, dep, values))
            for dep in stage.deps
        }
        assert ours == get_hashes(locked[name], "deps"), name


def test_texts_and_commands_rerun_nothing_and_new_samplers_and_figures_do_not_retrain(
    copy_clone: Callable[[], Clone],
) -> None:
    clone = copy_clone()
    for file in ("config/parameters.py", "config/other_names.py", "cli/main.py", "pipeline/run_stage.py"):
        path = clone.root / "src/omokage" / file
        path.write_text(f"{path.read_text()}\n# edited\n")
    assert find_changed_for_dvc(clone) == set()
    assert find_stale_stages(clone) == []
    table = find_code_reruns(STAGES)
    for folder in ("figures", "sampling"):
        module = clone.root / "src/omokage" / folder / "new_module.py"
        module.write_text('"""A new sampler or figure."""\n')
        assert find_stale_stages(clone) == table[f"src/omokage/{folder}"]
        assert not {"faces", "train"} & {*find_stale_stages(clone), *find_changed_for_dvc(clone)}
        module.unlink()


def test_a_new_source_reruns_the_download_but_does_not_retrain(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    (clone.root / "src/omokage/data/sources/new_source.py").write_text('"""A new source."""\n')
    # The same images as before: what depends on them alone is skipped.
    assert clone.repro() == ["download", "figures", "report"]
