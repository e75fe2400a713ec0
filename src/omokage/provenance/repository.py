"""Read commits and files from a git repository with dulwich. What dulwich raises becomes a UserError in one line."""

import os
import stat
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dulwich.errors import (
    ApplyDeltaError,
    ChecksumMismatch,
    FileFormatException,
    MissingCommitError,
    NotGitRepository,
    NotTreeError,
    RefFormatError,
    WrongObjectException,
)
from dulwich.object_store import tree_lookup_path
from dulwich.objects import S_ISGITLINK, Commit, ObjectID, RawObjectID, ShaFile, SubmoduleEncountered, Tag, Tree
from dulwich.objectspec import AmbiguousShortId, parse_commit
from dulwich.repo import MemoryRepo, Repo, UnsupportedExtension, UnsupportedVersion
from dulwich.walk import ORDER_TOPO

from omokage.base.errors import UserError

COMMIT_REFS = (b"HEAD", b"refs/heads/", b"refs/tags/", b"refs/remotes/")
# What dulwich raises for a repository that is damaged or that the user may not read.
DAMAGE = (
    *(KeyError, ValueError, OSError, AssertionError, zlib.error),
    *(ApplyDeltaError, ChecksumMismatch, FileFormatException, MissingCommitError, RefFormatError, WrongObjectException),
)


class StoredFile(NamedTuple):
    """A file in a revision: its path, the id of its git blob, and a function that returns its bytes."""

    path: str
    blob: str
    read: Callable[[], bytes]


class Repository:
    """The git repository that contains the folder `root`. If there is none, it is empty. Paths are relative to `root`.

    Raises UserError if git's files are damaged or cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._repo, self._prefix = _open_repository(root.resolve())

    def close(self) -> None:
        """Close the files. Otherwise dulwich prints errors about open pack files when Python exits."""
        self._repo.close()

    def list_refs(self) -> list[tuple[bytes, Commit]]:
        """Return the name and the commit of every ref that leads to a commit, sorted by name."""
        with _explain_damage(self.root):
            refs = sorted(self._repo.refs.as_dict().items())
        items = ((ref, self._peel(sha)) for ref, sha in refs)
        return [(ref, item) for ref, item in items if isinstance(item, Commit)]

    def list_commits(self) -> list[Commit]:
        """Return all commits of HEAD, branches and tags, children before parents."""
        heads = [commit.id for ref, commit in self.list_refs() if ref.startswith(COMMIT_REFS)]
        with _explain_damage(self.root):
            return [entry.commit for entry in self._repo.get_walker(heads, order=ORDER_TOPO)]

    def resolve(self, name: str) -> Commit:
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

    def list_files(self, commit: str, path: str) -> list[StoredFile]:
        """Return the files at or below a path in a commit, sorted, without those with hidden names."""
        with _explain_damage(self.root):
            tree = parse_commit(self._repo, commit).tree
        try:
            mode, sha = tree_lookup_path(self._load, tree, os.fsencode(self._prefix / path))
        except (KeyError, NotTreeError, SubmoduleEncountered):
            return []
        return [*self._walk(path, mode, sha)]

    def _walk(self, path: str, mode: int, sha: ObjectID) -> Iterator[StoredFile]:
        if stat.S_ISDIR(mode):
            tree = self._load(sha)
            for name, child_mode, child in tree.items() if isinstance(tree, Tree) else ():
                if not name.startswith(b"."):
                    yield from self._walk(f"{path}/{os.fsdecode(name)}", child_mode, child)
        elif not S_ISGITLINK(mode):
            yield StoredFile(path, sha.decode(), partial(self._load_bytes, sha))

    def _load(self, sha: ObjectID | RawObjectID) -> ShaFile:
        """Return a git object. Raises UserError if the object is missing or damaged."""
        try:
            return self._repo.object_store[sha]
        except KeyError as error:
            raise UserError(f"{sha.decode()}: missing git object: run `git fetch --refetch --no-filter`") from error
        except DAMAGE as error:
            raise UserError(f"{sha.decode()}: damaged git object: run `git fsck`") from error

    def _load_bytes(self, sha: ObjectID) -> bytes:
        return self._load(sha).as_raw_string()

    def _peel(self, sha: ObjectID) -> ShaFile:
        """Return the object that a ref or a chain of tags leads to; git can tag anything."""
        item = self._load(sha)
        while isinstance(item, Tag):
            item = self._load(item.object[1])
        return item


def _open_repository(root: Path) -> tuple[Repo | MemoryRepo, PurePosixPath]:
    """Return the git repository that contains `root`, and the path from its top folder to `root`."""
    for folder in (root, *root.parents):  # not `Repo.discover`: `Repo.path` is wrong in a worktree of a submodule
        if os.path.lexists(folder / ".git"):
            try:
                repository = Repo(folder)
                if not Path(repository.controldir(), "HEAD").is_file():
                    raise NotGitRepository(f"{repository.controldir()} has no file HEAD")
                return repository, PurePosixPath(root.relative_to(folder))
            except (NotGitRepository, UnsupportedExtension, UnsupportedVersion, *DAMAGE) as error:
                raise UserError(
                    f"{folder}: dulwich cannot read this git repository ({error}): run `git status` there to see why"
                ) from error
    return MemoryRepo(), PurePosixPath()


@contextmanager
def _explain_damage(root: Path) -> Iterator[None]:
    """Raise UserError instead of what dulwich raises for a damaged repository."""
    try:
        yield
    except DAMAGE as error:
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{root}: git's files are damaged or cannot be read ({problem}): run `git fsck`") from error
