"""Sealed stages: a stage loads only code that dvc.yaml declares for it, and some of every declared file and folder."""

import importlib
import io
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args
from zipfile import ZipFile

import pytest
from support.clone import ROOT, Clone
from support.images import fake_png
from support.kaggle_server import make_environment, serve
from support.runs import STAGES

from omokage.base.errors import UserError
from omokage.config import validation
from omokage.data.detection.drawn_face import draw_test_face
from omokage.params.sample import Params
from omokage.pipeline.code import EXEMPT, is_declared, list_code
from omokage.pipeline.graph import Stage
from omokage.pipeline.seal import check_seal, hide_loaded_modules
from omokage.stamps.records import read_record

SAMPLERS = get_args(Params.model_fields["sampler"].annotation)

# Prints the arguments of a stage's job as JSON.
PREPARE = """
import json, sys
from pathlib import Path
from omokage.pipeline.graph import read_stages
from omokage.pipeline.prepare import prepare_job
job = prepare_job(Path.cwd(), read_stages(Path.cwd())[sys.argv[1]], 1)
for path in job.outputs.values():
    path.parent.mkdir(parents=True, exist_ok=True)
print(json.dumps({"params": job.params.values(), "threads": 1, "work": str(job.work),
    "deps": job.deps, "code": job.code, "code_deps": job.code_deps, "packages": job.packages,
    "inputs": {key: str(path) for key, path in job.inputs.items()},
    "outputs": {key: str(path) for key, path in job.outputs.items()}}))
"""

# Runs the stage in a process that has loaded nothing else, and prints the files that it has loaded.
RUN = """
import json, sys
from importlib import import_module
from pathlib import Path
from omokage.base.job import Job
name, job = sys.argv[1], json.loads(sys.argv[2])
stage = import_module(f"omokage.stages.{name}")
schema = import_module("omokage.params." + ("schema" if name == "params" else name)).Params
paths = {kind: {key: Path(value) for key, value in job.pop(kind).items()} for kind in ("inputs", "outputs")}
job = Job(**{**job, **paths, "params": schema(**job["params"]), "work": Path(job["work"])})
stage.run(job)
modules = [module for name, module in sys.modules.items() if name == "omokage" or name.startswith("omokage.")]
print(json.dumps({"modules": [module.__file__ for module in modules], "code": sorted(job.loaded_code())}))
"""


@dataclass(frozen=True)
class LoadedCode:
    """The project's files that a stage has loaded, without packages' __init__.py, and those that its record lists."""

    modules: set[str]
    recorded: list[str]


def run_unsealed(clone: Clone, stage: str, **environment: str) -> LoadedCode:
    """Run a stage without the runner, and return what it has loaded."""
    job = clone.run_code(PREPARE, stage, **environment)
    loaded = json.loads(clone.run_code(RUN, stage, job, **environment))
    paths = {Path(file).relative_to(clone.root).as_posix() for file in loaded["modules"]}
    return LoadedCode({path for path in paths if not path.endswith(EXEMPT)}, loaded["code"])


def find_templates(stage: Stage) -> set[str]:
    files = {path for dep in stage.code for path in list_code(ROOT, dep)}
    return {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".py"}


def assert_declared_and_entered(stage: Stage, loaded: LoadedCode) -> None:
    """Check that the stage loads nothing undeclared, enters all that is declared, and records what it has loaded."""
    assert {path for path in loaded.modules if not is_declared(path, stage.code)} == set(), "add them to dvc.yaml"
    not_entered = {dep for dep in stage.code if not any(is_declared(path, (dep,)) for path in loaded.modules)}
    assert not_entered == set(), "remove them from dvc.yaml"
    assert loaded.recorded == sorted(loaded.modules | find_templates(stage))


@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        *((name, {}) for name in STAGES),
        ("download", {"source": "folder"}),
        ("detect", {"crop": "detect"}),
        ("detect", {"crop": "whole"}),
        ("faces", {"near_duplicates": 0.0}),
        *(("sample", {"sampler": sampler}) for sampler in SAMPLERS),
        ("sample", {"sampler": "ddim", "eta": 1.0}),
        ("sample", {"ema_kind": "posthoc", "guidance_scale": 1.0}),
        ("train", {"schedule": "sigmoid", "prediction": "eps", "patch_size": 1}),
    ],
)
def test_a_stage_loads_some_of_every_declared_folder_and_nothing_else(
    copy_clone: Callable[[], Clone], stage: str, changes: dict[str, Any]
) -> None:
    clone = copy_clone()
    (clone.root / "pictures" / "one.png").write_bytes(fake_png("one"))
    clone.set_params(**changes)
    if changes.get("crop") == "detect":
        replace_images(clone)
    loaded = run_unsealed(clone, stage)
    assert_declared_and_entered(STAGES[stage], loaded)
    if not changes:
        record = read_record(clone.root / STAGES[stage].record)
        assert sorted(record["code"]) == loaded.recorded


def replace_images(clone: Clone) -> None:
    """Replace the images that `detect` reads by some in which the detector finds faces."""
    with ZipFile(clone.root / "data" / "pictures.zip", "w") as file:
        for side in range(200, 320, 10):
            content = io.BytesIO()
            draw_test_face().resize((side, side)).save(content, "PNG")
            file.writestr(f"{side}.png", content.getvalue())


