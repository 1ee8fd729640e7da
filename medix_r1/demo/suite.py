"""`medix-r1 demo suite`: evaluates nano models offline, on their held-out set and on 59 real MMLU questions.

The held-out rows are written in the schema of `rad_vqa`; the MMLU questions come from lm-eval's few-shot files.
Everything else is the real path: vLLM servers for model and judge, and the phases of `medix-r1 eval`. It shows that the
path works and how the held-out score changes; the model has no medical knowledge, so its MMLU scores mean nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from medix_r1.errors import DataError
from medix_r1.evaluation import show
from medix_r1.evaluation.rejudge import rejudge
from medix_r1.evaluation.results import comparison_text, judges
from medix_r1.evaluation.results.compare import read_comparison
from medix_r1.evaluation.run import plan, run
from medix_r1.evaluation.settings import compose_eval
from medix_r1.host.files import atomic_write
from medix_r1.host.yaml_text import read_yaml

_SIX = (
    "anatomy",
    "clinical_knowledge",
    "college_biology",
    "college_medicine",
    "medical_genetics",
    "professional_medicine",
)
_FURTHER = (
    "high_school_biology",
    "human_aging",
    "human_sexuality",
    "nutrition",
    "professional_psychology",
    "virology",
)
_UNSEEN = "match_paper"  # a prompt of medix_r1/prompts that the nano judge was not trained on
_QUESTION = re.compile(r"(.+?)\s*\n\s*\(A\) (.+?) \(B\) (.+?) \(C\) (.+?) \(D\) (.+)", re.DOTALL)
_ANSWER = re.compile(r"The answer is \(([A-D])\)")


def write_rows(demo: Path, out: Path) -> dict[str, Path]:
    """Write the demo's rows as one file for each task.

    Args:
        demo: folder of `medix-r1 demo build`.
        out: folder to write to; the YAML of the demo's own task is written below it.

    Returns:
        Files by task.

    Raises:
        DataError: the demo is not built, or lm-eval is not installed.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {"rad_vqa": out / "rad_vqa.parquet"}
    _write_heldout(demo / "data" / "heldout_views.parquet", files["rad_vqa"])
    for name, subjects in {**{f"mmlu_{s}": (s,) for s in _SIX}, "mmlu_further": _FURTHER}.items():
        files[name] = out / f"{name}.jsonl"
        rows = [row for subject in subjects for row in _mmlu(subject)]
        atomic_write(files[name], "".join(json.dumps(row) + "\n" for row in rows))
    _write_further_task(out / "task" / "mmlu_further.yaml")
    return files


def evaluate(models: Sequence[Path], demo: Path, out: Path, overrides: Sequence[str], console: Console) -> int:
    """Evaluate one nano model, or two and compare them; return the exit code.

    The last one is asked again with other rows' pictures, and its replies are judged a second time.
    """
    files = write_rows(demo, out / "rows")
    words = [f"task=[{','.join(files)}]", *(f"tasks.{name}.file={path}" for name, path in files.items())]
    judge = ["judge=nano", f"judge.server.model={demo / 'models' / 'judge'}"]
    words += ["server=cpu", *judge, "prompt=plain", "think_element=think"]
    words += ["decoding.max_tokens=64", "connections=16", f"out_dir={out}", *overrides]
    results, code = [], 0
    for model in models:
        outcome = run(plan(compose_eval([f"model={model}", *words], [out / "rows"])), console)
        code = max(code, show.outcome(outcome, console))
        results.append(outcome.folder)
    shuffled = run(plan(compose_eval([f"model={models[-1]}", *words, "images=shuffled"], [out / "rows"])), console)
    code = max(code, show.outcome(shuffled, console))
    show.looking({"real": results[-1], "shuffled": shuffled.folder}, console)
    judge += [word for word in overrides if word.startswith("judge")]
    code = max(code, _judged_twice(results[-1], judge, out, console))
    if len(results) == 2:
        found = read_comparison(*results)
        comparison_text.show(found, console, examples=2, judges=False)
        comparison_text.write(found, out, examples=2, judges=False)
    return code


def _judged_twice(result: Path, judge: Sequence[str], out: Path, console: Console) -> int:
    """Judge the replies a second time, by the nano judge with a prompt that it has never seen, and put both together.

    There is no other small judge. This one is a bad one: the table has to show it.
    """
    second = rejudge(result, [*judge, f"judge.match_prompt={_UNSEEN}"], [out / "rows"], console).second
    found = judges.read_judges([result, second.folder])
    judges.sheet(found).show(console)
    judges.agreement_sheet(found).show(console)
    judges.write(found, out)
    return 1 if second.unscored else 0


def _write_heldout(source: Path, target: Path) -> None:
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    if not source.is_file():
        raise DataError(f"{source} does not exist; build the demo first: medix-r1 demo build", code="not-built")
    rows = pq.read_table(source).to_pylist()
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "image": pa.array([row["images"][0] for row in rows], type=image),
        "question": pa.array([row["extra_info"]["question"] for row in rows]),
        "answer": pa.array([row["extra_info"]["answers"][0] for row in rows]),
    }
    half = target.with_suffix(".half")
    pq.write_table(pa.table(columns), half)
    half.replace(target)


def _mmlu(subject: str) -> list[dict[str, Any]]:
    """Questions of one subject in MMLU's schema."""
    spec = find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "lm-eval is not installed: pip install --no-deps -r requirements/demo-images.txt",
            code="package-not-installed",
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "tasks" / "mmlu" / "flan_cot_fewshot"
    tree = read_yaml(folder / f"mmlu_{subject}.yaml")
    rows = []
    for sample in tree["fewshot_config"]["samples"]:
        question, answer = _QUESTION.fullmatch(sample["question"].strip()), _ANSWER.search(sample["target"])
        if question is None or answer is None:
            raise DataError(
                f"lm-eval's mmlu_{subject}.yaml is not as it was: {sample['question'][:60]!r}", code="another-file"
            )
        choices = [text.strip() for text in question.groups()[1:]]
        rows.append(
            {
                "question": question[1].strip(),
                "subject": subject,
                "choices": choices,
                "answer": "ABCD".index(answer[1]),
            }
        )
    return rows


def _write_further_task(path: Path) -> None:
    """Write a custom task, as a user would add one."""
    task = {
        "name": "mmlu_further",
        "kind": "llm",
        "headline": False,
        "path": None,
        "split": "test",
        "format": "choice_index",
        "columns": {"question": "question", "choices": "choices", "answer": "answer"},
        "scorer": "short",
        "licence": "MIT",
        "access": "file",
    }
    atomic_write(path, yaml.safe_dump(task, sort_keys=False))
