"""Copy a safetensors file with more metadata in its header. The tensors are copied byte for byte."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

ALIGNMENT = 8  # bytes; safetensors pads the header with spaces, so that the tensors are aligned
METADATA = "__metadata__"


def copy_with_metadata(source: Path, target: Path, metadata: Mapping[str, str]) -> None:
    """Write `target` with the tensors of `source`, and with `metadata` in addition to the metadata of `source`.

    The keys are sorted, so the same input gives the same bytes. safetensors itself writes them in random order.
    """
    with source.open("rb") as old, target.open("wb") as new:
        header = json.loads(old.read(int.from_bytes(old.read(8), "little")))
        header[METADATA] = dict(sorted({**header.get(METADATA, {}), **metadata}.items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % ALIGNMENT)
        new.write(len(text).to_bytes(8, "little") + text)
        shutil.copyfileobj(old, new, 1 << 20)
