"""The command `omokage`: help, exit codes, mistyped names, errors of the system, closed pipes and Ctrl-C."""

import argparse
import errno
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clone import ROOT

from omokage.cli.main import BROKEN_PIPE, COMMANDS, ERROR, INTERRUPTED, main, make_parser
from omokage.cli.os_errors import describe_os_error
from omokage.cli.parser import EXIT_CODES, Parser
from omokage.cli.report_line import describe_report

COMMAND = [sys.executable, "-m", "omokage.cli.main"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def list_parsers(parser: Parser) -> Iterator[Parser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from list_parsers(subparser)


def test_the_help_of_every_command_has_the_exit_codes_and_a_description() -> None:
    parsers = list(list_parsers(make_parser()))
    assert len(parsers) > len(COMMANDS)
    for parser in parsers:
        text = " ".join(parser.format_help().split())
        assert parser.description and " ".join(parser.description.split()) in text
        assert all(f"{code} {meaning}" in text for code, meaning in EXIT_CODES.items())
    assert {ERROR, INTERRUPTED, BROKEN_PIPE} < EXIT_CODES.keys()


def test_the_help_of_every_command_that_does_something_has_examples_which_it_accepts() -> None:
    for parser in list_parsers(make_parser()):
        actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        assert parser.examples or any(action.required for action in actions), parser.prog
        for example in parser.examples:
            assert example.startswith(parser.prog) and f"\n  {example}\n" in parser.format_help()
            make_parser().parse_args(shlex.split(example)[1:])  # exits if the command does not accept its example


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0 and re.fullmatch(r"omokage \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plna"], "argument COMMAND: 'plna': did you mean 'plan'?"),
        (["presets", "shwo"], "'shwo': did you mean 'show'?"),
        (
            ["transform", "vary", "a.png", "--sampler", "dpm-solver"],
            "argument --sampler: 'dpm-solver': did you mean 'dpm-solver++'?",
        ),
        (["transform", "vary", "a.png", "--sampler", "x"], "argument --sampler: invalid choice: 'x' (choose from"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2 and message in capsys.readouterr().err


def test_a_mistyped_parameter_gets_a_suggestion(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-S", "sampels=3"]) == 2
    assert "sampels = 3 is not a parameter: did you mean samples?\n" in capsys.readouterr().err


def test_an_error_is_one_line_with_exit_code_2(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir("/")
    assert main(["stale"]) == 2
    assert capsys.readouterr().err.startswith("omokage: / is not inside a checkout: ")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOENT, "a.png: no such file or directory: check the path"),
        (errno.ENOSPC, "a.png: no space left on device: free some space on this disk, and run the command again"),
        (errno.EIO, "a.png: input/output error"),
    ],
)
def test_an_error_of_the_system_names_the_file_and_what_to_do(number: int, text: str) -> None:
    assert describe_os_error(OSError(number, os.strerror(number), "a.png")) == text


def test_an_error_without_a_file_keeps_its_text() -> None:
    assert describe_os_error(OSError("two\nlines")) == "two lines"


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        ('{"distance": 26.081, "distance_floor": 14.9}', ", Fréchet distance 26.081 (real images: 14.9)"),
        ('{"distance": 26.0, "distance_floor": null}', ", Fréchet distance 26"),
        ("<<<<<<< HEAD", ", score unknown"),
        ("[]", ", score unknown"),
        (None, ", score unknown"),
    ],
)
def test_the_line_about_the_report_has_its_score_if_there_is_one(
    tmp_path: Path, metrics: str | None, line: str
) -> None:
    assert describe_report(tmp_path) == "report: none yet, `dvc repro` writes it"
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "report.html").touch()
    if metrics is not None:
        (tmp_path / "results" / "metrics.json").write_text(metrics)
    assert describe_report(tmp_path) == f"report: results/report.html{line}"


@pytest.mark.parametrize("arguments", [["presets"], ["stale"]])
def test_a_closed_pipe_ends_a_command_quietly(checkout: Path, arguments: list[str]) -> None:
    shutil.copytree(ROOT / "workflow" / "presets", checkout / "workflow" / "presets")
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen([*COMMAND, *arguments], env=ENVIRONMENT, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert process.communicate()[1] == b"" and process.returncode == 128 + signal.SIGPIPE


def test_ctrl_c_ends_a_command_without_a_traceback(checkout: Path) -> None:
    (checkout / "params.yaml").unlink()
    os.mkfifo(checkout / "params.yaml")
    process = subprocess.Popen(
        [*COMMAND, "stale"],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
    )
    with (checkout / "params.yaml").open("w"):  # returns when the command reads the file
        process.send_signal(signal.SIGINT)
        assert process.communicate()[1] == b"" and process.returncode == 128 + signal.SIGINT


def test_names_that_the_terminal_cannot_show_are_escaped(tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [*map(os.fsencode, COMMAND), b"transform", b"vary", b"a.png", b"--out", b"\x83\xe9.jpg"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    assert rb"\udc83\udce9.jpg" in done.stderr and done.stderr.count(b"\n") == 1
