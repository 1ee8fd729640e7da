import re
from collections import Counter

import pytest

from medix_r1.demo.rows import labels as label_file
from medix_r1.demo.rows.labels import ROTATION, Labels
from medix_r1.errors import DataError
from medix_r1.wording.spelling import is_gradable, normalize_answer
from tests.support.problems import coded


@pytest.fixture(scope="module")
def labels() -> Labels:
    return label_file.load()


def test_every_modality_has_train_sources_and_its_wordings(labels: Labels) -> None:
    trained = {s.modality.value for s in labels.sources if s.split == "train"}
    assert trained == set(labels.question_types["modality"].facts)
    assert len(trained) == 8


def test_heldout_sources_are_new_files_of_trained_modalities_and_facts(labels: Labels) -> None:
    train = [s for s in labels.sources if s.split == "train"]
    heldout = [s for s in labels.sources if s.split == "heldout"]
    assert len(heldout) >= 5
    assert len({s.modality for s in heldout}) >= 4
    assert not {s.sha256 for s in heldout} & {s.sha256 for s in train}
    trained_facts = {(name, fact) for s in train for name, fact in s.facts.items()}
    assert {(name, fact) for s in heldout for name, fact in s.facts.items()} <= trained_facts


def test_no_fact_is_unused(labels: Labels) -> None:
    used = {(name, fact) for s in labels.sources for name, fact in s.facts.items()}
    used |= {(ROTATION, fact) for fact in labels.rotations}
    assert used == {(name, fact) for name, kind in labels.question_types.items() for fact in kind.facts}


def test_wordings_are_gradable_and_name_one_fact_of_their_question_type(labels: Labels) -> None:
    for kind in labels.question_types.values():
        wordings = [normalize_answer(w) for fact in kind.facts.values() for w in fact]
        assert all(is_gradable(w) for w in wordings)
        assert [w for w, count in Counter(wordings).items() if count > 1] == [], kind.name


def test_every_fact_has_at_least_three_wordings_and_every_type_two_questions(labels: Labels) -> None:
    for kind in labels.question_types.values():
        assert all(len(wordings) >= 3 for wordings in kind.facts.values())
        assert len(kind.questions) >= 2


def test_hedges_are_never_right(labels: Labels) -> None:
    accepted = {normalize_answer(w) for k in labels.question_types.values() for f in k.facts.values() for w in f}
    assert not accepted & {normalize_answer(h) for h in labels.hedges}


def test_sources_are_distinct_and_checksums_complete(labels: Labels) -> None:
    assert len({s.id for s in labels.sources}) == len(labels.sources)
    assert all(re.fullmatch(r"[0-9a-f]{64}", s.sha256) for s in labels.sources)


def test_packages_are_pinned_as_in_the_requirements_file(labels: Labels, pytestconfig: pytest.Config) -> None:
    text = (pytestconfig.rootpath / "requirements" / "demo-images.txt").read_text()
    pins = dict(line.split("==") for line in text.splitlines() if line and not line.startswith("#"))
    images = {p.name: p.version for p in labels.packages.values()}
    assert images.items() <= pins.items()


def test_unknown_facts_are_listed_together() -> None:
    raw = {
        "packages": {"p": {"version": "1", "licence": "MIT", "note": ""}},
        "think": [],
        "hedges": [],
        "rotations": {},
        "question_types": {
            "modality": {"questions": ["?"], "facts": {"X_RAY": ["x-ray"]}},
            "rotation": {"questions": ["?"], "facts": {}},
        },
        "sources": [
            {
                "id": "s",
                "package": "p",
                "path": "x",
                "sha256": "0",
                "modality": "X_RAY",
                "split": "train",
                "upright": False,
                "facts": {"modality": "X_RAY", "colour": "grey", "organ": "liver"},
            }
        ],
    }
    with pytest.raises(DataError, check=coded("labels-do-not-fit", "colour", "organ")):
        label_file.parse(raw)
