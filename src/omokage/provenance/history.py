"""Read run records and other files from git commits and DVC experiments (with dulwich), and from the workspace."""

import os
import re
import subprocess
import time
import zlib
from collections import Counter
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from dulwich.errors import FileFormatException, NotGitRepository, NotTreeError
from dulwich.object_store import tree_lookup_path
from dulwich.objects import S_ISGITLINK, Blob, Commit, ObjectID, RawObjectID, ShaFile, SubmoduleEncountered, Tree
from dulwich.objectspec import AmbiguousShortId, parse_commit
from dulwich.repo import MemoryRepo, Repo, UnsupportedExtension, UnsupportedVersion
from dulwich.walk import ORDER_TOPO

from omokage.base.errors import UserError
from omokage.stamps.records import FOLDER, Record, parse_record

# DVC stores an experiment as refs/exps/<first 2 hex digits of its base commit>/<the other digits>/<name>.
EXPERIMENT_REF = re.compile(rb"refs/exps/[0-9a-f]{2}/[0-9a-f]{38,62}/(.+)")
COMMIT_REFS = (b"HEAD", b"refs/heads/", b"refs/tags/", b"refs/remotes/")


@dataclass(frozen=True)
class Revision:
    """One state of the project: the workspace, a DVC experiment or a commit."""

    kind: str
    name: str  # for git, or for DVC if it is an experiment
    commit: str = ""  # the full hash; empty for the workspace
    date: str = ""  # the commit date as YYYY-MM-DD, in the committer's time zone

    def __str__(self) -> str:
        if self.kind == "workspace":
            return "the workspace"
        return f"{self.kind} {self.name} ({f'{self.commit[:7]}, ' if self.kind == 'experiment' else ''}{self.date})"


WORKSPACE = Revision("workspace", "workspace")


