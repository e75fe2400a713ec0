"""Save and load several sample sets of equal size in one file.

Each set has a label: the settings with which its samples were generated.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

Label = dict[str, Any]


def save_sample_sets(path: Path, labels: Sequence[Label], samples: Tensor) -> None:
    """Write sample sets, uint8 [sets, n, 3, h, w], and one label per set."""
    # One metadata key: safetensors writes several in an order that changes from run to run.
    save_file({"samples": samples}, path, metadata={"labels": json.dumps(list(labels))})


def load_sample_sets(path: Path) -> list[tuple[Label, Tensor]]:
    """Return the label and the samples, uint8 [n, 3, h, w], of each set."""
    with safe_open(path, framework="pt") as file:
        return list(zip(json.loads(file.metadata()["labels"]), file.get_tensor("samples"), strict=True))
