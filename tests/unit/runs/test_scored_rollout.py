"""The record that verl carries: it survives the round trip, and a new field needs one line."""

import json
from dataclasses import dataclass, fields, replace

from hypothesis import given
from hypothesis import strategies as st

from medix_r1.runs.scored_rollout import ScoredRollout
from tests.support.rollouts import BLANK

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
UNIT = st.floats(0, 1)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)

ROLLOUTS = st.builds(
    ScoredRollout,
    uid=TEXT,
    row_id=TEXT,
    source=TEXT,
    question=TEXT,
    reference=TEXT,
    reply=TEXT,
    answer=st.none() | TEXT,
    modality=st.none() | TEXT,
    parts=st.dictionaries(TEXT, st.none() | UNIT, max_size=3),
    reasons=st.dictionaries(TEXT, TEXT, max_size=3),
    overall=st.none() | UNIT,
    masked=st.booleans(),
    failure=st.none() | TEXT,
    outage=st.booleans(),
    cut=st.booleans(),
    tokens=st.integers(0, 10**6),
    weights=st.dictionaries(TEXT, UNIT, max_size=3),
    gate_shut=st.booleans(),
    think=st.none() | TEXT,
    problems=TEXTS,
    split=TEXT,
    image=st.booleans(),
    choices=TEXTS,
    accepted=TEXTS,
    advantage=st.none() | NUMBER,
    filtered=st.booleans(),
    seconds=st.tuples(NUMBER, NUMBER),
    statistics=st.dictionaries(TEXT, NUMBER, max_size=3),
)

# The names in `samples/*.jsonl` when the class was written: files of old runs have them, people's scripts read them.
NAMES = [
    *("key", "uid", "row_id", "source", "question", "reference", "reply", "answer", "modality"),
    *("parts", "reasons", "overall", "masked", "failure", "outage", "cut", "tokens", "weights"),
    *("gate_shut", "think", "problems", "split", "image", "choices", "accepted", "advantage", "filtered"),
]


@given(ROLLOUTS)
def test_a_rollout_comes_back_as_it_was(rollout):
    key = "step000001-prompt000002_4_0"
    expected = replace(rollout, key=key, uid="step000001-prompt000002", tokens=9)

    assert ScoredRollout.from_verl(rollout.to_verl(), key=key, tokens=9) == expected


@given(ROLLOUTS)
def test_what_verl_carries_is_json_without_nan(rollout):
    """TransferQueue's checkpoints and verl's dumps go through JSON."""
    carried = json.loads(json.dumps(rollout.to_verl(), allow_nan=False))

    assert ScoredRollout.from_verl(carried, key="u_0_0", tokens=1) == replace(rollout, key="u_0_0", uid="u", tokens=1)


def test_verls_own_metrics_find_numbers_under_plain_names():
    rollout = replace(BLANK, parts={"llm": 1.0, "modality": None}, overall=None, masked=True)

    carried = rollout.to_verl()

    assert list(carried) == ["llm", "modality", "overall", "masked", "cut", "detail"]
    assert [carried[name] for name in ("llm", "modality", "overall", "masked", "cut")] == [1.0, None, None, 1.0, 0.0]
    assert type(carried["masked"]) is float


def test_a_signal_may_have_any_name():
    rollout = replace(BLANK, parts={"detail": 0.5, "masked": 0.25, "overall": 0.75})

    read = ScoredRollout.from_verl(rollout.to_verl(), key="u_0_0", tokens=12)

    assert read == rollout
    assert (read.value("detail"), read.value("overall")) == (0.5, 1.0)


def test_one_more_field_is_one_more_line():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Longer(ScoredRollout):
        hints: tuple[str, ...] = ("none",)

    given_to_all = {one.name: getattr(BLANK, one.name) for one in fields(BLANK)}
    longer = Longer(**given_to_all, hints=("a", "b"))

    assert Longer.from_verl(longer.to_verl(), key=BLANK.key, tokens=BLANK.tokens) == longer
    assert longer.to_line()["hints"] == ("a", "b")
    before = Longer.from_verl(
        BLANK.to_verl(), key=BLANK.key, tokens=BLANK.tokens
    )  # recorded before the field was there
    assert before.hints == ("none",)
    after = ScoredRollout.from_verl(longer.to_verl(), key=BLANK.key, tokens=BLANK.tokens)  # read by an older version
    assert after == BLANK


def test_samples_keep_their_names():
    line = BLANK.to_line()

    assert [name for name in line if name in NAMES] == NAMES
    assert {"statistics", "seconds"}.isdisjoint(line)  # of the step, not of the sample
