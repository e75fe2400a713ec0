"""Build the environment .venv from requirements.lock, or check that it is complete (`make install`).

python3 workflow/install.py [--check]

The environment is built in .venv.building and takes its place when it is complete. So a failed or killed installation
leaves the one before it as it was. The file .venv/ready names the requirements.lock and the folder that the environment
was built for. Only the standard library is used, and no syntax newer than Python 3.6, so that an older Python can print
why it is refused.

OMOKAGE_TORCH_INDEX is the address of a package index from which torch and torchvision are installed, instead of the
builds for CUDA with their libraries. The environment keeps the choice until the variable has another value.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ENVIRONMENT, BUILDING, PREVIOUS = Path(".venv"), Path(".venv.building"), Path(".venv.old")
REQUIREMENTS, LOCK = Path("requirements.lock"), Path(".dvc/tmp/install.lock")
LOCAL_CONFIG = Path(".dvc/config.local")
OLDEST, NEWEST = (3, 11), (3, 13)
# What is left out if torch comes from another index: torch's own builds, and the libraries that only these need.
TORCH = r"torch|torchvision|triton|(?:nvidia|cuda)-.*"


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
    if python or PREVIOUS.exists() or BUILDING.exists():
        with hold_lock():
            restore_interrupted()
            if not is_ready():  # another `make` may have built it meanwhile
                replace_environment(python)
            remove(BUILDING)
            remove(PREVIOUS)
    if not (LOCAL_CONFIG.is_file() and 'remote "checkout"' in LOCAL_CONFIG.read_text()):
        run(".venv/bin/dvc", "config", "--local", "remote.checkout.url", ".")


def is_ready() -> bool:
    """Return whether the environment is complete, and was built here from this requirements.lock and torch index."""
    has_python = Path(".venv/bin/python").exists()  # false also for a link to a Python that was removed
    return has_python and read_ready() == describe_environment()


def read_ready() -> list:
    """Return the lines of .venv/ready, which is written when an environment is complete."""
    ready = ENVIRONMENT / "ready"
    return ready.read_text().splitlines() if ready.is_file() else []


def describe_environment() -> list:
    """Return the lines of .venv/ready: hash of requirements.lock and folder, then the index of torch if it has one."""
    lines = [f"{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()} {ENVIRONMENT.resolve()}"]
    return lines + [index for index in [find_torch_index()] if index]


def find_torch_index() -> str:
    """Return the index that torch is installed from, as given now or for the environment that exists; "" for none."""
    return os.environ.get("OMOKAGE_TORCH_INDEX", "".join(read_ready()[1:]))


def check_repository() -> None:
    """Raise InstallationError unless this folder is in a git repository that git accepts."""
    if not shutil.which("git"):
        raise InstallationError("git is not installed or not on PATH: install git, then run `make` again")
    command = ["git", "rev-parse", "--git-dir"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)  # noqa: UP022 (for 3.6)
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
    """Build the environment, then put it in the place of the one that exists."""
    remove(PREVIOUS)
    remove(BUILDING)
    print("building .venv from requirements.lock", flush=True)
    try:
        build(python)
    except BaseException:
        remove(BUILDING)
        if ENVIRONMENT.exists():
            print("omokage: .venv is as it was before", file=sys.stderr)
        raise
    if ENVIRONMENT.exists():
        ENVIRONMENT.rename(PREVIOUS)
    BUILDING.rename(ENVIRONMENT)


def restore_interrupted() -> None:
    """Bring back the environment if an installation was killed between the two moves in replace_environment."""
    if PREVIOUS.exists() and not ENVIRONMENT.exists():
        PREVIOUS.rename(ENVIRONMENT)


def build(python: str) -> None:
    """Create the environment in .venv.building and install the pinned packages; the file `ready` is written last."""
    ready, index = describe_environment(), find_torch_index()
    run(python, "-m", "venv", "--prompt", ENVIRONMENT.name, str(BUILDING))
    pip = (".venv.building/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    uv = (".venv.building/bin/uv", "pip", "install", "--quiet", "--python", ".venv.building/bin/python")
    # uv, which installs the rest, is pinned in the same file.
    run(*pip, "--require-hashes", "--no-deps", "-r", write_requirements("uv"))
    if index:
        run(*uv, "--require-hashes", "--no-deps", "-r", write_requirements(f"(?!(?:{TORCH})==).*"))
        # The builds of another index have other hashes.
        run(*uv, "--no-deps", "--index-url", index, *re.findall("^torch(?:vision)?==[^ ]+", read_lock(), re.MULTILINE))
    else:
        run(*uv, "--require-hashes", "-r", str(REQUIREMENTS))
    run(*uv, "--no-index", "--no-deps", "--editable", ".")
    name_final_folder()
    (BUILDING / "ready").write_text("".join(line + "\n" for line in ready))


def read_lock() -> str:
    """Return the content of requirements.lock."""
    return REQUIREMENTS.read_text()


def write_requirements(names: str) -> str:
    """Write the part of requirements.lock whose package names match a regular expression, and return its path."""
    file = BUILDING / "requirements.txt"
    file.write_text("".join(re.findall(rf"^(?:{names})==.*\n(?: .*\n)*", read_lock(), re.MULTILINE)))
    return str(file)


def name_final_folder() -> None:
    """Make the programs of the environment name .venv, where they will be, and not the folder they were built in."""
    for file in [BUILDING / "pyvenv.cfg", *(BUILDING / "bin").iterdir()]:
        content = file.read_bytes()
        if b"/.venv.building" in content:
            file.write_bytes(content.replace(b"/.venv.building", b"/.venv"))


def run(*command: str) -> None:
    """Run a command; raise InstallationError if it fails. Its own messages are shown."""
    try:
        done = subprocess.run(command, check=False)
    except OSError as error:
        raise InstallationError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        shown = re.sub("//[^/@ ]*@", "//***@", " ".join(command))  # without the password of a package index
        raise InstallationError(f"`{shown}` failed with exit code {done.returncode}")


def remove(folder: Path) -> None:
    """Remove a folder if it exists."""
    if folder.exists():
        shutil.rmtree(str(folder))


if __name__ == "__main__":
    main()
