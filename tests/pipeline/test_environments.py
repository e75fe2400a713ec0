"""In every environment a stage leaves the same bytes, or a line that says what is wrong."""

import os
import re
import sys
from collections.abc import Callable

import pytest
from support.clone import TRAINING_OUTPUTS, Clone, skip_unless_installed
from support.environments import (
    AS_MEMBER,
    AS_USER,
    DVC,
    EXPERIMENT,
    NOEXEC,
    TEMPORARY,
    UMASK,
    WITHOUT_RIGHTS,
    Environment,
    add_failing_hook,
    add_submodule,
    add_worktree,
    clone_shallow,
    git,
    give_away,
    hide_git,
    let_fail,
    move_into_repository,
    protect,
    remove_git,
    rename,
    set_temporary_folder,
    set_times,
    share,
    use_no_scm,
    write_module,
)
from support.runs import STAGES, hash_outputs

from omokage.base.files import remove
from omokage.stamps.records import read_record

RAN = "Ran experiment"
OTHER_PYTHON = "#!/bin/sh\necho 'the wrong python' >&2\nexit 9\n"
PARAMS, FIGURES = (*DVC, "params"), (*DVC, "figures")
NOBODY = {"HOME": "/nonexistent", "USER": "me", "LOGNAME": "me"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
KANJI = {"GIT_AUTHOR_NAME": "面影 太郎", "GIT_COMMITTER_NAME": "面影 太郎"}
KANJI_COMMIT = git("commit", "-q", "--allow-empty", "-m", "面影: 学習率を変える")

CHEAP = {
    "ASCII locale": Environment(C_LOCALE),
    "fake torch on PYTHONPATH": Environment(prepare=write_module("torch.py", "raise RuntimeError('fake')\n")),
    "another environment is active": Environment(
        {"CONDA_PREFIX": "/opt/conda", "VIRTUAL_ENV": "/opt/venv"}, prepare=write_module("python3", OTHER_PYTHON)
    ),
    "warnings are errors": Environment({"PYTHONWARNINGS": "error"}),
    "user without a home": Environment(NOBODY, AS_USER, prepare=give_away),
    "home is read-only": Environment({"HOME": "cache"}, WITHOUT_RIGHTS, prepare=protect("cache")),
    "files are private (umask 077)": Environment(prefix=UMASK),
    "spaces, quotes, dollar, ampersand, hash and kanji in the path": Environment(
        prepare=rename('it\'s "my" $HOME & #1 面影')
    ),
    "colon in the path": Environment(prepare=rename("a:b"), message="expected a path without colons"),
    "line break in the path": Environment(prepare=rename("a\nb"), message="expected a path without colons"),
    "brace in the path": Environment(prepare=rename("a{b}"), message="expected a path without colons"),
    "no git repository": Environment(command=PARAMS, prepare=remove_git, message="is not a git repository"),
    "no flock": Environment(prepare=let_fail("flock"), message=r"cannot be locked \(.*\): expected a file system"),
}
ALL = {
    **CHEAP,
    "ASCII locale, figures": Environment(C_LOCALE, command=FIGURES),
    "user without a home, figures": Environment(NOBODY, AS_USER, FIGURES, give_away),
    "user without a home, experiment": Environment(NOBODY, AS_USER, EXPERIMENT, give_away, RAN, True),
    "user without a name": Environment(
        {"HOME": "/nonexistent", "USER": "", "LOGNAME": ""}, AS_USER, PARAMS, give_away, "uid not found: 12345"
    ),
    "checkout of another user": Environment(NOBODY, AS_USER, PARAMS, message="Permission denied: .*/.dvc/tmp/lock"),
    "checkout shared by a group": Environment(NOBODY, AS_MEMBER, prepare=share),
    "checkout of another user, read by root": Environment(command=PARAMS, prepare=give_away),
    "checkout of another user, experiment": Environment(
        command=EXPERIMENT, prepare=give_away, message="is not owned by current user"
    ),
    "cache is read-only": Environment(
        prefix=WITHOUT_RIGHTS, command=PARAMS, prepare=protect(".dvc/cache"), message="Permission denied: .*/.dvc/cache"
    ),
    "assertions are off": Environment({"PYTHONOPTIMIZE": "2"}, command=PARAMS),
    "wrong PYTHONHOME": Environment({"PYTHONHOME": "/nowhere"}, message="PYTHONHOME = '/nowhere'"),
    "current folder is not imported": Environment({"PYTHONSAFEPATH": "1"}, command=PARAMS),
    "temporary folder is missing": Environment({"TMPDIR": "/nowhere"}, command=FIGURES),
    "temporary folder without execution": Environment(prefix=NOEXEC, command=FIGURES, prepare=set_temporary_folder),
    "DVC without git": Environment(command=PARAMS, prepare=use_no_scm),
    "git is not installed": Environment(command=PARAMS, prepare=hide_git),
    "dash before the path": Environment(command=PARAMS, prepare=rename("-dash")),
    "dash before the path, experiment": Environment({}, (), TEMPORARY, rename("-dash"), RAN, True),
    "percent in the path": Environment(command=PARAMS, prepare=rename("a%20b")),
    "percent in the path, experiment": Environment({}, (), TEMPORARY, rename("a%20b"), "expected a path without %"),
    "hash in the path, experiment": Environment({}, (), TEMPORARY, rename("a#b"), "No git repository was found"),
    "kanji in the path, experiment": Environment({}, (), TEMPORARY, rename("面影"), "can't encode character"),
    "long path": Environment(command=PARAMS, prepare=rename("/".join(letter * 230 for letter in "abcd"))),
    "no hard links": Environment(command=FIGURES, prepare=let_fail("link")),
    "files from the future": Environment(command=FIGURES, prepare=set_times("2040-01-01")),
    "files from before 1970": Environment(command=PARAMS, prepare=set_times("1960-01-01")),
    "kanji in commit and name": Environment(KANJI, (), EXPERIMENT, KANJI_COMMIT, RAN, True),
    "kanji in commit and name, ASCII locale": Environment(
        {**C_LOCALE, **KANJI}, command=EXPERIMENT, prepare=KANJI_COMMIT, message="surrogates not allowed"
    ),
    "detached HEAD": Environment({}, (), EXPERIMENT, git("checkout", "-q", "--detach"), RAN, True),
    "failing hook": Environment({}, (), EXPERIMENT, add_failing_hook, RAN, True),
    "failing hook, temporary": Environment({}, (), TEMPORARY, add_failing_hook, RAN, True),
    "worktree": Environment(command=PARAMS, prepare=add_worktree),
    "worktree, experiment": Environment({}, (), TEMPORARY, add_worktree, RAN, True),
    "shallow clone": Environment(command=(*DVC, "params", "download"), prepare=clone_shallow),
    "subfolder of a repository": Environment(command=PARAMS, prepare=move_into_repository),
    "subfolder of a repository, experiment": Environment({}, (), TEMPORARY, move_into_repository, RAN, True),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in CHEAP else pytest.mark.slow) for name in ALL])