def test_the_kaggle_source_loads_some_of_every_declared_folder_and_nothing_else(
    copy_clone: Callable[[], Clone], tmp_path: Path
) -> None:
    clone = copy_clone()
    archive = io.BytesIO()
    with ZipFile(archive, "w") as file:
        file.writestr("deep/one.png", fake_png("one"))
    clone.set_params(source="kaggle", kaggle_dataset="someone/faces", kaggle_version=3)
    with serve({("someone", "faces", 3): archive.getvalue()}) as kaggle:
        loaded = run_unsealed(clone, "download", **make_environment(kaggle.port, tmp_path))
    assert_declared_and_entered(STAGES["download"], loaded)


@pytest.mark.parametrize("statement", ["import omokage.config.validation", "from omokage.config import validation"])
def test_an_undeclared_module_is_refused_although_the_runner_has_loaded_it(statement: str) -> None:
    stage = replace(STAGES["report"], deps=("src/omokage/base",))
    with hide_loaded_modules(ROOT):
        check_seal(ROOT, stage)
        namespace: dict[str, Any] = {}
        exec(statement, namespace)
        with pytest.raises(
            UserError, match=r"stage report loads .*src/omokage/config/validation\.py.*, which dvc.yaml"
        ):
            check_seal(ROOT, stage)
    assert namespace.get("validation") is not validation
    # Afterwards the runner has its own modules again, also as attributes of their packages.
    assert sys.modules["omokage.config.validation"] is validation
    assert importlib.import_module("omokage.config").validation is validation


UNDECLARED_IMPORTS = {
    "import omokage.training.batches": "src/omokage/training/batches.py",
    "from omokage.sampling import spacing": "src/omokage/sampling/spacing.py",
    "import omokage.config.validation": "src/omokage/config/validation.py",
    "from omokage.config import validation": "src/omokage/config/validation.py",
    "from omokage.config.validation import validate": "src/omokage/config/validation.py",
    "from omokage.pipeline import run_stage": "src/omokage/pipeline/run_stage.py",
}


def test_a_checkout_reached_through_a_symbolic_link_is_sealed_as_well(
    copy_clone: Callable[[], Clone], tmp_path: Path
) -> None:
    clone, link = copy_clone(), tmp_path / "link"
    link.symlink_to(clone.root)
    command = [clone.python, "-m", "omokage.pipeline.runner", "params", "--threads", "1"]
    done = clone.run(*command, PYTHONPATH=str(link / "src"))
    assert done.stderr == ""
    assert "src/omokage/params/schema.py" in read_record(clone.root / STAGES["params"].record)["code"]


def test_a_stage_that_loads_an_undeclared_module_fails_and_its_results_stay(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    module, report = clone.root / "src/omokage/stages/report.py", clone.root / "results/report.html"
    source, results = module.read_text(), report.read_bytes()
    for statement, path in UNDECLARED_IMPORTS.items():
        module.write_text(f"{statement}\n{source}")
        command = [clone.python, "-m", "omokage.pipeline.runner", "report", "--threads", "1"]
        done = clone.run(*command, check=False, PYTHONPATH="src")
        assert done.returncode == 1
        (message,) = done.stderr.splitlines()
        assert message.startswith("omokage: report: stage report loads ")
        assert path in message and "__init__" not in message
        assert message.endswith(", which dvc.yaml does not list: add the file or its folder to the stage's deps")
        assert report.read_bytes() == results
    # An import inside a function is found as well, and `dvc repro` reports it.
    module.write_text(
        source.replace("    records = list_records", "    import omokage.training.batches\n    records = list_records")
    )
    done = clone.dvc("repro", check=False)
    assert done.returncode != 0
    assert re.search("stage report loads .*src/omokage/training/batches.py.*, which dvc.yaml", done.stderr)
    module.write_text(source)
    assert clone.repro() == []


@pytest.mark.parametrize(
    ("lock", "stage", "changes", "activity"),
    [
        ("report", "report", {"report_title": "Another"}, "runs it already"),
        (
            f"device-{socket.gethostname()}",
            "evaluate",
            {"kid_subsets": 4},
            "computes on this machine (share_device: 0)",
        ),
    ],
)
def test_a_run_waits_for_a_live_process_that_holds_its_stage_or_the_device(
    copy_clone: Callable[[], Clone], lock: str, stage: str, changes: dict[str, Any], activity: str
) -> None:
    clone = copy_clone()
    hold = (
        "import time; from pathlib import Path; from omokage.pipeline.file_lock import hold_lock\n"
        f"with hold_lock(Path('.dvc/tmp/omokage/{lock}.lock'), 'another'):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    environment = {"PYTHONPATH": str(clone.root / "src"), "PATH": "/usr/bin:/bin", "OMOKAGE_PYTHON": clone.python}
    with subprocess.Popen(
        [sys.executable, "-c", hold], cwd=clone.root, env=environment, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        clone.set_params(**changes)
        command = [sys.executable, "-m", "dvc", "repro", stage]
        with subprocess.Popen(
            command, cwd=clone.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as second:
            assert second.stdout is not None
            message = next(line for line in second.stdout if "waiting for" in line)
            holder.kill()
            second.stdout.read()
    assert f": waiting for process {holder.pid} on " in message and message.endswith(f", which {activity}\n")
    assert second.returncode == 0
    assert clone.repro(stage) == []
