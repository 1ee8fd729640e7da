"""Every file that a comment, a docstring or a page names is there: files move, and words about them stay behind."""

from __future__ import annotations

import ast
import functools
import importlib.util
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOOKED_AT = {"medix_r1", "configs", "scripts", "docs", "tools", "examples", "benchmarks", "tests", ".github"}
THEIRS = ("verl", "vllm")  # files of installed packages are named from the package on
_NAMED = re.compile(r"(?<![\w/.{}<>*$~-])((?:[\w.-]+/)*[\w-]+\.(?:py|md|yaml))(?![\w/{*-])")
_FOLDER = re.compile(
    r"(?<![\w/.{}<>*$~-])((?:medix_r1|configs|scripts|docs|tools|examples|benchmarks|tests)(?:/[\w-]+)+)/(?![\w<>*{])"
)
_PLACEHOLDER = re.compile(r"(?!README|CONTRIBUTING|CHANGELOG|LICENSE)[A-Z_]+")  # NAME, RUN, OUT
# Names that a user chooses in an example, or that a command writes.
CHOSEN = {
    "stats.md",
    "mine.yaml",
    "math.py",
    "looking.md",
    "page.md",
    "brevity.py",
    "brevity.yaml",
    "test_brevity.py",
    "audit.md",
}
# Files of other projects: MedEvalKit's, simple-evals', EasyR1's.
OTHERS = {"vlm/00_benchmark_full_pipeline.py", "healthbench_eval.py", "examples/config.yaml"}


@functools.cache
def files() -> frozenset[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return frozenset(name for name in listed.stdout.splitlines() if (ROOT / name).exists())


@functools.cache
def written() -> str:
    """All texts in our code that are no words about it: a file that a run writes stands there by its name."""
    texts = []
    for name in files():
        if name.endswith(".py") and name.partition("/")[0] in ("medix_r1", "tools", "benchmarks"):
            tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
            texts += [
                node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
        elif name.endswith(".sh"):
            texts.append((ROOT / name).read_text(encoding="utf-8"))
    return "\n".join(text for text in texts if len(text) < 200 or "#!" in text)


def words_about(path: Path) -> Iterator[str]:
    """Comments and docstrings of a file; all of a page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield text
    elif path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.string
    else:
        yield from (match[1] for line in text.splitlines() if (match := re.search(r"(?:^|\s)#(.*)", line)))


def is_there(word: str, here: Path) -> bool:
    parts = Path(word).parts
    if here.parent == ROOT / "docs" / "extend" and (len(parts) == 1 or parts[0] == "configs"):
        return True  # its reader writes the file; tests/integration/test_extend_pages.py runs what it names
    if word in OTHERS:
        return True
    if (
        parts[0] in ("outputs", "mine", "my")
        or parts[-1] in CHOSEN
        or any(_PLACEHOLDER.fullmatch(Path(part).stem) for part in parts)
    ):
        return True  # what a run or a user writes
    if parts[0] in THEIRS:
        (folder,) = importlib.util.find_spec(parts[0]).submodule_search_locations or [""]
        return Path(folder, *parts[1:]).exists()
    if (here.parent / word).exists() or (ROOT / word).exists():
        return True
    if parts[0] in LOOKED_AT:
        return False
    somewhere = any(name.endswith(f"/{word}") for name in files())
    return somewhere or (len(parts) == 1 and bool(re.search(rf"(?<![\w-]){re.escape(word)}", written())))


PAGES = sorted(name for name in files() if name.endswith((".py", ".md", ".yaml", ".sh", ".toml")))
PAGES = [name for name in PAGES if name.partition("/")[0] in LOOKED_AT or "/" not in name]
PAGES = [name for name in PAGES if not name.startswith("docs/compared.")]  # names files of other projects


@pytest.mark.parametrize("page", PAGES)
def test_every_file_it_names_is_there(page: str) -> None:
    here = ROOT / page
    texts = list(words_about(here))
    named = {word for words in texts for word in _NAMED.findall(words)}
    folders = {word for words in texts for word in _FOLDER.findall(words)}

    assert sorted(word for word in named if not is_there(word, here)) == []
    assert sorted(word for word in folders if not (ROOT / word).is_dir()) == []


def test_it_sees_a_file_that_is_not_there() -> None:
    (word,) = _NAMED.findall("as training/cpu/engine.py said (never)")

    assert not is_there(word, ROOT / "docs" / "cpu.md")
    assert is_there("verl_plugin/engine.py", ROOT / "docs" / "cpu.md")
    assert is_there("verl/trainer/main_ppo.py", ROOT / "docs" / "cpu.md")
    assert not is_there("verl/trainer/gone.py", ROOT / "docs" / "cpu.md")
    assert is_there("medix_r1/rewards/NAME.py", ROOT / "CONTRIBUTING.md")
