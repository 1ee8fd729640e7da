"""The leaderboard submission: a zip in the layout of the public evaluation code, and a manifest beside it.

    <model>.zip
      <model>/<model>.jsonl        id, question, answer, response, answer_idx; one line for each generated sample
      <model>/<model>_eval.jsonl   the same and evaluation.score; one line for each scored sample
      <model>/<model>_score.txt    one line for each task, and the macro average
      <model>-MMMU-Medical-val/    MedEvalKit's result files, when a folder of them is given
    <model>.manifest.json          checksums, versions, counts, and what was left out

Texts under a data-use agreement are replaced by a note; their ids and scores stay.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from medix_r1.errors import DataError
from medix_r1.evaluation.results.records import Record, RunInfo, read_run
from medix_r1.evaluation.results.table import HEADLINE, MIMIC, Records, own_data
from medix_r1.host.files import atomic_file, atomic_write

LEFT_OUT = "[left out: text under a data-use agreement]"

_MMMU = "-MMMU-Medical-val"
_MMMU_LIMIT = 200 << 20  # bytes of MedEvalKit's files together
_DATE = (1980, 1, 1, 0, 0, 0)  # fixed, so that equal content gives an equal zip


@dataclass(frozen=True, slots=True)
class Bundle:
    """The written submission.

    Attributes:
        archive, manifest: the files.
        samples: lines of `<model>.jsonl`.
        unscored: samples without a score, which `<model>_eval.jsonl` leaves out.
        restricted: samples whose texts were left out.
        missing: tasks of the 17 that the result does not have.
    """

    archive: Path
    manifest: Path
    samples: int
    unscored: int
    restricted: int
    missing: tuple[str, ...]


def submit(run: Path, out: Path, *, mmmu: Path | None = None) -> Bundle:
    """Write the submission of a result.

    Args:
        run: the result's folder.
        out: folder of the zip and the manifest; the manifest is written last.
        mmmu: MedEvalKit's `MMMU-Medical-val` folder, whose JSON files are added unchanged.

    Raises:
        DataError: this is not a result folder, its pictures were not the real ones, or it has no reply to any of the 17
            tasks.
    """
    info, records = read_run(run)
    if images := info.extra.get("images"):
        raise DataError(
            f"{run}: its pictures were {images}, so these are no replies to submit", code="not-real-pictures"
        )
    tasks = [task for task in HEADLINE if task not in own_data(info)]  # own rows are no benchmark's
    chosen = {task: records[task] for task in tasks if any(r.reply is not None for r in records.get(task, ()))}
    if not chosen:
        raise DataError(
            f"{run}: no reply to any of the leaderboard's {len(HEADLINE)} tasks is in it", code="nothing-to-submit"
        )
    name = model_name(info.model)
    files = {f"{name}/{file}": text.encode() for file, text in _texts(name, info, chosen).items()}
    if mmmu is not None:
        files |= {f"{name}{_MMMU}/{path}": content for path, content in _mmmu_files(mmmu)}
    archive, manifest = out / f"{name}.zip", out / f"{name}.manifest.json"
    _write_zip(archive, files)
    content = _manifest(archive, files, info, records, chosen)
    atomic_write(manifest, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return Bundle(
        archive,
        manifest,
        content["counts"]["generated"],
        content["counts"]["unscored"],
        content["counts"]["restricted"],
        tuple(task for task in HEADLINE if task not in chosen),
    )


def model_name(model: str) -> str:
    """The leaderboard's name of a model: the part after the last slash, with `_` for all but ASCII letters and digits.

    Raises:
        DataError: the name has no letter or digit.
    """
    name = re.sub(r"[^a-zA-Z0-9]", "_", model.rstrip("/").rsplit("/", 1)[-1])
    if not name.strip("_"):
        raise DataError(
            f"model {model!r} has no letter or digit after its last slash to name a submission by", code="no-name"
        )
    return name


def _texts(name: str, info: RunInfo, records: Records) -> dict[str, str]:
    generated = [record for rows in records.values() for record in rows if record.reply is not None]
    scored = [record for record in generated if record.score is not None]
    judged = ({**_row(record), "evaluation": {"score": _points(record)}} for record in scored)
    return {
        f"{name}.jsonl": _lines(map(_row, generated)),
        f"{name}_eval.jsonl": _lines(judged),
        f"{name}_score.txt": _score_text(info, records),
    }


def _row(record: Record) -> dict[str, Any]:
    return {
        "id": f"{record.task}_{record.row}",
        "question": LEFT_OUT if record.restricted else _asked(record),
        "answer": LEFT_OUT if record.restricted else record.reference,
        "response": LEFT_OUT if record.restricted else record.reply,
        "answer_idx": record.reference_letter,
    }


def _asked(record: Record) -> str:
    options = [f"{letter}. {text}" for letter, text in zip(ascii_uppercase, record.choices, strict=False) if text]
    return "\n".join([f"{record.passage}\n\nChoices:", *options]) if options else record.passage


def _points(record: Record) -> float:
    """The score on the leaderboard's scale: 0 to 5 for reports, 0 or 1 for short answers."""
    score = record.score or 0.0
    return round(5 * score, 6) if record.task in MIMIC else int(score) if score in (0.0, 1.0) else score


