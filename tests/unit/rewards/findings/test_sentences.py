"""Sentences by rule, and what rules say about two findings."""

import pytest

from medix_r1.rewards.findings.clashes import clash, clash_with, is_normal, same_topic
from medix_r1.rewards.findings.sentences import sentences


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Chest. Both lungs.", ["Chest.", "Both lungs."]),
        ("A 2.5 cm nodule. No effusion.", ["A 2.5 cm nodule.", "No effusion."]),
        ("FINDINGS: Clear lungs.\nIMPRESSION:\n1. Normal chest.", ["Clear lungs.", "Normal chest."]),
        ("- left effusion\n* no fracture; heart normal", ["left effusion", "no fracture", "heart normal"]),
        (
            "Nodule of approx. 3 mm seen by Dr. Smith. Follow up!",
            ["Nodule of approx. 3 mm seen by Dr. Smith.", "Follow up!"],
        ),
        (
            "Fracture at T12. Sclerosis at L4-L5.Normal cord.",
            ["Fracture at T12.", "Sclerosis at L4-L5.", "Normal cord."],
        ),
        ("Stanford type B. No leak.", ["Stanford type B.", "No leak."]),
        ("Is there an effusion? No. Normal heart.", ["Is there an effusion?", "No.", "Normal heart."]),
        ("Effusion. effusion. EFFUSION.", ["Effusion."]),
        ("no effusion. the heart is normal.", ["no effusion.", "the heart is normal."]),
        ("Seen at 5 p.m. by the resident.", ["Seen at 5 p.m. by the resident."]),
        ("Given p.o. Normal heart.", ["Given p.o.", "Normal heart."]),
        ("Effusion.\nEffusion\n\n---\n...", ["Effusion."]),
        ("one finding without a stop", ["one finding without a stop"]),
        ("", []),
        ("... — !", []),
    ],
)
def test_sentences(text, found):
    assert list(sentences(text)) == found


@pytest.mark.parametrize(
    ("finding", "normal"),
    [
        ("No pneumothorax.", True),
        ("There is no effusion or consolidation.", True),
        ("The heart is normal in size.", True),
        ("Lungs are clear.", True),
        ("No fracture of the left tibia.", True),
        ("Abnormal heart.", False),
        ("The lungs are not clear.", False),
        ("Normal heart with large effusion.", False),
        ("No effusion, but a pneumothorax.", False),
        ("Small left effusion.", False),
        ("Chest.", False),
    ],
)
def test_what_is_normal(finding, normal):
    assert is_normal(finding) is normal


@pytest.mark.parametrize(
    ("said", "wanted", "kind"),
    [
        ("Right effusion", "Small left pleural effusion", "side"),
        ("No effusion", "Small effusion", "negation"),
        ("No left effusion", "Right effusion", None),
        ("A 28 mm nodule", "A 2.8 cm nodule", None),
        ("A 28 mm nodule", "A 5 cm nodule", "size"),
        ("A nodule", "A 5 cm nodule", None),
        ("Large effusion", "Small effusion", "size"),
        ("Trace effusion", "Small effusion", None),
        ("Mild oedema", "Severe oedema", "size"),
        ("Upper lobe nodule", "Lower lobe nodule", "size"),
        ("Effusion", "Effusion", None),
    ],
)
def test_clashes(said, wanted, kind):
    assert clash(said, wanted) == kind
    assert clash(wanted, said) == kind


def test_a_report_that_has_both_sides_clashes_with_neither():
    assert clash_with("Left effusion", ["Right effusion", "Small left effusion"]) is None
    assert clash_with("Left effusion", ["Right effusion", "Normal heart"]) == "side"
    assert clash_with("Left effusion", ["Normal heart"]) is None


def test_what_is_about_the_same_thing():
    assert same_topic("Small left effusion", "There is a pleural effusion on the right")
    assert not same_topic("Small left effusion", "Small left nodule")
    assert not same_topic("Normal.", "Normal.")
