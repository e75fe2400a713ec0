"""Settings from environment variables: numbers above 0, or a one-line refusal."""

import pytest

from omokage.base.environment import read_positive
from omokage.base.errors import UserError


def test_an_unset_variable_gives_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMOKAGE_THREADS", raising=False)
    assert read_positive("OMOKAGE_THREADS", 2) == 2


@pytest.mark.parametrize(("text", "default", "value"), [("3", 2, 3), ("0.2", 30.0, 0.2), ("4", 30.0, 4.0)])
def test_a_number_is_read_in_the_type_of_the_default(
    monkeypatch: pytest.MonkeyPatch, text: str, default: float, value: float
) -> None:
    monkeypatch.setenv("OMOKAGE_SETTING", text)
    number = read_positive("OMOKAGE_SETTING", default)
    assert (number, type(number)) == (value, type(default))


@pytest.mark.parametrize("text", ["", "abc", "0", "-1", "1.5", "inf", "nan"])
def test_anything_else_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OMOKAGE_THREADS", text)
    with pytest.raises(UserError) as error:
        read_positive("OMOKAGE_THREADS", 2)
    assert str(error.value) == f"OMOKAGE_THREADS = {text!r}: expected a whole number above 0"


@pytest.mark.parametrize("text", ["nan", "inf", "0"])
def test_no_infinite_or_undefined_interval_is_taken(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OMOKAGE_SECONDS", text)
    with pytest.raises(UserError, match="expected a number above 0"):
        read_positive("OMOKAGE_SECONDS", 30.0)