class History(AbstractContextManager["History"]):
    """The revisions of the project folder `root`. Outside a git repository, the workspace is the only revision."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._repo, self._prefix = _open_repository(root.resolve())
        self._records_by_commit: dict[str, dict[str, Record]] = {}
        self._records_by_blob: dict[ObjectID, Record] = {}

    @cached_property
    def revisions(self) -> list[Revision]:
        """The workspace, then the DVC experiments by ref name, then all commits, children before parents."""
        refs = sorted((ref, sha) for ref, sha in self._repo.refs.as_dict().items() if sha in self._repo)
        named = [(os.fsdecode(match[1]), sha) for ref, sha in refs if (match := EXPERIMENT_REF.fullmatch(ref))]
        counts = Counter(name for name, _ in named)
        names = [(name if counts[name] == 1 else sha[:12].decode(), sha) for name, sha in named]
        experiments = [_make_revision("experiment", name, parse_commit(self._repo, sha)) for name, sha in names]
        heads = [sha for ref, sha in refs if ref.startswith(COMMIT_REFS)]
        commits = [entry.commit for entry in self._repo.get_walker(heads, order=ORDER_TOPO)]
        digits = next(n for n in range(7, 65) if len({commit.id[:n] for commit in commits}) == len(commits))
        return [WORKSPACE, *experiments, *(_make_revision("commit", c.id[:digits].decode(), c) for c in commits)]

    def revision(self, name: str) -> Revision:
        """Return the revision that `name` refers to: "workspace", an experiment, or a commit in any syntax of git.

        Raises UserError if no revision has this name.
        """
        by_name = {revision.name: revision for revision in self.revisions if revision.kind != "commit"}
        return by_name.get(name) or _make_revision("commit", name, self._resolve_commit(name))

    def read(self, revision: Revision, path: str) -> bytes | None:
        """Return the bytes of a file in a revision, or None if the revision lacks the file.

        A commit only has the files that git tracks.
        """
        if revision.kind == "workspace":
            file = self.root / path
            return file.read_bytes() if file.is_file() else None
        item = self._find(revision, path)
        return item.data if isinstance(item, Blob) else None

    def read_head(self, path: str) -> bytes | None:
        """Return the bytes of a file in the commit HEAD, or None if the commit or the file does not exist."""
        try:
            return self.read(self.revision("HEAD"), path)
        except UserError:
            return None

    def records(self, revision: Revision) -> dict[str, Record]:
        """Return the run records of a revision by stage, without files that are not valid records."""
        if revision.kind == "workspace":
            files = sorted((self.root / FOLDER).glob("*.json"))
            records = {file.stem: _parse_record(file.read_bytes()) for file in files}
        else:
            records = self._read_records(revision)
        return {stage: record for stage, record in records.items() if record}

    def __exit__(self, *_: object) -> None:
        self._repo.close()  # otherwise dulwich prints errors about open pack files when Python exits

    def _load(self, sha: ObjectID | RawObjectID) -> ShaFile:
        """Return a git object. Raises UserError if the object is missing or damaged."""
        try:
            return self._repo.object_store[sha]
        except KeyError as error:
            raise UserError(f"{sha.decode()}: missing git object: run `git fetch --refetch --no-filter`") from error
        except (FileFormatException, zlib.error) as error:
            raise UserError(f"{sha.decode()}: damaged git object: run `git fsck`") from error

    def _find(self, revision: Revision, path: str) -> ShaFile | None:
        """Return the git blob or tree at a path relative to `root`, or None if the revision has none."""
        commit = parse_commit(self._repo, revision.commit)
        try:
            mode, sha = tree_lookup_path(self._load, commit.tree, os.fsencode(self._prefix / path))
        except (KeyError, NotTreeError, SubmoduleEncountered):
            return None
        return None if S_ISGITLINK(mode) else self._load(sha)

    def _read_records(self, revision: Revision) -> dict[str, Record]:
        """Return the records of a commit by stage. Each blob is parsed only once, since commits share most blobs."""
        if revision.commit not in self._records_by_commit:
            tree = self._find(revision, FOLDER)
            entries = tree.items() if isinstance(tree, Tree) else []
            blobs = {os.fsdecode(path): sha for path, _, sha in entries if path.endswith(b".json")}
            for sha in set(blobs.values()) - self._records_by_blob.keys():
                self._records_by_blob[sha] = _parse_record(self._load(sha).as_raw_string())
            self._records_by_commit[revision.commit] = {
                name.removesuffix(".json"): self._records_by_blob[sha] for name, sha in blobs.items()
            }
        return self._records_by_commit[revision.commit]

    def _resolve_commit(self, name: str) -> Commit:
        """Return the commit that `name` refers to. Raises UserError if no commit has this name.

        dulwich resolves HEAD, branches, tags and hashes, full or abbreviated. `git rev-parse` resolves all other names:
        `parse_object` of dulwich fails for HEAD^1~1 and HEAD^{/text}, and disagrees with git about @{1}.
        """
        with suppress(KeyError, ValueError, AmbiguousShortId):
            return parse_commit(self._repo, os.fsencode(name))
        command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
        reason = "git is not installed, and dulwich does not know this revision"
        with suppress(FileNotFoundError, KeyError):
            done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
            reason = done.stderr.partition("\n")[0] or "no such revision"
            return parse_commit(self._repo, done.stdout.strip())
        raise UserError(f"{name}: {reason}: expected workspace, an experiment (`dvc exp list -A`) or a commit")


def _open_repository(root: Path) -> tuple[Repo | MemoryRepo, PurePosixPath]:
    """Return the git repository that contains `root`, and the path from its top folder to `root`.

    If no repository contains `root`, the returned repository is empty. Raises UserError if dulwich cannot read it.
    """
    for folder in (root, *root.parents):  # not `Repo.discover`: `Repo.path` is wrong in a worktree of a submodule
        try:
            return Repo(folder), PurePosixPath(root.relative_to(folder))
        except NotGitRepository:
            continue
        except (UnsupportedExtension, UnsupportedVersion) as error:
            raise UserError(f"{folder}: dulwich cannot read this git repository: {error}") from error
    return MemoryRepo(), PurePosixPath()


def _make_revision(kind: str, name: str, commit: Commit) -> Revision:
    date = time.strftime("%Y-%m-%d", time.gmtime(commit.commit_time + commit.commit_timezone))
    return Revision(kind, name, commit.id.decode(), date)


def _parse_record(content: bytes) -> Record:
    """Return the record in the bytes of a JSON file, or {} if they are not a valid record."""
    try:
        return parse_record(content)
    except ValueError:
        return {}
