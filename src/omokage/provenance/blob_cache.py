"""Remember what was computed from git's blobs, in a file that git ignores.

Without the file, the first `omokage why` in a checkout decodes every figure of every commit, which takes seconds.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from omokage.base.checkout import work_folder
from omokage.base.files import hash_bytes, write_text


class BlobCache:
    """Values that JSON can hold, by kind and by the id of the blob that they were computed from.

    The first line of the file is the sha256 of the rest. A damaged file counts as empty, and a file that cannot be
    written is left out.
    """

    def __init__(self, root: Path) -> None:
        self._path = work_folder(root) / "blobs.json"
        self._values: dict[str, dict[str, Any]] = {}
        self._has_changed = False
        with suppress(OSError, ValueError):
            digest, _, text = self._path.read_text(encoding="utf-8").partition("\n")
            self._values = json.loads(text) if digest == hash_bytes(text.encode()) else {}

    def get(self, kind: str, blob: str, compute: Callable[[], Any]) -> Any:
        """Return the value of `compute()`, which is called only if the value is not yet known.

        Change `kind` whenever `compute` returns something else for the same blob.
        """
        values = self._values.setdefault(kind, {})
        if blob not in values:
            values[blob] = compute()
            self._has_changed = True
        return values[blob]

    def save(self) -> None:
        """Write the file if a value is new and the folder .dvc exists."""
        if self._has_changed and self._path.parents[2].is_dir():
            text = json.dumps(self._values, separators=(",", ":"), default=str)
            with suppress(OSError):
                write_text(self._path, f"{hash_bytes(text.encode())}\n{text}")
            self._has_changed = False
