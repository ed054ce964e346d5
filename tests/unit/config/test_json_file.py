from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.config import ConfigError, Problem
from shared.config.errors import json_path
from shared.config.json_file import parse_json

DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_a_document_round_trips(document: Any) -> None:
    assert parse_json(json.dumps(document).encode(), "f") == document


@given(st.binary() | st.text(alphabet='{}[]",:0123456789eE+-.NaInfity tru\\u').map(str.encode))
@example(b"[" * 5000)
@example(b"9" * 5000)
@example(b'"\\ud800"')
def test_anything_else_is_refused_in_words(content: bytes) -> None:
    for problem in _problems(content):
        assert str(problem).startswith("f: ")


def _problems(content: bytes) -> tuple[Problem, ...]:
    try:
        parse_json(content, "f")
    except ConfigError as error:
        return error.problems
    return ()


def test_all_duplicates_are_told() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_json(b'{"a": 1, "a": 2, "b": [{"c": 1, "c": 1, "c": 1}]}', "f")
    assert [problem.json_path for problem in caught.value.problems] == ["$.a", "$.b[0].c"]


@pytest.mark.parametrize(
    ("loc", "text"),
    [
        ((), "$"),
        (("axes", 0, "home"), "$.axes[0].home"),
        (("a b", "c"), '$["a b"].c'),
        (('q"\n',), '$["q\\"\\n"]'),
    ],
)
def test_json_path(loc: tuple[str | int, ...], text: str) -> None:
    assert json_path(loc) == text
