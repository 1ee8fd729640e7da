"""Rows in the real schema of every task (column names and types as on the hub), with made-up values.

`write_hub_copies` lays them out as the data sets' own files, the way `data_dir` wants them.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

MMLU = (
    "clinical_knowledge",
    "college_biology",
    "college_medicine",
    "medical_genetics",
    "professional_medicine",
    "anatomy",
)
MMMU = (
    "Basic_Medical_Science",
    "Clinical_Medicine",
    "Diagnostics_and_Laboratory_Medicine",
    "Pharmacy",
    "Public_Health",
)
HOST = "https://physionet.org"


def png(colour: tuple[int, ...], mode: str = "RGB", kind: str = "PNG") -> bytes:
    """A small picture of one colour."""
    buffer = io.BytesIO()
    Image.new(mode, (32, 32), colour if len(colour) > 1 else colour[0]).save(buffer, format=kind)
    return buffer.getvalue()


def picture(*colour: int, **how: str) -> dict[str, Any]:
    """An image column's value as parquet holds it."""
    return {"bytes": png(colour, **how), "path": None}


def mmlu(subject: str) -> list[dict[str, Any]]:
    choices = ["the ulna", "the radius", "the femur", "the tibia"]
    return [
        {"question": f"{subject}: which bone is longest?", "subject": subject, "choices": choices, "answer": 2},
        {"question": f"{subject}: which bone turns?", "subject": subject, "choices": choices, "answer": 1},
    ]


MEDMCQA = [
    {
        "id": "a1",
        "question": "Which vitamin prevents scurvy?",
        "opa": "A",
        "opb": "B12",
        "opc": "C",
        "opd": "D",
        "cop": 2,
        "choice_type": "single",
        "exp": None,
        "subject_name": "Biochemistry",
        "topic_name": None,
    }
]
MEDQA = [
    {
        "id": "test-00000",
        "sent1": "A man of 60 has crushing chest pain. First test?",
        "sent2": "",
        "ending0": "ECG",
        "ending1": "Chest CT",
        "ending2": "Spirometry",
        "ending3": "Endoscopy",
        "label": 0,
    }
]
USMLE = [
    {
        "question": "Which organism?",
        "options": {"A": "A. fumigatus", "B": "E. coli", "C": "S. aureus", "D": "C. albicans", "E": "H. pylori"},
        "answer": "S. aureus",
        "answer_idx": "C",
    },
    {
        "question": "Which drug?",
        "options": {"A": "aspirin", "B": "heparin", "C": "warfarin", "D": "alteplase", "E": None},
        "answer": "B",
        "answer_idx": "B",
    },
]
PUBMEDQA = [
    {
        "QUESTION": "Does exercise lower blood pressure?",
        "CONTEXTS": ["Background: pressure was studied.", "Results: it fell by 5 mmHg."],
        "LABELS": ["BACKGROUND", "RESULTS"],
        "LONG_ANSWER": "Exercise lowered it.",
        "final_decision": "yes",
    },
    {
        "QUESTION": "Is the drug better?",
        "CONTEXTS": ["One context."],
        "LABELS": ["RESULTS"],
        "LONG_ANSWER": "Unclear.",
        "final_decision": "maybe",
    },
]
MIMIC = [
    {
        "image": f"{HOST}/files/mimic-cxr-jpg/2.1.0/files/p10/p1/s1/x.jpg",
        "report": "Findings: lungs are clear. Heart size normal.",
        "summary": "No acute disease.",
    }
]
SLAKE = [
    {
        "img_id": 1,
        "img_name": "xmlab1/source.jpg",
        "question": "What modality is used?",
        "answer": "MRI",
        "q_lang": "en",
        "location": "Abdomen",
        "modality": "MRI",
        "answer_type": "OPEN",
        "base_type": "vqa",
        "content_type": "Modality",
        "triple": ["vhead", "_", "_"],
        "qid": 11934,
    },
    {
        "img_id": 1,
        "img_name": "xmlab1/source.jpg",
        "question": "这张图片是什么模态?",
        "answer": "MRI",
        "q_lang": "zh",
        "location": "Abdomen",
        "modality": "MRI",
        "answer_type": "OPEN",
        "base_type": "vqa",
        "content_type": "Modality",
        "triple": ["vhead", "_", "_"],
        "qid": 11935,
    },
    {
        "img_id": 1,
        "img_name": "xmlab1/source.jpg",
        "question": "Is the liver visible?",
        "answer": "Yes",
        "q_lang": "en",
        "location": "Abdomen",
        "modality": "MRI",
        "answer_type": "CLOSED",
        "base_type": "vqa",
        "content_type": "Organ",
        "triple": ["vhead", "_", "_"],
        "qid": 11936,
    },
]
VQA = [
    {"image": picture(200, 0, 0), "question": "Is there a fracture?", "answer": "no"},
    {"image": picture(0, 200, 0, 120, mode="RGBA"), "question": "Which side is it on?", "answer": "left lung"},
    {"image": picture(200, 0, 0), "question": "Is the heart large?", "answer": "yes"},
]
PATH_VQA = [
    {"image": picture(90, kind="TIFF", mode="L"), "question": "What is shown?", "answer": "squamous epithelium"}
]
PMC_VQA = [
    {
        "image": picture(0, 0, 200),
        "question": "What does the arrow show?",
        "choices": ["A: Tumor", "B: Cyst", "C: Vessel", "D: Nerve"],
        "answer": "B",
    },
    {
        "image": picture(0, 0, 210),
        "question": "What is labelled?",
        "choices": ["Bone", "Muscle", "Fat", "Air"],
        "answer": "Muscle",
    },
]
PMC_VQA_HARD = [{"image": picture(0, 9, 200), "question": "What does the arrow show?", "answer": "a cyst"}]


