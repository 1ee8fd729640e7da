import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.models.connection import from_json, to_json

texts = st.text(st.characters(exclude_categories=[]))  # lone surrogates too


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts, lambda inner: st.lists(inner)))
def test_what_is_written_is_what_the_standard_library_reads(value):
    assert json.loads(to_json(value)) == value
    assert from_json(to_json(value)) == value


def test_what_orjson_refuses_is_read_all_the_same():
    assert from_json(b'{"logprob": -Infinity}') == {"logprob": -math.inf}


@pytest.mark.parametrize("text", [b"", b"{", b"YES", b"\xff\xfe", b'{"a": 1} b'])
def test_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011  of either library
        from_json(text)
