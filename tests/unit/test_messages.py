"""What people read when something is wrong. A better sentence changes golden/messages.yaml, and no other test."""

import re

import pytest

from medix_r1.host.yaml_text import read_yaml
from tests.support import messages


@pytest.fixture(scope="module")
def sentences():
    return messages.sentences()  # raises for an error without a code


def test_every_sentence_is_in_the_golden_file(sentences):
    golden = read_yaml(messages.GOLDEN)

    assert sentences == golden, "reworded? python -m tests.support.messages --write"


def test_a_code_is_made_of_lower_case_words(sentences):
    assert [code for code in sentences if not re.fullmatch(r"[a-z0-9]+([-_][a-z0-9]+)*", code)] == []
