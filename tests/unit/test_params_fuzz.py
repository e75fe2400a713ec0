"""A thousand corrupted params.yaml: each is accepted with every value in its range, or refused in one readable line."""

import math
import operator
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clone import ROOT

from omokage.base.errors import UserError
from omokage.config.params_file import check_params, render_value
from omokage.config.yaml_file import load_yaml

# One parameter a line, without the comments, on which the YAML parser spends half of its time.
LINES = [f"{key}: {render_value(value)}" for key, value in load_yaml(ROOT / "params.yaml").items()]
# Typing errors, notation of other languages, and characters with a meaning in YAML.
# fmt: off
ODD_VALUES = (
    "", "~", "null", "yes", "no", "True", "1e-4", "1e999", "-1e999", ".nan", ".inf", "-.inf", "0x10", "0o17", "1_000",
    "12:30:45", "2020-01-01", "2020-99-99", "1,5", "1.5.2", "007", "-0.0", "9" * 5000,
    "[", "[" * 2000, "]", "{", "}", "[1, [2]]", "{a: 1}", "[]",
    "&a [*a]", "*a", "<<: *a", "!!python/object/apply:os.system [id]", "!!binary aGk=", "!!set {1}", "? b", "- 1",
    "'", '"', "'a", "a: b", "a #b", "# b", "%x", "@x", "`x`", "|", ">", "\t1", "\ttrue", "\x00", "\x07", "\x1b[2J",
    "\ud800", "\ufeff1", "１", "½", "\u2028", "x" * 5000, "$(id)", "; id", "../../etc/passwd", "/etc/passwd", "${lr}",
)
# fmt: on
NUMBERS = st.one_of(st.integers(), st.floats(), st.integers(-3, 3), st.floats(-2, 2)).map(str)
VALUES = st.one_of(st.sampled_from(ODD_VALUES), NUMBERS, st.text(max_size=12), st.lists(NUMBERS, max_size=3).map(str))


@st.composite
def corrupted_files(draw: st.DrawFn) -> bytes:
    """Generate a params.yaml with one to three faults."""
    lines = [f"{line}\n" for line in LINES]
    for _ in range(draw(st.integers(1, 3))):
        number, fault = draw(st.integers(0, len(LINES) - 1)), draw(st.sampled_from(FAULTS))
        fault(draw, lines, number)
    return "".join(lines).encode("utf-8", "surrogatepass")


def replace_value(draw: st.DrawFn, lines: list[str], number: int) -> None:
    lines[number] = f"{lines[number].partition(':')[0]}: {draw(VALUES)}\n"


def replace_digits(draw: st.DrawFn, lines: list[str], number: int) -> None:
    lines[number] = re.sub(r"\d", lambda _: str(draw(st.integers(0, 9))), lines[number])


def replace_key(draw: st.DrawFn, lines: list[str], number: int) -> None:
    lines[number] = f"{draw(VALUES)}:{lines[number].partition(':')[2]}"


def remove_line(draw: st.DrawFn, lines: list[str], number: int) -> None:
    lines[number] = ""


def repeat_line(draw: st.DrawFn, lines: list[str], number: int) -> None:
    lines[number] *= 2


def indent_line(draw: st.DrawFn, lines: list[str], number: int) -> None:
    lines[number] = draw(st.sampled_from([" ", "\t", "  - ", "? "])) + lines[number]


def truncate_line(draw: st.DrawFn, lines: list[str], number: int) -> None:
    lines[number] = lines[number][: draw(st.integers(0, len(lines[number])))]


def insert_text(draw: st.DrawFn, lines: list[str], number: int) -> None:
    position = draw(st.integers(0, len(lines[number])))
    lines[number] = lines[number][:position] + draw(VALUES) + lines[number][position:]


# The more often a fault is listed, the more often it is drawn.
FAULTS = (
    *(replace_value, replace_value, replace_value, replace_digits, replace_digits, replace_digits),
    *(replace_key, remove_line, repeat_line, indent_line, truncate_line, insert_text),
)


# The ranges that the reference of parameters promises, in sections such as
# ### lr ... - **Type and range:** number, > 0, ≤ 1
RANGES = {
    section[1]: re.findall(r"([<>≤≥]) (\S+?)(?:,|$)", section[2])
    for section in re.finditer(
        r"^### (\w+)\n\n.*\n- \*\*Type and range:\*\* ((?:integer|number).*)$",
        (ROOT / "docs/reference/parameters.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
}
COMPARISONS = {"<": operator.lt, ">": operator.gt, "≤": operator.le, "≥": operator.ge}


def find_numbers_out_of_range(values: Mapping[str, Any]) -> list[str]:
    """Return the parameters that are no finite number, or outside the range that the reference promises."""
    return [
        key
        for key, limits in RANGES.items()
        if not math.isfinite(values[key])
        or not all(COMPARISONS[sign](values[key], float(limit)) for sign, limit in limits)
    ]


@pytest.mark.long
def test_a_corrupted_file_is_accepted_within_the_ranges_or_refused_in_one_line(tmp_path: Path) -> None:
    file, outcomes = tmp_path / "params.yaml", Counter[str]()

    @settings(max_examples=1000, derandomize=True)
    @given(text=corrupted_files())
    def check_file(text: bytes) -> None:
        file.write_bytes(text)
        try:
            values = check_params(load_yaml(file)).values()
        except UserError as error:
            outcomes["refused"] += 1
            message = str(error)
            assert message.isprintable() and len(message) < 20_000, message[:500]
        else:
            outcomes["accepted"] += 1
            assert find_numbers_out_of_range(values) == []

    check_file()
    assert len(RANGES) > 40
    assert min(outcomes["accepted"], outcomes["refused"]) > 50, outcomes
