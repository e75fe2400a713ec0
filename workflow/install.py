"""Build the environment .venv from requirements.lock, or check that it is complete (`make install`).

python3 workflow/install.py [--check]

The environment is built in its final place, since it cannot be moved. The one that it replaces waits in .venv.old, and
comes back if the installation fails. The file .venv/ready names the requirements.lock and the folder that the
environment was built for. Only the standard library is used, and no syntax newer than Python 3.6, so that an older
Python can print why it is refused.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ENVIRONMENT, PREVIOUS, READY = Path(".venv"), Path(".venv.old"), Path(".venv/ready")
REQUIREMENTS, LOCK = Path("requirements.lock"), Path(".dvc/tmp/install.lock")
LOCAL_CONFIG = Path(".dvc/config.local")
OLDEST, NEWEST = (3, 11), (3, 13)


class InstallationError(Exception):
    """The environment cannot be used or built. The message is one line."""


def main() -> None:
    """Build or check the environment, and exit with code 2 and one line if that is impossible."""
    try:
        if sys.argv[1:] == ["--check"]:
            check()
        else:
            install()
    except InstallationError as error:
        print(f"omokage: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"omokage: {error.filename}: {error.strerror}: the environment was not built", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def check() -> None:
    """Raise InstallationError unless the environment is complete. Changes nothing."""
    if not ENVIRONMENT.exists():
        raise InstallationError(".venv is missing: run `make install`")
    if not is_ready():
        raise InstallationError(
            ".venv is incomplete, was moved, or belongs to another requirements.lock: run `make install`"
        )


def install() -> None:
    """Build the environment unless it is complete, and tell DVC where the main checkout is."""
    python = None if is_ready() else find_python()
    check_repository()
    if python and ENVIRONMENT.is_symlink():
        raise InstallationError(
            f".venv is a link to {ENVIRONMENT.resolve()}, which was not built for this checkout: remove the link, then "
            "run `make install`"
        )
    if python or PREVIOUS.exists():
        with hold_lock():
            if python and not is_ready():  # another `make` may have built it meanwhile
                replace_environment(python)
            remove(PREVIOUS)
    if not (LOCAL_CONFIG.is_file() and "checkout" in LOCAL_CONFIG.read_text()):
        run(".venv/bin/dvc", "config", "--local", "remote.checkout.url", ".")


def is_ready() -> bool:
    """Return whether the environment is complete, and was built here from this requirements.lock."""
    has_python = Path(".venv/bin/python").exists()  # false also for a link to a Python that was removed
    return has_python and READY.is_file() and READY.read_text() == describe_environment()


def describe_environment() -> str:
    """Return the content of .venv/ready: the hash of requirements.lock, and the folder of the environment."""
    return f"{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()} {ENVIRONMENT.resolve()}\n"


def check_repository() -> None:
    """Raise InstallationError unless this folder is in a git repository that git accepts."""
    if not shutil.which("git"):
        raise InstallationError("git is not installed or not on PATH: install git, then run `make` again")
    done = subprocess.run(["git", "rev-parse", "--git-dir"], capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").partition("\n")[0]
        raise InstallationError(
            f"DVC needs a git repository here ({reason}): get the project with `git clone`, not as a ZIP file, or "
            'run `git init && git add --all && git commit --message "Start"`'
        )


def find_python() -> str:
    """Return the interpreter to build with; raise InstallationError if it is too old or too new."""
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        raise InstallationError(
            "omokage needs Python 3.{} to 3.{}, and {} is {}.{}: name another with `make PYTHON=python3.12`".format(
                OLDEST[1], NEWEST[1], sys.executable, *version
            )
        )
    # In an activated .venv, this is the Python that .venv was made from, since .venv itself moves away.
    return str(getattr(sys, "_base_executable", sys.executable))


@contextmanager
def hold_lock():
    """Wait until no other `make` builds the environment, and keep others waiting until the context ends."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def replace_environment(python: str) -> None:
    """Build the environment anew; if that fails, put back the one that was there before."""
    restore_interrupted()
    print("building .venv from requirements.lock", flush=True)
    if ENVIRONMENT.exists():
        ENVIRONMENT.rename(PREVIOUS)
    try:
        build(python)
    except BaseException:
        remove(ENVIRONMENT)
        if PREVIOUS.exists():
            PREVIOUS.rename(ENVIRONMENT)
            print("omokage: .venv is as it was before", file=sys.stderr)
        raise


def restore_interrupted() -> None:
    """Undo an installation that was killed: it left an incomplete .venv, and a complete one in .venv.old."""
    if PREVIOUS.exists():
        remove(PREVIOUS if READY.is_file() else ENVIRONMENT)
    if PREVIOUS.exists():
        PREVIOUS.rename(ENVIRONMENT)


def build(python: str) -> None:
    """Create the environment and install the pinned packages; the file `ready` is written last."""
    run(python, "-m", "venv", str(ENVIRONMENT))
    # uv, which installs the rest, is pinned in the same file.
    (uv,) = re.findall(r"^uv==.*(?:\n .*)*\n", REQUIREMENTS.read_text(), flags=re.MULTILINE)
    pinned_uv = ENVIRONMENT / "uv.lock"
    pinned_uv.write_text(uv)
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps")
    run(".venv/bin/python", *pip, "-r", str(pinned_uv))
    uv_install = (".venv/bin/uv", "pip", "install", "--quiet", "--python", ".venv/bin/python")
    run(*uv_install, "--require-hashes", "-r", str(REQUIREMENTS))
    run(*uv_install, "--no-index", "--no-deps", "--editable", ".")
    READY.write_text(describe_environment())


def run(*command: str) -> None:
    """Run a command; raise InstallationError if it fails. Its own messages are shown."""
    try:
        done = subprocess.run(command, check=False)
    except OSError as error:
        raise InstallationError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise InstallationError("`{}` failed with exit code {}".format(" ".join(command), done.returncode))


def remove(folder: Path) -> None:
    """Remove a folder if it exists."""
    if folder.exists():
        shutil.rmtree(str(folder))


if __name__ == "__main__":
    main()
