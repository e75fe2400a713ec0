"""What git holds of results: every commit, every experiment of DVC whether applied or not, and the workspace."""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from omokage.errors import Refused
from omokage.pipeline import RECORDS
from omokage.provenance import Record

# What DVC calls an experiment's branch: refs/exps, the commit it started from in two parts, its name.
EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38,62}/(.+)")


@dataclass(frozen=True)
class Revision:
    """A state of the checkout: the workspace (no commit), an experiment, or a commit; its name is what git or DVC take.

    `date` is that of the commit, as YYYY-MM-DD.
    """

    kind: str
    name: str
    commit: str = ""
    date: str = ""

    def __str__(self) -> str:
        if self.kind == "workspace":
            return "the workspace"
        return f"{self.kind} {self.name} ({f'{self.commit[:7]}, ' if self.kind == 'experiment' else ''}{self.date})"


WORKSPACE = Revision("workspace", "workspace")


class Thing(NamedTuple):
    """An object of git: its hash, its kind (blob, tree, commit) and its bytes."""

    hash: str
    kind: str
    content: bytes


class History:
    """The revisions of a checkout, read by one process of git; without git there is the workspace alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._records: dict[str, Record] = {}
        self._trees: dict[str, dict[str, Record]] = {}

    @cached_property
    def revisions(self) -> list[Revision]:
        """The workspace, then DVC's experiments, then all commits, the newest first."""
        listed = [line.split() for line in self._git("for-each-ref", EXPERIMENTS, "refs/exps")]
        experiments = [(EXPERIMENT.fullmatch(ref), commit, date) for ref, commit, date in listed]
        names = Counter(found[1] for found, _, _ in experiments if found)
        logged = self._git("log", "--topo-order", "--format=%H %h %cs", "--branches", "--tags", "--remotes", "HEAD")
        return [
            WORKSPACE,
            *(
                Revision("experiment", found[1] if names[found[1]] == 1 else commit[:12], commit, date)
                for found, commit, date in experiments
                if found
            ),
            *(Revision("commit", short, commit, date) for commit, short, date in map(str.split, logged)),
        ]

    def revision(self, name: str) -> Revision:
        """Return the revision that the user names: `workspace`, an experiment, or anything that git understands.

        Raises Refused for a name that is none of these.
        """
        for known in self.revisions:
            if known.name == name and known.kind != "commit":
                return known
        found = self._git("log", "-1", "--format=%H %cs", "--end-of-options", f"{name}^{{commit}}", "--")
        if not found:
            raise Refused(
                f"{name}: no such revision: expected workspace, an experiment (`dvc exp list -A`) or a commit"
            )
        commit, date = found[0].split()
        return Revision("commit", name, commit, date)

    def read(self, revision: Revision, path: str) -> bytes | None:
        """Return a file as the revision has it (of a commit, what git keeps), or None."""
        if revision.kind == "workspace":
            place = self.root / path
            return place.read_bytes() if place.is_file() else None
        found = self._object(f"{revision.commit}:./{path}")
        return found.content if found and found.kind == "blob" else None

    def records(self, revision: Revision) -> dict[str, Record]:
        """Return the records of a revision's runs, by stage; what is no record is left out."""
        if revision.kind == "workspace":
            files = sorted((self.root / RECORDS).glob("*.json"))
            records = {file.stem: _parsed(file.read_bytes()) for file in files}
        else:
            records = self._recorded(revision)
        return {stage: record for stage, record in records.items() if record}

    def _recorded(self, revision: Revision) -> dict[str, Record]:
        tree = self._object(f"{revision.commit}:./{RECORDS}")
        if tree is None or tree.kind != "tree":
            return {}
        if tree.hash not in self._trees:
            files = [(name, blob) for name, blob in _entries(tree) if name.endswith(".json")]
            self._trees[tree.hash] = {name.removesuffix(".json"): self._record(blob) for name, blob in files}
        return self._trees[tree.hash]

    def _record(self, blob: str) -> Record:
        if blob not in self._records:
            found = self._object(blob)
            self._records[blob] = _parsed(found.content) if found else {}
        return self._records[blob]

    def _object(self, name: str) -> Thing | None:
        """Return what git knows by this name, such as REVISION:./PATH."""
        if self._reader is None or "\n" in name:
            return None
        asked, answers = self._reader.stdin, self._reader.stdout
        assert asked and answers
        asked.write(f"{name}\n".encode())
        asked.flush()
        answer = answers.readline().split()
        if len(answer) != 3 or not answer[2].isdigit():
            return None
        content = answers.read(int(answer[2]) + 1)[:-1]
        return Thing(answer[0].decode(), answer[1].decode(), content)

    @cached_property
    def _reader(self) -> subprocess.Popen[bytes] | None:
        if not self._git("rev-parse", "--git-dir"):
            return None
        return subprocess.Popen(
            ["git", "cat-file", "--batch"], cwd=self.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def close(self) -> None:
        """End git's process."""
        if self.__dict__.get("_reader"):
            self.__dict__.pop("_reader").communicate()

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _git(self, *arguments: str) -> list[str]:
        """Return the lines that git answers; none where it is not installed, or has nothing to tell."""
        try:
            done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return []
        return done.stdout.splitlines() if done.returncode == 0 else []


EXPERIMENTS = "--format=%(refname) %(objectname) %(committerdate:short)"


def _entries(tree: Thing) -> Iterator[tuple[str, str]]:
    """Yield the name and hash of each entry of a tree: `mode name`, a zero byte, the hash in binary."""
    rest, size = tree.content, len(tree.hash) // 2
    while rest:
        head, _, rest = rest.partition(b"\0")
        yield head.partition(b" ")[2].decode(errors="replace"), rest[:size].hex()
        rest = rest[size:]


def _parsed(content: bytes) -> dict[str, Any]:
    """Return a record, or nothing where the bytes are none."""
    try:
        (only,) = json.loads(content)
        tables = [only[part] for part in ("params", "deps", "code", "packages", "outs")]
        return only if "stage" in only and all(isinstance(table, dict) for table in tables) else {}
    except (ValueError, TypeError, KeyError):
        return {}