def _score_text(info: RunInfo, records: Records) -> str:
    import pandas  # type: ignore[import-untyped]  # brought by statsmodels and datasets

    means = {}
    for task, rows in records.items():
        values = [record.score for record in rows if record.score is not None]
        if values:
            means[task] = sum(values) / len(values)
    lines = dict(means)
    if len(means) > 1:
        lines["Overall"] = sum(means.values()) / len(means)
    percent = [f"{100 * value:.2f}%" for value in lines.values()]
    table = pandas.DataFrame({"Task": list(lines), "Accuracy": list(lines.values()), "Accuracy (%)": percent})
    return f"Model: {_public(info.model)}\n\n{table.to_string() if lines else 'no task has a score'}\n"


def _public(model: str) -> str:
    """A hub name unchanged; of a folder its name only, because paths reveal machines and people."""
    hub_name = re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", model) and not Path(model).exists()
    return model if hub_name else model.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


def _about(info: RunInfo) -> dict[str, Any]:
    judges = [{**judge, "model": _public(str(judge["model"]))} for judge in info.judge.get("judges", [])]
    judge = {**info.judge, "judges": judges} if judges else info.judge
    return {**asdict(info), "model": _public(info.model), "judge": judge}


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _mmmu_files(folder: Path) -> Iterable[tuple[str, bytes]]:
    paths = sorted(path for path in folder.rglob("*.json") if path.is_file() and not path.is_symlink())
    if not paths:
        raise DataError(f"{folder}: no JSON files of MedEvalKit there", code="not-medevalkit")
    if sum(path.stat().st_size for path in paths) > _MMMU_LIMIT:
        raise DataError(f"{folder}: more than {_MMMU_LIMIT >> 20} MiB, not a MedEvalKit result", code="too-large")
    for path in paths:
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def _write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, _DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)


def _manifest(
    archive: Path, files: Mapping[str, bytes], info: RunInfo, records: Records, chosen: Records
) -> dict[str, Any]:
    rows = [record for task in chosen.values() for record in task]
    restricted = sum(record.restricted for record in rows)
    notes = [f"texts of {restricted} samples are left out: they stand under a data-use agreement"] * bool(restricted)
    unscored = sum(record.score is None for record in rows)
    if unscored:
        notes.append(f"{unscored} samples have no score: they are in no _eval.jsonl and in no average")
    if limited := [task for task in chosen if task in info.extra.get("limited", {})]:
        notes.append(f"only the first samples were asked: {', '.join(limited)}")
    if others := [task for task in records if task not in chosen]:
        notes.append(f"not part of the leaderboard, left out: {', '.join(others)}")
    if missing := [task for task in HEADLINE if task not in chosen]:
        notes.append(f"not evaluated: {', '.join(missing)}")
    return {
        "archive": {"name": archive.name, "sha256": _file_sha256(archive)},
        "members": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "result": _about(info),
        "counts": {
            "samples": len(rows),
            "generated": sum(record.reply is not None for record in rows),
            "unscored": unscored,
            "restricted": restricted,
            "tasks": {task: len(rows) for task, rows in chosen.items()},
        },
        "notes": notes,
    }


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
