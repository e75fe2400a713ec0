"""Sealed stages: run without the runner, each loads exactly the project's files that dvc.yaml declares for it."""

import io
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args
from zipfile import ZipFile

import pytest
from conftest import ROOT, Clone
from kaggle_server import environment, serve

from omokage import pipeline
from omokage.data import detect
from omokage.params.sample import Params

STAGES = pipeline.read(ROOT)
SAMPLERS = get_args(Params.model_fields["sampler"].annotation)

PREPARE = """
import json, sys
from pathlib import Path
from omokage import pipeline, runner
job = runner.prepare(Path.cwd(), pipeline.read(Path.cwd())[sys.argv[1]], 1)
for path in job.outputs.values():
    path.parent.mkdir(parents=True, exist_ok=True)
print(json.dumps({"params": job.params.values(), "threads": 1, "work": str(job.work),
    "deps": job.deps, "code": job.code, "packages": job.packages,
    "inputs": {k: str(v) for k, v in job.inputs.items()},
    "outputs": {k: str(v) for k, v in job.outputs.items()}}))
"""

RUN = """
import json, sys
from importlib import import_module
from pathlib import Path
from omokage.job import Job
name, call = sys.argv[1], json.loads(sys.argv[2])
stage = import_module(f"omokage.stages.{name}")
part = import_module("omokage.params." + ("whole" if name == "params" else name)).Params
paths = {kind: {key: Path(value) for key, value in call.pop(kind).items()} for kind in ("inputs", "outputs")}
stage.run(Job(**{**call, **paths, "params": part(**call["params"]), "work": Path(call["work"])}))
modules = [module for name, module in sys.modules.items() if name == "omokage" or name.startswith("omokage.")]
print(json.dumps(sorted(module.__file__ for module in modules)))
"""


def loaded(clone: Clone, stage: str, **surroundings: str) -> list[str]:
    """Run a stage in a fresh process and return the project's files that it then holds."""
    call = clone.code(PREPARE, stage, **surroundings)
    files = json.loads(clone.code(RUN, stage, call, **surroundings))
    return sorted(Path(file).relative_to(clone.root).as_posix() for file in files)


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        *((name, {}) for name in STAGES),
        ("download", {"source": "folder"}),
        ("detect", {"crop": "detect"}),
        ("detect", {"crop": "whole"}),
        ("faces", {"near_duplicates": 0.0}),
        *(("sample", {"sampler": sampler}) for sampler in SAMPLERS),
        ("sample", {"sampler": "ddim", "eta": 1.0}),
        ("sample", {"weights": "posthoc", "guidance": 1.0}),
        ("train", {"schedule": "sigmoid", "prediction": "eps", "patch": 1}),
    ],
)
def test_a_stage_loads_exactly_what_it_declares(
    copy_of: Callable[[], Clone], stage: str, change: dict[str, Any]
) -> None:
    clone = copy_of()
    (clone.root / "pictures" / "one.png").write_bytes(b"not a picture, but one by name")
    clone.set(**change)
    if change.get("crop") == "detect":
        replace_pictures(clone)
    declared = [dep for dep in STAGES[stage].code if dep.endswith(".py")]
    assert loaded(clone, stage) == sorted(declared)


def replace_pictures(clone: Clone) -> None:
    """Put pictures in which the detector finds faces where `detect` reads them."""
    with ZipFile(clone.root / "data" / "pictures.zip", "w") as file:
        for side in range(200, 320, 10):
            content = io.BytesIO()
            detect.known_face().resize((side, side)).save(content, "PNG")
            file.writestr(f"{side}.png", content.getvalue())


def test_the_kaggle_source_loads_exactly_what_it_declares(copy_of: Callable[[], Clone], tmp_path: Path) -> None:
    clone = copy_of()
    archive = io.BytesIO()
    with ZipFile(archive, "w") as file:
        file.writestr("deep/one.png", b"not a picture, but one by name")
    clone.set(source="kaggle", kaggle_dataset="someone/faces", kaggle_version=3)
    with serve({("someone", "faces", 3): archive.getvalue()}) as kaggle:
        files = loaded(clone, "download", **environment(kaggle.port, tmp_path))
    assert files == sorted(STAGES["download"].code)


def test_a_stage_that_loads_more_than_it_declares_is_refused(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    module = clone.root / "src" / "omokage" / "stages" / "report.py"
    module.write_text("import omokage.training.ema\n" + module.read_text())
    done = clone.dvc("repro", check=False)
    assert done.returncode != 0
    assert (
        "stage report loads src/omokage/training/__init__.py, src/omokage/training/ema.py, which dvc.yaml"
        in done.stderr
    )


@pytest.mark.parametrize(
    ("lock", "change", "holding"),
    [
        ("report", {"report_title": "Another"}, "runs it already"),
        (f"device-{socket.gethostname()}", {"kid_subsets": 4}, "computes on this machine (share_device: 0)"),
    ],
)
def test_a_run_waits_for_the_living_one_that_holds_its_stage_or_the_device(
    copy_of: Callable[[], Clone], lock: str, change: dict[str, Any], holding: str
) -> None:
    clone = copy_of()
    hold = (
        "import time; from pathlib import Path; from omokage.locks import hold\n"
        f"with hold(Path('.dvc/tmp/omokage/{lock}.lock'), 'another'):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    surroundings = {"PYTHONPATH": str(clone.root / "src"), "PATH": "/usr/bin:/bin", "OMOKAGE_PYTHON": clone.python}
    with subprocess.Popen(
        [sys.executable, "-c", hold], cwd=clone.root, env=surroundings, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        clone.set(**change)
        command = [sys.executable, "-m", "dvc", "repro"]
        with subprocess.Popen(
            command, cwd=clone.root, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as second:
            assert second.stdout is not None
            said = next(line for line in second.stdout if "waiting for" in line)
            holder.kill()
            second.stdout.read()
    assert f": waiting for process {holder.pid} on " in said and said.endswith(f", which {holding}\n")
    assert second.returncode == 0
    assert clone.repro() == []
