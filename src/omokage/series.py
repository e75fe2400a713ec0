"""Pictures drawn in several ways, in one file: as many in each, and for each in words how they were drawn."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

Way = dict[str, Any]


def save(path: Path, ways: Sequence[Way], pictures: Tensor) -> None:
    """Write uint8 pictures [k, n, 3, h, w] and the k ways in which they were drawn."""
    # One key: safetensors writes several in an order that changes from run to run.
    save_file({"pictures": pictures}, path, metadata={"ways": json.dumps(list(ways))})


def load(path: Path) -> list[tuple[Way, Tensor]]:
    """Return each way with its pictures, uint8 [n, 3, h, w]."""
    with safe_open(path, framework="pt") as file:
        return list(zip(json.loads(file.metadata()["ways"]), file.get_tensor("pictures"), strict=True))
