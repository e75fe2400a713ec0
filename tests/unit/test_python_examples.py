"""The examples of docs/reference/python.md run, in their order, on a tiny model that is not trained."""

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from support.clone import ROOT
from support.training import make_faces, make_spec
from torch import Tensor

from omokage.data.shards import write_faces
from omokage.diffusion.model import save_model
from omokage.diffusion.posthoc_ema import SIGMA_RELS, Snapshot, save_snapshots
from omokage.diffusion.unet import UNet

PAGE = ROOT / "docs" / "reference" / "python.md"


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    spec = make_spec()
    network = UNet(spec.architecture)
    Path("results").mkdir()
    save_model(Path("results/model.safetensors"), network, spec)
    snapshots = [
        Snapshot(step, sigma_rel, {name: tensor.clone().half() for name, tensor in network.state_dict().items()})
        for step in (6, 12)
        for sigma_rel in SIGMA_RELS
    ]
    save_snapshots(Path("results/snapshots.safetensors"), snapshots)
    write_faces(Path("data/faces"), "held_out", make_faces())
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)

    page, namespace = PAGE.read_text(encoding="utf-8"), dict[str, object]()
    examples = list(re.finditer(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE))
    assert len(examples) == page.count("```python") >= 6
    for example in examples:
        # Empty lines, so that a traceback names the line of the page.
        code = "\n" * (page.count("\n", 0, example.start()) + 1) + example[1]
        exec(compile(code, str(PAGE), "exec"), namespace)

    size = spec.architecture.image_size
    with Image.open("sample.png") as image:
        assert image.size == (size, size)
    expected = {"samples": (4, 3, size, size), "varied": (4, 3, size, size), "between": (7, 3, size, size)}
    for name, shape in {**expected, "features": (4, 1280)}.items():
        value = namespace[name]
        assert isinstance(value, Tensor) and value.shape == shape
    printed = capsys.readouterr().out
    assert all(
        text in printed
        for text in ("Architecture(image_size=16", "Fréchet distance ", "KID ", "'recall': ", "(efficientnet-lite0) ")
    )
