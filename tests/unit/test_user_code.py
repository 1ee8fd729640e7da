"""Code of a user's own: found by module or file, imported under a private name, copied and told apart by content."""

from __future__ import annotations

import importlib
import logging
import math
import multiprocessing
import sys
from pathlib import Path

import pytest

from medix_r1 import user_code
from medix_r1.composing import instantiate_each
from medix_r1.errors import ConfigError
from tests.support.problems import codes, only

SIGNAL = """
from dataclasses import dataclass


@dataclass
class Brevity:
    words: int

    def half(self):
        if self.words < 0:
            raise ValueError("words below 0")
        return self.words / 2


def double(number):
    return 2 * number
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "math.py"  # a name that must shadow nothing
    path.write_text(SIGNAL)
    return path


def test_a_file_is_loaded_and_shadows_nothing(file: Path) -> None:
    brevity = user_code.load(f"{file}:Brevity", "key")

    assert brevity(4).half() == 2.0
    assert str(file.parent) not in sys.path
    assert sys.modules["math"] is math
    assert user_code.load(f"{file}:Brevity", "key") is brevity
    assert user_code.load(f"{file}:Brevity.half", "key") is brevity.half


def test_a_relative_path_starts_in_the_current_directory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)

    for form in ("./math.py", "math.py", f"../{file.parent.name}/math.py"):
        assert user_code.absolute(f"{form}:double") == f"{file}:double"
        assert user_code.load(f"{form}:double", "key")(2) == 4
    monkeypatch.setenv("HOME", str(file.parent))
    assert user_code.absolute("~/math.py") == str(file)
    assert user_code.absolute("json:loads") == "json:loads"


@pytest.mark.parametrize("reference", ["logging:Handler", "logging.Handler"])
def test_modules_as_before(reference: str) -> None:
    assert user_code.load(reference, "key") is logging.Handler
    assert user_code.dotted(reference) == "logging.Handler"


def test_by_its_dotted_name_a_file_is_found_by_whatever_imports(file: Path) -> None:
    module, _, name = user_code.dotted(f"{file}:double").rpartition(".")

    assert getattr(importlib.import_module(module), name)(3) == 6
    assert module.startswith("medix_r1.user_code.")


def test_a_function_of_a_file_reaches_a_spawned_process(file: Path) -> None:
    function = user_code.load(f"{file}:double", "key")

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(function, [1, 2]) == [2, 4]


def test_a_config_is_instantiated_from_files_and_modules(file: Path) -> None:
    node = {"a": {"_target_": f"{file}:Brevity", "words": 6}, "b": {"_target_": "fractions:Fraction", "numerator": 2}}

    built = instantiate_each(node, "reward.signals")

    assert (built["a"].half(), built["b"]) == (3.0, 2)


def test_a_class_that_refuses_its_settings_is_named_by_its_key(file: Path) -> None:
    node = {"brief": {"_target_": f"{file}:Brevity", "word": 6}}

    with pytest.raises(ConfigError, check=only(("reward.signals.brief", "settings-refused"))):
        instantiate_each(node, "reward.signals")


@pytest.mark.parametrize(
    ("reference", "code", "names"),
    [
        ("{folder}/none.py:Brevity", "no-such-file", "none.py"),
        ("{folder}/math.py:Brevty", "not-loadable", " Brevity?"),
        ("{folder}/math.py", "not-module-and-name", "math.py"),
        ("{folder}/broken.py:x", "not-loadable", "ZeroDivisionError: division by zero, line 3"),
        ("{folder}/syntax.py:x", "not-loadable", "SyntaxError"),
        ("{folder}/leaves.py:x", "not-loadable", "SystemExit"),
        ("{folder}/sibling.py:x", "not-loadable", "PYTHONPATH"),
        ("no_such_module:x", "not-loadable", "./no_such_module.py:name"),
        ("no_such_package.module.X", "not-loadable", "PYTHONPATH"),
        ("json:loades", "not-loadable", " loads?"),
        ("Brevity", "not-module-and-name", "./file.py:name"),
        (3, "not-module-and-name", "3"),
    ],
)
def test_what_leads_to_nothing_is_one_line_with_its_key(file: Path, reference: str, code: str, names: str) -> None:
    for name, text in {
        "broken": "\n\n1 / 0\n",
        "syntax": "x = (\n",
        "leaves": "import sys\nsys.exit(3)\n",
        "sibling": "import helpers_of_mine\n",
        "helpers_of_mine": "",
    }.items():
        (file.parent / f"{name}.py").write_text(text)
    if isinstance(reference, str):
        reference = reference.format(folder=file.parent)

    with pytest.raises(ConfigError) as caught:
        user_code.load(reference, "reward.signals.x._target_")

    (problem,) = caught.value.problems
    assert codes(caught.value) == [("reward.signals.x._target_", code)]
    assert names in problem.text
    assert "\n" not in problem.text


def test_a_file_that_failed_can_be_mended(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("1 / 0\n")
    with pytest.raises(ConfigError):
        user_code.load(f"{path}:x", "key")
    path.write_text("x = 1  # mended\n")

    assert user_code.load(f"{path}:x", "key") == 1


def test_copies_are_named_after_their_content(file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "run" / "code"
    first = user_code.keep(f"{file}:Brevity", kept)
    file.write_text(SIGNAL.replace("2", "3"))
    second = user_code.keep(f"{file}:Brevity", kept)

    assert first != second
    assert [user_code.load(one, "key")(6).half() for one in (first, second)] == [3.0, 2.0]
    assert user_code.keep(second, kept) == second
    assert len(list(kept.glob("*.py"))) == 2
    assert user_code.identity(second) == user_code.identity(f"{file}:Brevity") == Path(second).name
    assert user_code.identity(first) != user_code.identity(second)
    assert user_code.keep("json:loads", kept) == user_code.identity("json:loads") == "json:loads"


def test_a_run_that_was_moved_is_known_by_its_copies_names(file: Path, tmp_path: Path) -> None:
    copy = user_code.keep(str(file), tmp_path / "run" / "code")

    assert user_code.identity(copy.replace("/run/", "/moved/")) == user_code.identity(str(file))


def test_verl_gets_an_optimizer_by_its_dotted_name(file: Path) -> None:
    tree = {"optim": {"optimizer_impl": str(file), "optimizer": "Brevity"}, "function": f"{file}:double"}

    given = user_code.importable(tree)

    assert importlib.import_module(given["optim"]["optimizer_impl"]) is user_code.load_module(str(file), "key")
    assert given["function"] == tree["function"]
    assert user_code.importable({"optimizer_impl": "torch.optim"}) == {"optimizer_impl": "torch.optim"}
    assert user_code.importable(given) == given


def test_references_are_found_wherever_a_config_may_have_them(file: Path) -> None:
    tree = {
        "run": {"plugins": ["./a.py", "package.module"], "dir": "x.py:y"},
        "reward": {"signals": {"x": {"_target_": "adapters.Easy", "function": "./b.py:f"}, "y": None}},
        "judges": [{"_target_": "./a.py:Judge"}],
    }

    def upper(reference: str) -> str:
        return reference.upper()

    assert user_code.changed(tree, upper) == {
        "run": {"plugins": ["./A.PY", "package.module"], "dir": "x.py:y"},
        "reward": {"signals": {"x": {"_target_": "adapters.Easy", "function": "./B.PY:F"}, "y": None}},
        "judges": [{"_target_": "./A.PY:JUDGE"}],
    }
    assert user_code.files(tree) == [Path.cwd() / "a.py", Path.cwd() / "b.py"]


def test_where_a_users_code_failed_is_told_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "rule.py"
    path.write_text("def score(text):\n    return text.lower()\n")
    function = user_code.load(f"{path}:score", "key")

    with pytest.raises(AttributeError) as caught:
        function(3)
    told = user_code.fault(caught.value)

    assert told is not None
    assert told.startswith(f"{path}, line 2, in score: AttributeError")
    assert "\n" not in told


def test_an_error_of_our_own_code_is_no_users_fault() -> None:
    with pytest.raises(ConfigError) as caught:
        user_code.load("no/such/file.py:x", "key")
    error = caught.value
    assert error.__traceback__ is not None
    own = error.with_traceback(error.__traceback__.tb_next)  # without this test's frame

    assert user_code.fault(own) is None
