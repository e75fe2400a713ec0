"""dvc.lock is read by a fast parser, which must return what ruamel.yaml, the parser of DVC, returns."""

from typing import Any

import pytest
from dvc.utils.serialize import dumps_yaml
from hypothesis import given
from hypothesis import strategies as st
from support.clone import ROOT

from omokage.base.errors import UserError
from omokage.config.yaml_file import parse_dvc_yaml, parse_yaml

# Texts that YAML 1.1 and 1.2, or a parser and another, may take for something else.
AMBIGUOUS = ["yes", "off", "null", "~", "1e-05", "010", "0o17", "1_000", "12:30:45", "2026-01-02", "=", "<<", ".inf"]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.sampled_from(AMBIGUOUS)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(st.dictionaries(st.text(), VALUES))
def test_what_dvc_writes_is_read_as_ruamel_reads_it(values: dict[str, Any]) -> None:
    text = dumps_yaml(values)
    expected = parse_yaml(text, "a file")
    found = parse_dvc_yaml(text, "a file")
    assert found == expected and repr(found) == repr(expected)


def test_this_lock_is_read_as_ruamel_reads_it() -> None:
    text = (ROOT / "dvc.lock").read_text(encoding="utf-8")
    assert repr(parse_dvc_yaml(text, "dvc.lock")) == repr(parse_yaml(text, "dvc.lock"))


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: [1\n", "a: b: c\n", "\x00", "a: 2026-99-99\n", "[a]: 1\n? {}\n"])
def test_an_invalid_text_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not valid YAML"):
        parse_dvc_yaml(text, "dvc.lock")
