import builtins
import inspect
import pickle
import re

import pytest

from medix_r1 import errors

CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, errors.MedixError) and cls.__module__ == errors.__name__
]


def make(cls: type[errors.MedixError]) -> errors.MedixError:
    if cls is errors.ConfigError:
        return cls([errors.Problem("first.key", "wrong", "x"), errors.Problem("second.key", "wrong", "y")])
    return cls("what, where, fix", code="wrong")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_crosses_a_process_border(cls):
    error = make(cls)

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is cls
    assert str(copy) == str(error)
    assert copy.args == error.args
    assert copy.code == error.code != ""
    assert getattr(copy, "problems", None) == getattr(error, "problems", None)


@pytest.mark.parametrize("cls", [c for c in CLASSES if c is not errors.MedixError], ids=lambda cls: cls.__name__)
def test_is_an_error_of_the_standard_library_too(cls):
    assert issubclass(cls, errors.MedixError)
    assert any(base in (ValueError, RuntimeError) for base in cls.__mro__)


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes():
    drawn = {}
    ancestors: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([│├└─ ]*)([A-Z]\w+)(?:\((\w+)\))?(?:\s{2,}|$)", line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        ancestors[depth:] = [match[2]]
        drawn[match[2]] = {ancestors[depth - 1] if depth else "Exception"} | ({match[3]} if match[3] else set())

    assert drawn == {cls.__name__: {base.__name__ for base in cls.__bases__} for cls in CLASSES}


def test_a_config_error_lists_every_problem():
    problems = (errors.Problem("a", "wrong", "x"), errors.Problem("", "wrong", "y"))
    error = errors.ConfigError(problems)

    assert error.problems == problems
    assert str(error).splitlines() == ["a: x", "y"]


def test_a_data_error_may_list_problems_and_takes_them_along():
    error = errors.DataError.listing([errors.Problem("row 1", "wrong", "x")], code="rows-refused")

    copy = pickle.loads(pickle.dumps(error))

    assert (str(copy), copy.code, copy.problems) == ("row 1: x", "rows-refused", error.problems)


def test_a_problem_seen_from_further_up():
    problem = errors.Problem("key", "wrong", "x")

    assert str(problem.below("node.")) == "node.key: x"
    assert str(problem.and_also("in all runs")) == "key: x (in all runs)"


def test_no_name_hides_a_builtin():
    assert not {cls.__name__ for cls in CLASSES} & set(dir(builtins))
