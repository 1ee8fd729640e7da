from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest

from medix_r1.schema import kinds
from medix_r1.schema.kinds import Kind

WRONG = [  # kind, value, key, code, what the text ends with
    (Kind(type="int", min=1), 16.0, "data.train_batch_size", "not-an-integer", "write 16"),
    (Kind(type="int"), "1k", "data.max_prompt_length", "not-an-integer", "write 1000"),
    (Kind(type="number"), "10m", "run.stall_limit", "not-a-number", "write 600"),
    (Kind(type="number"), "1e-6x", "optim.lr", "not-a-number", "write 1e-06"),
    (Kind(type="number"), "60%", "memory", "not-a-number", "write 0.6"),
    (Kind(type="number"), float("nan"), "lr", "not-a-number", "a number"),
    (Kind(type="bool"), "ja", "x", "not-true-or-false", "write true"),
    (Kind(type="bool"), 0, "x", "not-true-or-false", "write false"),
    (Kind(type="int"), True, "x", "not-an-integer", "a whole number"),
    (Kind(type="text"), 2.5, "run.name", "not-a-text", "'\"2.5\"'"),
    (Kind(type="list"), "a", "x", "not-a-list", "write [a]"),
    (Kind(type="map"), 3, "x", "not-a-mapping", "a mapping"),
    (Kind(type="int"), None, "x", "no-null", "give a whole number"),
    (Kind(type="int|null", min=1), 0, "x", "out-of-range", "a whole number, at least 1, or null"),
    (Kind(type="text", choices=("low", "high")), "hight", "x", "not-a-choice", "did you mean high?"),
    (Kind(type="list", entries=Kind(type="int")), [1, "b"], "x", "not-an-integer", "a whole number"),
]


@pytest.mark.parametrize(("kind", "value", "key", "code", "ends"), WRONG)
def test_a_wrong_value_is_told_with_what_to_write(kind, value, key, code, ends):
    problem = kinds.refusal(kind, value, key)

    assert (problem.key, problem.code) == (key, code)
    assert problem.text.endswith(ends)


@pytest.mark.parametrize(
    ("kind", "given", "taken"),
    [
        (Kind(type="int"), "256", 256),
        (Kind(type="int"), "2.0", "2.0"),
        (Kind(type="number"), "1e-6", 1e-6),
        (Kind(type="number"), "inf", "inf"),
        (Kind(type="bool"), "true", True),
        (Kind(type="text"), 7, "7"),
        (Kind(type="text|int"), 7, 7),
        (Kind(type="text"), "7", "7"),
        (Kind(type="any"), "7", "7"),
    ],
)
def test_a_text_of_a_number_is_converted(kind, given, taken):
    now = kinds.converted(kind, given)

    assert (type(now), now) == (type(taken), taken)


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (int | None, "int|null"),
        (Sequence[str], "list"),
        (Mapping[str, int], "map"),
        (Literal["a", "b"], "text"),
        (Annotated[float, Kind(min=0)], "number"),
        (int | list[int], "int|list"),
        (Any, "any"),
        (object, "any"),
    ],
)
def test_the_kind_of_an_annotation(annotation, kind):
    assert kinds.of_annotation(annotation) == kind


def test_bounds_choices_and_null_of_a_parameter():
    kind = kinds.of_parameter(Annotated[int, Kind(min=1)] | None, None)
    assert (kind.type, kind.min) == ("int|null", 1)
    assert kinds.of_parameter(Literal["a", "b"], ...).choices == ("a", "b")
