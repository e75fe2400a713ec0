"""A thousand spoilt params.yaml: each is taken with every value in its range, or refused in one readable line."""

import re
from pathlib import Path

from conftest import ROOT
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from omokage.errors import Refused
from omokage.params import whole

# Without the comments, which take YAML as long as the rest.
LINES = re.findall(r"^\w+: .*?(?=  # )", (ROOT / "params.yaml").read_text(encoding="utf-8"), flags=re.MULTILINE)
# What people type by mistake, what other languages write, and what YAML makes of some letters.
ODD = (
    *(
        "",
        "~",
        "null",
        "yes",
        "no",
        "True",
        "1e-4",
        "1e999",
        "-1e999",
        ".nan",
        ".inf",
        "-.inf",
        "0x10",
        "0o17",
        "1_000",
    ),
    *(
        "12:30:45",
        "2020-01-01",
        "2020-99-99",
        "1,5",
        "1.5.2",
        "007",
        "-0.0",
        "9" * 5000,
        "[",
        "[" * 2000,
        "]",
        "{",
        "}",
        "[1, [2]]",
        "{a: 1}",
        "[]",
    ),
    *("&a [*a]", "*a", "<<: *a", "!!python/object/apply:os.system [id]", "!!binary aGk=", "!!set {1}", "? b", "- 1"),
    *("'", '"', "'a", "a: b", "a #b", "# b", "%x", "@x", "`x`", "|", ">", "\t1", "\ttrue", "\x00", "\x07", "\x1b[2J"),
    *(
        "\ud800",
        "\ufeff1",
        "１",
        "½",
        "\u2028",
        "x" * 5000,
        "$(id)",
        "; id",
        "../../etc/passwd",
        "/etc/passwd",
        "${lr}",
    ),
)
NUMBERS = st.one_of(st.integers(), st.floats(), st.integers(-3, 3), st.floats(-2, 2)).map(str)
VALUES = st.one_of(st.sampled_from(ODD), NUMBERS, st.text(max_size=12), st.lists(NUMBERS, max_size=3).map(str))


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A params.yaml with one to three faults."""
    lines = [f"{line}\n" for line in LINES]
    for _ in range(draw(st.integers(1, 3))):
        at, fault = draw(st.integers(0, len(LINES) - 1)), draw(st.sampled_from(FAULTS))
        fault(draw, lines, at)
    return "".join(lines).encode("utf-8", "surrogatepass")


def _value(draw: st.DrawFn, lines: list[str], at: int) -> None:
    lines[at] = f"{lines[at].partition(':')[0]}: {draw(VALUES)}\n"


def _key(draw: st.DrawFn, lines: list[str], at: int) -> None:
    lines[at] = f"{draw(VALUES)}:{lines[at].partition(':')[2]}"


def _gone(draw: st.DrawFn, lines: list[str], at: int) -> None:
    lines[at] = ""


def _twice(draw: st.DrawFn, lines: list[str], at: int) -> None:
    lines[at] *= 2


def _moved(draw: st.DrawFn, lines: list[str], at: int) -> None:
    lines[at] = draw(st.sampled_from([" ", "\t", "  - ", "? "])) + lines[at]


def _cut(draw: st.DrawFn, lines: list[str], at: int) -> None:
    lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]


def _noise(draw: st.DrawFn, lines: list[str], at: int) -> None:
    where = draw(st.integers(0, len(lines[at])))
    lines[at] = lines[at][:where] + draw(VALUES) + lines[at][where:]


FAULTS = (_value, _value, _value, _key, _gone, _twice, _moved, _cut, _noise)


@settings(
    max_examples=1000, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=spoilt())
def test_a_spoilt_file_is_taken_within_the_ranges_or_refused_in_one_line(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(text)
    try:
        taken = whole.check(whole.load(file))
    except Refused as refusal:
        event("refused")
        said = str(refusal)
        assert said.isprintable() and len(said) < 20_000, said[:500]
    else:
        event("taken")
        assert whole.check(taken.values()) == taken
