"""The monitors: 1 is good, None means not applicable, and there is always a reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.errors import ConfigError
from medix_r1.rewards.monitors.grade import GradeMonitor
from medix_r1.rewards.monitors.hedging import HedgingMonitor
from medix_r1.rewards.monitors.laterality import LateralityMonitor
from medix_r1.rewards.monitors.length import LengthMonitor
from medix_r1.rewards.monitors.negation import NegationMonitor
from medix_r1.rewards.monitors.numeric import NumericMonitor
from medix_r1.rewards.monitors.repetition import RepetitionMonitor
from medix_r1.wording.numbers.quantities import quantities
from tests.support.problems import only
from tests.support.scaling import is_linear
from tests.unit.rewards.cases import reply, sample

MONITORS: list[Any] = [
    LengthMonitor(),
    RepetitionMonitor(),
    HedgingMonitor(),
    NumericMonitor(),
    LateralityMonitor(),
    GradeMonitor(),
    NegationMonitor(),
]


async def value_of(monitor, answer: str, reference: str) -> float | None:
    score = monitor.score(sample(reply(answer), f"<X_RAY>{reference}"))
    assert score.reason
    return score.value


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("left lung", "left lung", 1.0),
        ("x" * 80, "left lung", 1.0),
        ("x" * 160, "left lung", 0.5),
        ("x" * 800, "left lung", 0.1),
        ("x" * 160, "y" * 40, 1.0),  # a long reference allows a long answer
        ("", "left lung", 1.0),
    ],
)
async def test_length(answer, reference, value):
    assert await value_of(LengthMonitor(factor=4.0, characters=80), answer, reference) == pytest.approx(value)


async def test_length_without_an_answer_does_not_apply():
    assert (LengthMonitor().score(sample("left lung", "<X_RAY>left lung"))).value is None


async def test_repetition_is_the_share_of_distinct_phrases():
    monitor = RepetitionMonitor(words=2)

    assert (monitor.score(sample("a b c d", ""))).value == 1.0
    assert (monitor.score(sample("a b a b a b", ""))).value == pytest.approx(2 / 5)  # ab ba ab ba ab
    assert (monitor.score(sample("a b", ""))).value is None
    assert (monitor.score(sample("", ""))).value is None


async def test_repetition_sees_text_without_spaces():
    value = RepetitionMonitor().score(sample("肺炎" * 2000, "")).value
    assert value is not None
    assert value < 0.05
    assert "stands" in (RepetitionMonitor().score(sample("so it is " * 50, ""))).reason


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("pneumonia", "pneumonia", 1.0),
        ("pneumonia or effusion", "pneumonia", 0.5),
        ("either pneumonia or effusion", "pneumonia", 0.5),
        ("left and/or right", "left", 0.5),
        ("pneumonia/effusion", "pneumonia", 0.5),
        ("pneumonia; effusion; mass", "pneumonia", 1 / 3),
        ("- pneumonia\n- effusion", "pneumonia", 0.5),
        ("Cannot be determined", "pneumonia", 0.5),
        ("possibly pneumonia", "pneumonia", 0.5),
        ("left or right", "left or right", 1.0),  # the reference says so itself
        ("120/80 mmHg", "120/80 mmHg", 1.0),
        ("heart, lungs and liver", "heart, lungs, liver", 1.0),
        ("orbit", "orbit", 1.0),  # a word that starts like one
        ("the maybelline sign", "mass", 1.0),
        ("pneumonia.\n", "pneumonia", 1.0),
        ("chest, abdomen", "chest", 0.5),
        ("Chest. Abdomen.", "chest", 0.5),
        ("chest and abdomen", "chest", 0.5),
        ("the chest and the abdomen", "the chest", 0.5),
        ("chest & abdomen", "chest", 0.5),
        ("chest + abdomen", "chest", 0.5),
        ("chest | abdomen", "chest", 0.5),
        ("chest / abdomen", "chest", 0.5),
        ("(A) chest (B) abdomen", "chest", 0.5),
        ("a. chest b. abdomen", "chest", 0.5),
        ("abdomen, chest and pelvis", "chest", 1 / 3),
        ("pneumonia and rib fracture", "pneumonia", 0.5),
        ("pleural effusion, rib fracture, lung nodule, heart failure", "pleural effusion", 0.25),
        ("effusion, rib fracture, lung nodule, heart failure", "effusion", 0.25),
        ("yes, no", "yes", 0.5),
        # Details, and a yes or no with its reason, are one answer.
        ("chest, frontal view", "chest", 1.0),
        ("Pleural effusion? No.", "no", 1.0),
        ("Pleural effusion? No.", "no pleural effusion", 1.0),
        ("Cough, fever, dyspnea", "Fever, cough, dyspnea", 1.0),
        ("Fever, cough, dyspnea", "Fever, cough, dyspnea", 1.0),
        ("possibly pneumonia", "possible pneumonia", 0.5),
        ("pneumonia, right upper and lower lobe", "pneumonia", 1.0),
        ("No, the lungs are clear.", "no", 1.0),
        ("yes, no doubt", "yes", 1.0),
        ("(B) liver", "B", 1.0),
        ("heart and lungs", "heart and lungs", 1.0),
        ("lungs and heart", "heart, lungs", 1.0),
        ("5 mg / dL", "5 mg/dL", 1.0),
        ("1,000 mL", "1 L", 1.0),
    ],
)
async def test_hedging(answer, reference, value):
    assert await value_of(HedgingMonitor(), answer, reference) == pytest.approx(value)


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("28 mm", "28 mm", 1.0),
        ("2.8 cm", "28 mm", 1.0),
        ("2,8 cm", "28 mm", 1.0),
        ("28 cm", "28 mm", 0.0),
        ("28", "28 mm", 1.0),  # the question may have named the unit
        ("28 mg", "28 mm", 0.0),
        ("28x27 mm", "2.8 × 2.7 cm", 1.0),
        ("28 mm", "28 x 27 mm", 0.5),
        ("1 mm, 2 mm, 28 mm, 3 mm", "28 mm", 0.25),  # a list of guesses earns little
        ("120 / 80", "120/80 mmHg", 1.0),
        ("16 kPa over 10.67 kPa", "120/80 mmHg", 1.0),
        ("0.05 g/L", "5 mg/dL", 1.0),
        ("98.6 °F", "37 °C", 1.0),
        ("39 °C", "37 °C", 0.0),  # a hundredth of the absolute temperature would be 3 degrees
        ("50%", "50 %", 1.0),
        ("40 mg daily", "40 mg/day", 1.0),
        ("40 mg furosemide once daily", "furosemide 40 mg once daily", 1.0),
        ("500 mg two times a day", "500 mg twice daily", 1.0),
        ("600 mg TID", "600 mg three times daily", 1.0),
        ("Twelve (12)", "12", 1.0),
        ("5000 cGy (50 Gy)", "50 Gy", 1.0),
        ("250 000", "250000", 1.0),
        ("30.11.2019", "2019-11-30", 1.0),
        ("11/30/2019", "30 November 2019", 1.0),
        ("FIGO stage = II", "FIGO stage 2", 1.0),
        ("III", "CKD stage 3", 1.0),
        ("1. vision 20/200", "vision 20/200", 1.0),
        ("40 mg per day", "40 mg daily", 1.0),
        ("80 mg daily", "40 mg/day", 0.0),
        ("120/80 mm Hg", "120/80 mmHg", 1.0),
        ("80/120 mm Hg", "120/80 mmHg", 0.0),
        ("Grade II", "Grade 2", 1.0),
        ("Grade III", "Grade 2", 0.0),
        ("2.8 cm (28 mm)", "28 mm", 1.0),
        ("28 mm (2.8 cm)", "2.8 cm", 1.0),
        ("2.8 cm (29 mm)", "28 mm", 0.5),
        ("March 5, 2024", "2024-03-05", 1.0),
        ("2024/3/5", "5 March 2024", 1.0),
        ("2024-03-06", "2024-03-05", 0.0),
        ("2024-05-03", "2024-03-05", 0.0),
        ("5 µg/kg", "5 mcg/kg", 1.0),
        ("5 µg/kg", "5 mg/kg", 0.0),
        ("72 beats/minute", "72 bpm", 1.0),
        ("3 liters per minute", "3 L/min", 1.0),
        ("98.6 F", "98.6 °F", 1.0),
        ("1,500,000", "1500000", 1.0),
        ("3 T MRI", "3T", 1.0),
        ("two lesions", "2 lesions", 1.0),
        ("three", "2 lesions", 0.0),
        ("no number", "28 mm", 0.0),
        ("2 weeks", "14 days", 1.0),
        ("10^5", "10⁵", 1.0),
        ("105", "10⁵", 0.0),
        ("1,000 mL", "1 L", 1.0),
        ("28.1 mm", "28 mm", 1.0),
        ("29 mm", "28 mm", 0.0),
        ("-5", "5", 0.0),
        ("left lung", "left lung", None),
        ("L5", "T2 hyperintense", None),  # digits in names
        ("fifth rib", "5th rib", 1.0),
        ("5th rib", "fifth rib", 1.0),
        ("the fifth rib", "rib 5", 1.0),
        ("one tablet", "1 tablet", 1.0),
        ("1 tablet", "one tablet", 1.0),
        ("three quarters", "3/4", 1.0),
        ("three quarters", "75%", 1.0),
        ("one million", "1,000,000", 1.0),
        ("1 million", "1000000", 1.0),
        ("1.5 million", "1,500,000", 1.0),
        ("minus 2.5", "-2.5", 1.0),
        ("T-score of minus 2.5", "-2.5", 1.0),
        ("GCS 15/15", "GCS 15", 1.0),
        ("GCS 15", "15/15", 1.0),
        ("Apgar 8/10", "8", 1.0),
        ("q8h", "every 8 hours", 1.0),
        ("every eight hours", "q8h", 1.0),
        ("500 mg q8h", "500 mg every 8 hours", 1.0),
        ("q12h", "every 12 hours", 1.0),
        ("q 6 h", "q6h", 1.0),
        ("Ki67 index of 30 %", "30%", 1.0),
        ("Ki-67 30%", "30 %", 1.0),
        ("Ki67: 30%", "Ki-67 index 30%", 1.0),
        ("NF1", "neurofibromatosis type 1", None),
        ("neurofibromatosis 1", "NF1", None),
        ("NF-1", "NF1", None),
        ("3+4=7", "7", 1.0),
        ("Gleason 7 (3+4)", "Gleason 3+4=7", 1.0),
        ("Gleason 3+4", "Gleason 7", 1.0),
        ("12 500", "12500", 1.0),
        ("12 500", "12,500", 1.0),
        ("12 500 cells/µL", "12,500 cells/µL", 1.0),
        ("BRCA 1/2", "BRCA1/2", 1.0),
        ("BRCA1 and 2", "BRCA 1/2", 1.0),
        ("BRCA1/BRCA2", "BRCA 1/2", 1.0),
        ("half", "50%", 1.0),
        ("one half", "1/2", 1.0),
        ("a half", "0.5", 1.0),
        ("a third", "1/3", 1.0),
        ("one third", "33%", 1.0),
        ("two thirds", "2/3", 1.0),
        ("a quarter", "25 %", 1.0),
        ("twenty-five", "25", 1.0),
        ("twenty five percent", "25%", 1.0),
        ("one hundred", "100", 1.0),
        ("two hundred and fifty", "250", 1.0),
        ("twice daily", "2 times a day", None),
        ("BID", "2x/day", None),
        ("three", "3", 1.0),
        ("Three lesions", "3 lesions", 1.0),
        ("thirteen", "13", 1.0),
        ("zero", "0", 1.0),
        ("twenty-first", "21st", 1.0),
        ("second", "2nd", 1.0),
        ("second metacarpal", "2nd metacarpal", 1.0),
        ("grade two", "grade 2", 1.0),
        ("type one diabetes", "type 1 diabetes", 1.0),
        ("SARS-CoV-2", "COVID-19", None),
        ("HbA1c 7%", "7 %", 1.0),
        ("HbA1c of 7.0 %", "7%", 1.0),
        ("B12 deficiency", "vitamin B12 deficiency", None),
        ("IL-6", "interleukin 6", 1.0),
        ("interleukin-6", "IL-6", None),
        ("factor 8", "factor VIII", 1.0),
        ("factor eight", "factor VIII", 1.0),
        ("HPV 16", "HPV16", None),
        ("CA 19-9", "CA19-9", None),
        ("CA-125", "CA 125", 1.0),
        ("CD 20", "CD20", None),
        ("p53", "p 53", 1.0),
        ("2D echo", "two-dimensional echocardiography", 1.0),
        ("3D CT", "3-D CT", 1.0),
        ("T1", "T1-weighted", None),
        ("0.5", ".5", 1.0),
        ("½", "0.5", 1.0),
        ("1/2", "0.5", 1.0),
        ("1½", "1.5", 1.0),
        ("5 to 10", "5-10", 1.0),
        ("5–10 mm", "5 to 10 mm", 1.0),
        ("5 mg", "5mg", 1.0),
        ("5.0 mg", "5 mg", 1.0),
        ("0.005 g", "5 mg", 1.0),
        ("1 L", "1000 mL", 1.0),
        ("100.4 F", "38 °C", 1.0),
        ("98.6°F", "37°C", 1.0),
        ("1:1000", "1 in 1000", 1.0),
        ("1 in 1000", "1/1000", 1.0),
        ("2 x 3 cm", "20 x 30 mm", 1.0),
        ("2 cm by 3 cm", "2 x 3 cm", 1.0),
        ("-2.5 SD", "minus 2.5 SD", 1.0),
        (">5 mm", "more than 5 mm", 1.0),
        ("4-year-old", "4 years old", 1.0),
        ("four-year-old", "4-year-old", 1.0),
        ("a 4 y/o", "4 years", 1.0),
        ("24 hours", "1 day", 1.0),
        ("7 days", "one week", 1.0),
        ("12 months", "1 year", 1.0),
        ("six months", "6 mo", 1.0),
        ("10^6", "1,000,000", 1.0),
        ("10^3", "1000", 1.0),
        ("1e6", "1000000", 1.0),
        ("2.5e3", "2500", 1.0),
        ("XII", "12", 1.0),
        ("cranial nerve seven", "CN VII", 1.0),
        ("seventh cranial nerve", "CN VII", 1.0),
        ("CN 7", "seventh cranial nerve", 1.0),
        ("12th thoracic vertebra", "T12", None),
        ("first rib", "1st rib", 1.0),
        ("C-section x2", "two C-sections", 1.0),
        ("6th rib", "5th rib", 0),
        ("fourth rib", "fifth rib", 0),
        ("two tablets", "one tablet", 0),
        ("two million", "1,000,000", 0),
        ("2.5", "-2.5", 0),
        ("GCS 14/15", "GCS 15", 0.5),
        ("q6h", "q8h", 0),
        ("3+3=6", "3+4=7", 1 / 3),
        ("30", "13", 0),
        ("thirty", "thirteen", 0),
        ("one quarter", "3/4", 0.5),
        ("15/30", "15", 0.5),
    ],
)
async def test_numeric(answer, reference, value):
    assert await value_of(NumericMonitor(tolerance=0.01), answer, reference) == (
        None if value is None else pytest.approx(value)
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5-10 mm", ["5 mm", "10 mm"]),
        ("a 28-mm nodule at L4-5, T2", ["28 mm"]),
        ("1,234,567.5 ug", ["1234567.5 mcg"]),
        ("-3 HU", ["-3"]),
        ("2 in the left, 45 M", ["2", "45"]),
        ("10 cmH2O, 5 cm³", ["10 cmh2o", "5 cm3"]),
        ("1**9**9 mm**99", ["1", "9", "9 mm", "99"]),  # nothing of this is evaluated
    ],
)
def test_quantities(text, found):
    assert [quantity.text for quantity in quantities(text)] == found


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("Grade II", "Grade III", 0.0),
        ("Grade II", "grade 2", 1.0),
        ("Outerbridge grade (II)", "Outerbridge II", 1.0),
        ("grade 2 or 3", "grade 3", 1.0),
        ("BI-RADS 2", "BI-RADS category 4", 0.0),
        ("Hepatitis A", "hepatitis B", 0.0),
        ("T1-weighted", "T2-weighted", 0.0),
        ("L4/5", "L4-L5", 1.0),
        ("L3", "L4-L5", 0.0),
        ("T1N0M0", "T2N1M0", 0.0),
        ("pT2N1M0", "T2 N1", 1.0),
        ("right lower lobe", "right upper lobe", 0.0),
        ("superior pole", "upper pole", 1.0),
        ("α-thalassemia", "beta thalassemia", 0.0),
        ("alpha-thalassemia", "α-thalassemia", 1.0),
        ("mild stenosis", "severe stenosis", 0.0),
        ("mild to moderate stenosis", "moderate stenosis", 1.0),
        ("hypointense", "hyperintense", 0.0),
        ("upper lobe, not the lower lobe", "upper lobe", 1.0),
        ("benign", "not malignant", None),
        ("pneumonia", "grade 2 pneumonia", None),  # an omission
        ("5 mm", "8 mm", None),  # numbers are numeric's
        ("", "grade 2", None),
    ],
)
async def test_grade(answer, reference, value):
    assert await value_of(GradeMonitor(), answer, reference) == value


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("left lung", "the left lung", 1.0),
        ("OD", "right eye", 1.0),
        ("OD", "OS", 0.0),
        ("OU", "both eyes", 1.0),
        ("external os", "left ovary", None),
        ("right upper lobe, not the left one", "right upper lobe", 1.0),
        ("right lung", "left lung", 0.0),
        ("left and right", "left lung", 0.0),
        ("bilateral", "both lungs", 1.0),
        ("left and right", "bilateral", 1.0),
        ("the lung", "left lung", None),
        ("left lung", "lung", None),
        ("bright cleft", "left lung", None),
        ("left-sided", "Left", 1.0),
        ("patient's left, i.e. image right", "left", 1.0),
        ("left lung (on the right of the image)", "left lung", 1.0),
        ("right side of the screen (patient's left)", "left", 1.0),
        ("patient's right (image left)", "left", 0.0),
        ("image left", "left side of the image", 1.0),
    ],
)
async def test_laterality(answer, reference, value):
    assert await value_of(LateralityMonitor(), answer, reference) == value


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("effusion", "no effusion", 0.0),
        ("no effusion", "effusion", 0.0),
        ("Non-contrast CT", "CT without contrast", 1.0),
        ("CT w/o contrast", "non-contrast CT", 1.0),
        ("CT with contrast", "non-contrast CT", 0.0),
        ("Undisplaced fracture", "Non-displaced fracture", 1.0),
        ("effusion: absent", "no effusion", 1.0),
        ("effusion: absent", "effusion", 0.0),
        ("Benign: no", "Benign", 0.0),
        ("No more than 5 mm", "At most 5 mm", None),
        ("Deep vein thrombosis and Baker cyst are absent", "No deep vein thrombosis nor Baker cyst", 1.0),
        ("No T-wave inversion or ST elevation", "No evidence of ST elevation or T-wave inversion", 1.0),
        ("there is no evidence of pleural effusion", "no effusion", 1.0),
        ("effusion is absent", "no effusion", 1.0),
        ("effusion not seen", "pleural effusion", 0.0),
        ("free of effusion", "without effusion", 1.0),
        ("no pneumothorax, but effusion", "effusion", None),  # nothing about what both name is denied
        ("no pneumothorax; effusion", "no effusion", 0.0),
        ("negative for fracture", "fracture", 0.0),
        ("fracture ruled out", "no fracture", 1.0),
        ("Yes, it is", "no", 0.0),
        ("No.", "no", 1.0),
        ("effusion", "effusion", None),
        ("mass", "no effusion", None),
        ("lack of vitamin C", "Vitamin C deficiency", None),
        ("Vitamin C deficiency", "No vitamin C: scurvy", None),
        ("iron deficiency anemia", "low iron anemia", None),
        ("no vitamin C deficiency", "Vitamin C deficiency", 0.0),
    ],
)
async def test_negation(answer, reference, value):
    assert await value_of(NegationMonitor(), answer, reference) == value


WORDS = st.sampled_from(
    [
        "no",
        "left",
        "right",
        "28",
        "mm",
        "2.8",
        "cm",
        "or",
        "effusion",
        "/",
        "x",
        "\n",
        ";",
        "%",
        "^",
        "-",
        ",",
        "½",
        "absent",
    ]
)


@given(
    answer=st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=12).map(" ".join)),
    reference=st.one_of(st.text(max_size=20), st.lists(WORDS, max_size=6).map(" ".join)),
)
async def test_every_monitor_says_something_in_0_to_1(answer, reference):
    for monitor in MONITORS:
        score = monitor.score(sample(reply(answer), f"<X_RAY>{reference}"))
        assert score.value is None or 0.0 <= score.value <= 1.0
        assert score.reason


@given(text=st.lists(WORDS, min_size=1, max_size=8).map(" ".join))
async def test_every_monitor_is_content_with_the_reference_itself(text):
    for monitor in MONITORS[2:]:
        assert await value_of(monitor, text, text) in (None, 1.0)


@pytest.mark.parametrize("unit", ["1 ", "28x", "no ", "½", "a/", "1,000,", "and ", ", ", " / ", "(a) "])
async def test_hostile_text_takes_time_in_proportion_to_its_length(unit):
    cases = {
        size: sample(reply(unit * (size // len(unit))), "<X_RAY>28 mm, no left effusion") for size in (3000, 12000)
    }

    assert is_linear(lambda size: [monitor.score(cases[size]) for monitor in MONITORS], 3000)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: LengthMonitor(factor=0), "length"),
        (lambda: LengthMonitor(characters=0), "length"),
        (lambda: RepetitionMonitor(words=0), "repetition.words"),
        (lambda: NumericMonitor(tolerance=1.0), "numeric.tolerance"),
        (lambda: NegationMonitor(scope=0), "negation.scope"),
    ],
)
def test_settings_that_make_no_sense(make, key):
    with pytest.raises(ConfigError, check=only((f"reward.signals.{key}", "out-of-range"))):
        make()
