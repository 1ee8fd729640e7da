import pytest

from medix_r1.evaluation.phases.grades import read_grade, read_match


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("YES", (1.0, "")),
        ("YES, both name the femur.", (1.0, "both name the femur")),
        ("**No** - the side differs", (0.0, "the side differs")),
        ("<think>hm YES</think>NO: wrong side", (0.0, "wrong side")),
        ("**Verdict:** NO\nThe side is wrong.", (0.0, "The side is wrong")),
        ('{"verdict": "NO", "reason": "wrong side"}', (0.0, "wrong side")),
        ("NOT YES", None),
        ("The answer is YES", None),
        ("", None),
    ],
)
def test_a_match_is_the_verdict_and_the_rest_its_reason(reply, read) -> None:
    assert read_match(reply) == read


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ('{"reason": "fine", "score": 5}', (1.0, "fine")),
        ('{"reason": "fine", "score": 5.0}', (1.0, "fine")),
        ('{"reason": "fine", "score": "4"}', (0.8, "fine")),
        ('{"reason": "fine", "score": "4/5"}', (0.8, "fine")),
        ('{"Reason": "fine", "Score": 4}', (0.8, "fine")),
        ('{"reason": "more", "score": 4, "also": {"score": 1}}', (0.8, "more")),
        ('```json\n{"reason": "poor", "score": 1}\n```', (0.2, "poor")),
        ('Here is my grade:\n```json\n{"reason": "poor", "score": 1}\n```\nI hope this helps.', (0.2, "poor")),
        ('Score: 1\n{"reason": "poor", "score": 1}', (0.2, "poor")),
        ('I use {braces} too. {"reason": "poor", "score": 1}', (0.2, "poor")),
        ('<thinking>{"reason": "a", "score": 5}</thinking>{"reason": "b", "score": 0}', (0.0, "b")),
        ('{"reason": "twice", "score": 1} {"reason": "twice", "score": 1}', (0.2, "twice")),
        ('Score: 3\n{"reason": "poor", "score": 1}', None),
        ('{"reason": "a", "score": 1} or {"reason": "b", "score": 2}', None),
        ('{"reason": "a", "score": 1, "score": 2}', None),
        ('{"reason": "too much", "score": 6}', None),
        ('{"reason": "too little", "score": -1}', None),
        ('{"reason": "half", "score": 2.5}', None),
        ('{"reason": "half", "score": "2.5"}', None),
        ('{"reason": "of ten", "score": "4/10"}', None),
        ('{"reason": "word", "score": "four"}', None),
        ('{"reason": "truth", "score": true}', None),
        ('{"reason": "none", "score": null}', None),
        ('{"reason": "list", "score": [4]}', None),
        ('{"reason": "cut", "score": 4', None),
        ('{"score": 4}', None),
        ('{"grade": {"reason": "deeper", "score": 4}}', None),
        ("4", None),
        ("Score: 4", None),
        ("<think>never ends", None),
        ("[" * 10_000, None),
        ('{"a":' * 10_000, None),
    ],
)
def test_a_grade_is_json_inside_the_scale(reply, read) -> None:
    assert read_grade(reply) == read