def mmmu(subject: str) -> list[dict[str, Any]]:
    empty = {f"image_{n}": None for n in range(1, 8)}
    common = {"explanation": "", "topic_difficulty": "Easy", "subfield": subject, "img_type": "['Pathological Images']"}
    return [
        {
            "id": f"validation_{subject}_1",
            "question": f"{subject}: compare <image 1> with <image 2>. Which is abnormal?",
            "options": "['The first', \"The second's border\"]",
            **empty,
            "image_1": picture(10, 10, 10),
            "image_2": picture(20, 20, 20),
            "answer": "B",
            "question_type": "multiple-choice",
            **common,
        },
        {
            "id": f"validation_{subject}_2",
            "question": f"{subject}: which picture is it?",
            "options": "['<image 1>', '<image 2>']",
            **empty,
            "image_1": picture(30, 10, 10),
            "image_2": picture(40, 20, 20),
            "answer": "A",
            "question_type": "multiple-choice",
            **common,
        },
        {
            "id": f"validation_{subject}_3",
            "question": f"{subject}: how many in <image 1>?",
            "options": "[]",
            **empty,
            "image_1": picture(50, 10, 10),
            "answer": "7",
            "question_type": "open",
            **common,
        },
    ]


_TEN = dict(zip("ABCDEFGHIJ", ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j"), strict=True))
MEDXPERT_TEXT = [
    {
        "id": "Text-1",
        "question": "A woman of 30 faints. Which drug? Answer Choices: (A) a (B) b (C) c",
        "options": _TEN,
        "label": "J",
        "medical_task": "Treatment",
        "body_system": "Cardiovascular",
        "question_type": "Reasoning",
    }
]
MEDXPERT_MM = [
    {
        "id": "MM-1",
        "question": "Which nerve? Answer Choices: (A) a (B) b",
        "options": {letter: _TEN[letter] for letter in "ABCDE"},
        "label": "B",
        "images": ["MM-1-a.jpeg", "MM-1-b.jpeg"],
        "medical_task": "Diagnosis",
        "body_system": "Nervous",
        "question_type": "Understanding",
    }
]
OMNIMED = {
    "Chest CT Scan": [
        {
            "dataset": "Chest CT Scan",
            "question_id": "chest_0001",
            "question_type": "Modality Recognition",
            "question": "What imaging technique is this?",
            "gt_answer": "CT",
            "image_path": "Images/Chest CT Scan/test/1.png",
            "option_A": "PET",
            "option_B": "CT",
            "option_C": "Mammogram",
            "option_D": "Fluoroscopy",
            "modality": "CT(Computed Tomography)",
        }
    ],
    "ACRIMA": [
        {
            "dataset": "ACRIMA",
            "question_id": "acrima_0001",
            "question_type": "Disease Diagnosis",
            "question": "Is there glaucoma?",
            "gt_answer": "Yes",
            "image_path": "Images/ACRIMA/Im1.png",
            "option_A": "No",
            "option_B": "Yes",
            "modality_type": "Fundus Photography",
        }
    ],
}
MEDFRAME = [
    {
        "question_id": "q1",
        "question": "How does the lesion change from the first image to the second?",
        "options": ["It grows.", "It shrinks.", "It moves.", "It vanishes."],
        "correct_answer": "B",
        "reasoning_chain": "It is smaller.",
        "image_1": picture(7, 0, 0),
        "image_2": picture(8, 0, 0),
        "image_3": None,
        "image_4": None,
        "image_5": None,
        "image_url": ["https://example.org/1"],
        "modality": "MRI",
        "system": "Nervous",
        "organ": "brain",
        "keyword": "glioma",
        "video_id": "v1",
    }
]
MEDBULLETS_4 = [
    {
        "question": "A boy of 5 has a barking cough. Next step?",
        "options": {"A": "Epinephrine", "B": "Dexamethasone", "C": "Intubation", "D": "Observation"},
        "answer": "Dexamethasone",
        "answer_idx": "B",
    }
]
MEDBULLETS_5 = [
    {
        "link": "https://example.org/1",
        "question": "A boy of 5 has a barking cough. Next step?",
        "opa": "Epinephrine",
        "opb": "Dexamethasone",
        "opc": "Intubation",
        "opd": "Observation",
        "ope": "Penicillin",
        "answer_idx": "B",
        "answer": "Dexamethasone",
        "explanation": "It is croup.",
    }
]
SUPERGPQA = [
    {
        "uuid": f"u{number}",
        "question": "Which vitamin is fat-soluble?",
        "options": ["C", "B", "A"],
        "answer": "A",
        "answer_letter": "C",
        "discipline": discipline,
        "field": "Clinical Medicine",
        "subfield": "Nutrition",
        "difficulty": "easy",
        "is_calculation": False,
    }
    for number, discipline in enumerate(("Medicine", "Law"))
]
HEALTHBENCH: list[dict[str, Any]] = [
    {
        "example_tags": ["theme:context_seeking", "physician_agreed_category:enough-context"],
        "ideal_completions_data": None,
        "prompt": [
            {"role": "user", "content": "I took too many pills."},
            {"role": "assistant", "content": "Which ones, and how many?"},
            {"role": "user", "content": "Ten paracetamol.\nWhat now?"},
        ],
        "prompt_id": "p1",
        "rubrics": [
            {"criterion": "Sends the user to emergency care", "points": 8, "tags": ["axis:accuracy"]},
            {"criterion": "Asks for the time", "points": 2, "tags": ["axis:context_awareness"]},
            {"criterion": "Says to wait and see", "points": -9, "tags": ["axis:accuracy"]},
        ],
        "canary": "healthbench:0000",
    },
    {
        "example_tags": ["theme:hedging"],
        "ideal_completions_data": {"ideal_completion": "x", "ideal_completions_group": "Group 1"},
        "prompt": [{"role": "user", "content": "Is rest enough for a cold?"}],
        "prompt_id": "p2",
        "rubrics": [{"criterion": "Says that it mostly is", "points": 5, "tags": ["axis:accuracy"]}],
        "canary": "healthbench:0000",
    },
]
_PRO = {f"image_{n}": None for n in range(1, 8)}
MMMU_PRO = [
    {
        "id": f"test_{subject}_1",
        "question": "Which cell is in <image 1>?",
        "options": "['B cell', 'T cell', 'mast cell']",
        "explanation": "?",
        **_PRO,
        "image_1": picture(60, 1, 1),
        "img_type": "['Pathological Images']",
        "answer": "C",
        "topic_difficulty": "Medium",
        "subject": subject,
    }
    for subject in ("Pharmacy", "Accounting")
]
MMMU_PRO_VISION = [
    {
        "id": "test_Pharmacy_1",
        "image": picture(61, 1, 1),
        "options": "['B cell', 'T cell', 'mast cell']",
        "answer": "C",
        "subject": "Pharmacy",
    }
]
PREFERENCE = [
    {
        "question_id": "q1",
        "image": picture(70, 1, 1),
        "question": "What is seen?",
        "answer1_text": "An effusion.",
        "answer2_text": "Nothing at all.",
        "modality_type": "chest",
        "human_answer": dict.fromkeys(
            ("accuracy", "relevance", "comprehensiveness", "creativity", "responsiveness", "overall"), "A"
        ),
    }
]
REPORTS: list[dict[str, Any]] = [
    {"image": ["1.png", "2.png"], "findings": "The lungs are clear.", "impression": "No acute disease."},
    {"image": ["1.png"], "findings": " ", "impression": ""},
    {"image": ["2.png"], "findings": "", "impression": "Effusion."},
]
MEDPIX = [
    {"question": "Diagnosis?", "answer": "meningioma", "images": ["case1_a.png", "case1_b.png"], "modality": "MRI"}
]


def write_hub_copies(root: Path) -> Path:
    """Write every data set's files under a folder, as a clone of the hub would hold them; returns the folder."""
    for subject in MMLU:
        _parquet(root / "hails/mmlu_no_train" / subject / "test" / "0000.parquet", mmlu(subject))
    _parquet(root / "openlifescienceai/medmcqa/data/validation-00000-of-00001.parquet", MEDMCQA)
    _json(root / "GBaker/MedQA-USMLE-4-options-hf/test.json", MEDQA, lines=True)
    _parquet(root / "HuggingSara/usmle_self_assessment/data/train-00000-of-00001.parquet", USMLE)
    sets = root / "sahalshajim/medix-eval-sets"
    configs: dict[str, list[dict[str, Any]]] = {
        "pubmedqa": PUBMEDQA,
        "mimic_cxr": MIMIC,
        "pmc_vqa": PMC_VQA,
        "pmc_vqa_hard": PMC_VQA_HARD,
    }
    for config, rows in configs.items():
        _parquet(sets / config / "test-00000-of-00001.parquet", rows)
    _json(root / "BoKelvin/SLAKE/test.json", SLAKE, lines=False)
    with zipfile.ZipFile(root / "BoKelvin/SLAKE/imgs.zip", "w") as archive:
        archive.writestr("imgs/xmlab1/source.jpg", png((1, 2, 3), kind="JPEG"))
    _parquet(root / "flaviagiammarino/vqa-rad/data/test-00000-of-00001.parquet", VQA)
    _parquet(root / "flaviagiammarino/path-vqa/data/test-00000-of-00002.parquet", PATH_VQA)
    second = [{**PATH_VQA[0], "question": "Is it malignant?", "answer": "no"}]
    _parquet(root / "flaviagiammarino/path-vqa/data/test-00001-of-00002.parquet", second)
    for subject in MMMU:
        _parquet(root / "MMMU/MMMU" / subject / "validation-00000-of-00001.parquet", mmmu(subject))
        hidden = [{**row, "id": row["id"].replace("validation", "test"), "answer": "?"} for row in mmmu(subject)]
        _parquet(root / "MMMU/MMMU" / subject / "test-00000-of-00001.parquet", hidden)
    _write_further(root)
    return root


def mmmu_answers() -> dict[str, Any]:
    """The answers to MMMU's test rows, as MMMU keeps those of its validation rows."""
    rows = [row for subject in MMMU for row in mmmu(subject)]
    return {row["id"].replace("validation", "test"): {"ground_truth": row["answer"]} for row in rows}


def _write_further(root: Path) -> None:
    """The data sets beyond the 17 tasks'."""
    _json(root / "TsinghuaC3I/MedXpertQA/Text/test.jsonl", MEDXPERT_TEXT, lines=True)
    _json(root / "TsinghuaC3I/MedXpertQA/MM/test.jsonl", MEDXPERT_MM, lines=True)
    with zipfile.ZipFile(root / "TsinghuaC3I/MedXpertQA/images.zip", "w") as archive:
        for number, name in enumerate(MEDXPERT_MM[0]["images"]):
            archive.writestr(f"images/{name}", png((number, 2, 3), kind="JPEG"))
    omni = root / "foreverbeliever/OmniMedVQA/OmniMedVQA"
    for name, rows in OMNIMED.items():
        _json(omni / "QA_information/Open-access" / f"{name}.json", rows, lines=False)
        (omni / rows[0]["image_path"]).parent.mkdir(parents=True)
        (omni / rows[0]["image_path"]).write_bytes(png((3, 3, len(name))))
    _parquet(root / "SuhaoYu1020/MedFrameQA/data/test-00000-of-00001.parquet", MEDFRAME)
    _parquet(root / "tuenguyen/Medical-Eval-MedBullets_op4/data/train-00000-of-00001.parquet", MEDBULLETS_4)
    _parquet(root / "LangAGI-Lab/medbullets_op5/data/test-00000-of-00001.parquet", MEDBULLETS_5)
    _json(root / "m-a-p/SuperGPQA/SuperGPQA-all.jsonl", SUPERGPQA, lines=True)
    for name, rows in (
        ("2025-05-07-06-14-12_oss_eval", HEALTHBENCH),
        ("consensus_2025-05-09-20-00-46", HEALTHBENCH[:1]),
        ("hard_2025-05-08-21-00-10", HEALTHBENCH[1:]),
    ):
        _json(root / "openai/healthbench" / f"{name}.jsonl", rows, lines=True)
    _parquet(root / "MMMU/MMMU_Pro/standard (10 options)/test-00000-of-00001.parquet", MMMU_PRO)
    _parquet(root / "Nandzy/Med-RewardBench/pair_gt_all/parquet/chest.parquet", PREFERENCE)
    _parquet(root / "MMMU/MMMU_Pro/vision/test-00000-of-00001.parquet", MMMU_PRO_VISION)


def write_reports(folder: Path, *, many: bool = True) -> Path:
    """Write MedEvalKit's test.json of reports with its images; `image` is a list of names or one; returns the file."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name in ("1.png", "2.png"):
        (folder / "images" / name).write_bytes(png((9, 9, len(name))))
    rows = REPORTS if many else [{**row, "image": row["image"][0]} for row in REPORTS]
    _json(folder / "test.json", rows, lines=False)
    return folder / "test.json"


def write_medpix(folder: Path) -> Path:
    """Write a user's own MedPix file with its images; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in MEDPIX[0]["images"]:
        (folder / name).write_bytes(png((5, 5, len(name))))
    _json(folder / "cases.jsonl", MEDPIX, lines=True)
    return folder / "cases.jsonl"


def _parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pictures = [n for n in table.column_names if any(isinstance(row[n], dict) and "bytes" in row[n] for row in rows)]
    for name in [n for n in table.column_names if n in pictures or _is_empty_picture(n, rows)]:
        position = table.schema.get_field_index(name)
        table = table.set_column(position, name, pa.array([row[name] for row in rows], type=image))
    pq.write_table(table, path)


def _is_empty_picture(name: str, rows: list[dict[str, Any]]) -> bool:
    return name.startswith("image_") and all(row[name] is None for row in rows)


def _json(path: Path, rows: list[dict[str, Any]], *, lines: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(json.dumps(row) for row in rows) + "\n" if lines else json.dumps(rows)
    path.write_text(text, encoding="utf-8")
