"""Read dvc.lock and other files from git commits, DVC experiments and the workspace."""

import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any

from dulwich.objects import Blob, Commit

from omokage.base.errors import UserError
from omokage.config.renamed import rename_runs
from omokage.pipeline import dvc_lock
from omokage.pipeline.code import is_code
from omokage.provenance.blob_cache import BlobCache
from omokage.provenance.repository import Repository, StoredFile

# DVC stores an experiment as refs/exps/<first 2 hex digits of its base commit>/<the other digits>/<name>.
EXPERIMENT_REF = re.compile(rb"refs/exps/[0-9a-f]{2}/[0-9a-f]{38,62}/(.+)")
# The entry of a stage in dvc.lock: its `params`, and the MD5s of its `deps` and `outs` by path.
Entry = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Revision:
    """One state of the project: the workspace, a DVC experiment or a commit."""

    kind: str
    name: str  # for git, or for DVC if it is an experiment
    commit: str = ""  # the full hash; empty for the workspace
    date: str = ""  # the commit date as YYYY-MM-DD, in the committer's time zone
    time: int = 0  # the commit time in seconds since 1970
    subject: str = ""  # the first line of the commit's message

    def __str__(self) -> str:
        if self.kind == "workspace":
            return "the workspace"
        return f"{self.kind} {self.name} ({f'{self.commit[:7]}, ' if self.kind == 'experiment' else ''}{self.date})"


WORKSPACE = Revision("workspace", "workspace")


class History(AbstractContextManager["History"]):
    """The revisions of the project folder `root`. Outside a git repository, the workspace is the only revision.

    Raises UserError if git's files are damaged or cannot be read. `cache` remembers what is computed from blobs.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = BlobCache(root)
        self._repository = Repository(root)
        self._locks: dict[str, dict[str, Entry]] = {}

    def __exit__(self, *_: object) -> None:
        self.cache.save()
        self._repository.close()

    @cached_property
    def revisions(self) -> list[Revision]:
        """The workspace, then the DVC experiments by ref name, then all commits, children before parents."""
        refs = self._repository.list_refs()
        named = [(os.fsdecode(match[1]), commit) for ref, commit in refs if (match := EXPERIMENT_REF.fullmatch(ref))]
        counts = Counter(name for name, _ in named)
        names = [(name if counts[name] == 1 else commit.id[:12].decode(), commit) for name, commit in named]
        experiments = [_make_revision("experiment", name, commit) for name, commit in names]
        commits = self._repository.list_commits()
        digits = next(n for n in range(7, 65) if len({commit.id[:n] for commit in commits}) == len(commits))
        return [WORKSPACE, *experiments, *(_make_revision("commit", c.id[:digits].decode(), c) for c in commits)]

    def revision(self, name: str) -> Revision:
        """Return the revision that `name` refers to: "workspace", an experiment, or a commit in any syntax of git.

        Raises UserError if no revision has this name.
        """
        by_name = {revision.name: revision for revision in self.revisions if revision.kind != "commit"}
        return by_name.get(name) or _make_revision("commit", name, self._repository.resolve(name))

    def read(self, revision: Revision, path: str) -> bytes | None:
        """Return the bytes of a file in a revision, or None if the revision lacks the file.

        A commit only has the files that git tracks.
        """
        if revision.kind == "workspace":
            file = self.root / path
            return file.read_bytes() if file.is_file() else None
        files = self.list_files(revision, path)
        return files[0].read() if [file.path for file in files] == [path] else None

    def read_head(self, path: str) -> bytes | None:
        """Return the bytes of a file in the commit HEAD, or None if the commit or the file does not exist."""
        has_head = any(revision.kind == "commit" for revision in self.revisions)
        return self.read(self.revision("HEAD"), path) if has_head else None

    def list_files(self, revision: Revision, path: str) -> list[StoredFile]:
        """Return the files at or below a path, sorted, without those with hidden names."""
        if revision.kind != "workspace":
            return self._repository.list_files(revision.commit, path)
        place = self.root / path
        files = [place] if place.is_file() else sorted(file for file in place.rglob("[!.]*") if file.is_file())
        return [
            StoredFile(
                file.relative_to(self.root).as_posix(),
                Blob.from_string(file.read_bytes()).id.decode(),
                file.read_bytes,
            )
            for file in files
        ]

    def hash_md5(self, revision: Revision, path: str) -> str | None:
        """Return DVC's hash of a file or folder of code, as dvc.lock lists it, or None if the revision lacks it."""
        if revision.kind == "workspace":
            place = self.root / path
            return dvc_lock.hash_dependency(self.root, path, place) if place.exists() else None
        files = self.list_files(revision, path)
        if [file.path for file in files] == [path]:
            return self._hash_blob(files[0])
        code = [file for file in files if is_code(PurePosixPath(file.path))]
        hashes = {file.path.removeprefix(f"{path}/"): self._hash_blob(file) for file in code}
        return dvc_lock.hash_listing(hashes) if hashes else None

    def _hash_blob(self, file: StoredFile) -> str:
        return str(self.cache.get("md5", file.blob, lambda: hashlib.md5(file.read()).hexdigest()))

    def locks(self, revision: Revision) -> dict[str, Entry]:
        """Return the entries of dvc.lock in a revision, by stage, under the current names of stages and parameters.

        A damaged dvc.lock counts as empty in a commit, and raises UserError in the workspace.
        """
        for file in self.list_files(revision, dvc_lock.NAME):
            if file.blob not in self._locks:
                entries = self.cache.get("entries of dvc.lock", file.blob, partial(_parse_entries, file))
                self._locks[file.blob] = {**rename_runs(entries or {})}
            if revision.kind == "workspace" and not self._locks[file.blob]:
                dvc_lock.parse_lock(file.read())  # raises UserError if it is damaged
            return self._locks[file.blob]
        return {}


def _make_revision(kind: str, name: str, commit: Commit) -> Revision:
    date = time.strftime("%Y-%m-%d", time.gmtime(commit.commit_time + commit.commit_timezone))
    subject = commit.message.decode("utf-8", "replace").strip().partition("\n")[0]
    return Revision(kind, name, commit.id.decode(), date, commit.commit_time, subject)


def _parse_entries(file: StoredFile) -> dict[str, Entry] | None:
    """Return the entries of a dvc.lock, by stage, or None if it is damaged."""
    content = file.read()
    try:
        stages = dvc_lock.parse_lock(content)
    except UserError:
        return None
    return {name: dvc_lock.list_entry(entry) for name, entry in stages.items()}
