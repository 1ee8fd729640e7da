"""Every use of something of theirs is a row of uses.py, and every row still holds of the installed packages."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import pkgutil
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.integration.training.verl_plugin import scan
from tests.integration.training.verl_plugin.uses import USES, Use

ROWS = [(ours, use) for ours, uses in USES.items() for use in uses]
TREES = dict(scan.sources())


def title(row: tuple[str, Use]) -> str:
    return f"{row[1].theirs}-{row[1].how}-{row[0].rpartition('/')[2]}"


def resolve(symbol: str) -> Any:
    module, _, path = symbol.partition(":")
    found = importlib.import_module(module)
    for name in filter(None, path.split(".")):
        found = getattr(found, name)
    return found


def source(symbol: str) -> str:
    """The source of a symbol; of a class that of its bases from the same package too, of a file what it holds."""
    if "/" in symbol:
        package, _, path = symbol.partition("/")
        (folder,) = importlib.util.find_spec(package).submodule_search_locations or [""]
        return (Path(folder) / path).read_bytes().decode("latin-1")
    found = resolve(symbol)
    if inspect.isclass(found):
        package = found.__module__.partition(".")[0]
        return "".join(inspect.getsource(cls) for cls in found.__mro__ if cls.__module__.partition(".")[0] == package)
    return inspect.getsource(found if isinstance(found, ModuleType) else inspect.unwrap(found))


@pytest.mark.parametrize(("ours", "use"), ROWS, ids=map(title, ROWS))
def test_the_row_holds(ours: str, use: Use) -> None:
    look = f"look at {ours}, where it is {use.how}"
    try:
        found: Any = None if "/" in use.theirs else resolve(use.theirs)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{use.theirs} is gone ({error}); {look}")
    if use.parameters is not None:
        parameters = inspect.signature(inspect.unwrap(found)).parameters
        names = tuple(
            name for name in parameters if name != "args" and not name.startswith("_ray_")
        )  # Ray adds its own
        assert names == use.parameters, f"{use.theirs} takes other parameters; {look}"
    if use.text is not None:
        assert use.text in source(use.theirs), f"{use.theirs} has no {use.text!r} any more; {look}"


@pytest.mark.parametrize("ours", USES)
def test_the_file_of_ours_is_there_and_names_what_it_uses(ours: str) -> None:
    """A row that nobody needs any more goes with its use."""
    text = (scan.ROOT / ours).read_text(encoding="utf-8")
    for use in USES[ours]:
        if use.how in ("subclassed", "replaced", "called"):
            names = use.theirs.partition(":")[2].split(".")
            assert names[-1] in text or names[0] in text, f"{ours} does not mention {use.theirs}; take the row out"


def covered(found: scan.Found) -> bool:
    """Whether a row of the file is about what was found; a module or a class is covered by what is used of it."""
    bare = ".".join(part for part in found.name.split(".") if not part.startswith("__")) or found.name
    for use in USES.get(found.ours, ()):
        if found.how == "matched" and use.text is not None and (use.text in found.name or found.name in use.text):
            return True
        if found.how == "private" and (use.name.endswith(f".{found.name}") or found.name in (use.text or "")):
            return True
        if found.how == "replaced" and (use.how, use.name) == ("replaced", found.name):
            return True
        if found.how == "subclassed" and use.how == "subclassed" and use.name == found.name:
            return True
        if found.how == "imported" and (use.name in (found.name, bare) or use.name.startswith(f"{bare}.")):
            return True
    return False


# Found by the scan and nobody's insides: a standard library's name, and texts of our own.
OWN = {
    ("medix_r1/data/staging.py", "_exit"),
    ("medix_r1/training/simulation/process.py", "_exit"),
    ("medix_r1/training/simulation/counting.py", "_cdata"),
    ("medix_r1/training/simulation/counting.py", "_local_tensor"),
    ("medix_r1/data/sources/parquet.py", ".parquet"),
    ("medix_r1/data/meaning/picture_files.py", "file://"),
    ("scripts/update_vllm_arguments.py", "_actions"),  # of argparse
    ("medix_r1/schema/hydra_errors.py", "object_type=dict"),  # its row has the template that this comes from
    ("medix_r1/serving/probe.py", "medix_r1.models."),
    ("medix_r1/scoring/judge_bench.py", "latency"),
}


def test_what_is_used_and_is_no_row_fails() -> None:
    found = set(scan.private_attributes(TREES))
    for ours, tree in TREES.items():
        for look in (scan.imported, scan.derived, scan.replaced, scan.error_texts):
            found |= set(look(ours, tree))
    found = {one for one in found if (one.ours, one.name) not in OWN}

    assert {one.how for one in found} == {"imported", "subclassed", "replaced", "private", "matched"}
    assert sorted(one for one in found if not covered(one)) == []


@pytest.mark.parametrize(
    ("text", "name", "how"),
    [
        ("from vllm.entrypoints import x", "vllm.entrypoints.x", "imported"),
        ("def f():\n    import ray\n    ray.put(1)", "ray.put", "imported"),
        ("from hydra._internal.utils import x", "hydra._internal.utils.x", "imported"),
        ("import inspect_ai as i\nclass A(i.model.B): ...", "inspect_ai.model.B", "subclassed"),
        ("from verl.utils import device\ndevice.name = 1", "verl.utils.device.name", "replaced"),
        ("from verl.utils import device\nsetattr(device, 'name', 1)", "verl.utils.device.name", "replaced"),
        ("def f(x):\n    return x._deep_inside", "_deep_inside", "private"),
        ("def f(x):\n    return getattr(x, '_deep_inside', 1)", "_deep_inside", "private"),
        (
            "try: ...\nexcept KeyError: ...\ndef f(error: Exception):\n    return 'out of luck' in str(error)",
            "out of luck",
            "matched",
        ),
        (
            "def f():\n    try: ...\n    except KeyError as e:\n        return str(e).startswith('no such')",
            "no such",
            "matched",
        ),
    ],
)
def test_the_scan_sees(text: str, name: str, how: str) -> None:
    tree = ast.parse(text)
    found = set(scan.private_attributes({"a.py": tree}))
    for look in (scan.imported, scan.derived, scan.replaced, scan.error_texts):
        found |= set(look("a.py", tree))

    assert scan.Found("a.py", name, how) in found
    assert not covered(scan.Found("a.py", name, how))


def our_classes() -> list[type]:
    """Our classes that derive from one of theirs."""
    modules = [
        one.name for one in pkgutil.walk_packages([str(scan.ROOT / "medix_r1" / "training")], "medix_r1.training.")
    ]
    found = []
    for name in [*modules, "medix_r1.evaluation.phases.model_api"]:
        for value in vars(importlib.import_module(name)).values():
            if inspect.isclass(value) and value.__module__ == name and any(is_theirs(base) for base in value.__mro__):
                found.append(value)
    return found


def is_theirs(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in scan.WATCHED


def ours_of(cls: type) -> list[type]:
    return [base for base in cls.__mro__ if base.__module__.startswith("medix_r1.")]


def file_of(cls: type) -> str:
    return str(Path(sys.modules[cls.__module__].__file__ or "").relative_to(scan.ROOT))


def methods(cls: type) -> set[str]:
    kinds = (property, staticmethod, classmethod)
    return {name for name, value in vars(cls).items() if inspect.isfunction(value) or isinstance(value, kinds)}


def test_every_override_is_a_row_of_its_file() -> None:
    """But of abstract methods: without ours the class cannot be made, which another test sees."""
    missing, overrides = set(), 0
    for cls in our_classes():
        theirs = [base for base in cls.__mro__ if is_theirs(base)]
        for own in ours_of(cls):
            for name in (name for name in methods(own) if any(name in vars(base) for base in theirs)):
                overrides += 1
                abstract = any(name in getattr(base, "__abstractmethods__", ()) for base in theirs)
                rows = [use.name for use in USES.get(file_of(own), ()) if use.how == "overridden"]
                if not abstract and not any(row.endswith(f".{name}") for row in rows):
                    missing.add(f"{file_of(own)}: {own.__name__}.{name}")

    assert overrides > 30
    assert sorted(missing) == []


def test_every_attribute_that_comes_from_a_base_is_a_row_of_its_file() -> None:
    """What our methods read from `self` or call by `super()` and no class of ours gives."""
    missing, seen = set(), 0
    for cls in our_classes():
        given = set().union(*(set(vars(own)) | assigned(own) for own in ours_of(cls)))
        for own in ours_of(cls):
            for name in read_from_self(own) - given:
                seen += 1
                uses = USES.get(file_of(own), ())
                if not any(use.name.endswith(f".{name}") or f"self.{name}" in (use.text or "") for use in uses):
                    missing.add(f"{file_of(own)}: {own.__name__} reads self.{name}")

    assert seen > 20
    assert sorted(missing) == []


def tree_of(cls: type) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(cls)))


def on_self(cls: type, context: type[ast.expr_context]) -> set[str]:
    return {
        node.attr
        for node in ast.walk(tree_of(cls))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, context) and ast.unparse(node.value) == "self"
    }


def assigned(cls: type) -> set[str]:
    """Attributes that a class of ours sets, but for those that it declares without a value: their base gives them."""
    declared = {
        node.target.id
        for node in tree_of(cls).body[0].body  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign) and node.value is None and isinstance(node.target, ast.Name)
    }
    return on_self(cls, ast.Store) - declared


def read_from_self(cls: type) -> set[str]:
    return {name for name in on_self(cls, ast.Load) if not (name.startswith("__") and name.endswith("__"))}


def test_our_classes_are_still_complete() -> None:
    """A new abstract method of a base class would show only when verl builds ours."""
    from medix_r1.training.verl_plugin.trainer import COLOCATE_ASYNC_MODE, MODE, MedixColocateAsyncTrainer, MedixTrainer

    for cls in our_classes():
        mixin = cls.__name__.endswith("Mixin")
        assert mixin or not inspect.isabstract(cls), cls
    trainer_of = resolve("verl.trainer.ppo.v1.trainer_base:get_trainer_cls")
    assert (trainer_of(MODE), trainer_of(COLOCATE_ASYNC_MODE)) == (MedixTrainer, MedixColocateAsyncTrainer)


def _script(name: str) -> ModuleType:
    # by its path: an installed distribution has a package called `scripts` too
    spec = importlib.util.spec_from_file_location(name, scan.ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_list_of_verls_fields_is_that_of_the_installed_verl() -> None:
    stored = json.loads((scan.ROOT / "medix_r1" / "schema" / "verl_fields.json").read_text(encoding="utf-8"))
    assert stored == _script("update_verl_fields").verl_fields(), "run: python scripts/update_verl_fields.py"


def test_the_list_of_vllms_arguments_is_that_of_the_installed_vllm() -> None:
    stored = json.loads((scan.ROOT / "medix_r1" / "serving" / "vllm_arguments.json").read_text(encoding="utf-8"))
    assert stored == _script("update_vllm_arguments").vllm_arguments(), "run: python scripts/update_vllm_arguments.py"


def test_verl_loads_our_plugin() -> None:
    from importlib.metadata import entry_points

    found = {point.value for point in entry_points(group="verl.plugins")}
    assert "medix_r1.training.verl_plugin.plugin" in found
    assert importlib.util.find_spec("medix_r1.training.verl_plugin.plugin") is not None