def test_a_stage_leaves_the_same_bytes_or_says_why_not(
    copy_clone: Callable[[], Clone], finished_clone: Clone, name: str
) -> None:
    environment = ALL[name]
    clone = copy_clone().without_preloading()
    stage = environment.command[-1]
    before = hash_outputs(finished_clone, STAGES[stage].outs)
    for out in STAGES[stage].outs:
        remove(clone.root / out)
    clone, done = environment.run(clone)
    output = f"{done.stdout}\n{done.stderr}"
    if environment.message:
        assert (done.returncode == 0) == environment.succeeds, output
        assert re.search(environment.message, output, re.DOTALL), output
        return
    assert done.returncode == 0, output
    assert hash_outputs(clone, STAGES[stage].outs) == before
    if (clone.root / ".git").exists():
        safe = ("git", "-c", "safe.directory=*")
        assert Clone(clone.root).run(*safe, "status", "--porcelain", ".", ":!results/timings.json").stdout == ""


@pytest.mark.slow
def test_an_experiment_leaves_a_submodule_alone(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone().without_preloading()
    add_submodule(clone)
    before = clone.run("git", "submodule", "status").stdout
    for command in (EXPERIMENT, TEMPORARY):
        assert RAN in clone.run(*command).stdout
    assert clone.run("git", "submodule", "status").stdout == before
    assert (clone.root / "library" / "mine").read_text() == "mine"


@pytest.mark.slow
def test_two_threads_on_one_core_train_to_the_same_bytes_with_a_warning(copy_clone: Callable[[], Clone]) -> None:
    skip_unless_installed(["taskset"], "util-linux")
    cores = sorted(os.sched_getaffinity(0))
    hashes = []
    for used in (cores[:1], cores[:2]):
        clone = copy_clone().without_preloading()
        train = (sys.executable, "-m", "omokage.pipeline.runner", "train", "--threads", "2")
        done = clone.run(
            "taskset", "-c", ",".join(map(str, used)), *train, PYTHONPATH="src", OMP_NUM_THREADS="2", GOMP_SPINCOUNT="0"
        )
        assert ("omokage: train: 2 threads share 1 core(s)" in done.stderr) == (len(used) == 1)
        assert read_record(clone.root / STAGES["train"].record)["threads"] == 2
        hashes.append(hash_outputs(clone, TRAINING_OUTPUTS))
    assert hashes[0] == hashes[1]
