"""The settings of one evaluation: configs/eval/eval.yaml with command-line overrides, validated as a whole."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from hydra import compose
from omegaconf import DictConfig, OmegaConf

from medix_r1 import prompts, user_code
from medix_r1.composing import composing
from medix_r1.config import config_dir
from medix_r1.errors import ConfigError, Problem
from medix_r1.evaluation.benchmarks.formats import load_format
from medix_r1.evaluation.benchmarks.image_conditions import CONDITIONS
from medix_r1.evaluation.benchmarks.task_file import field_problems, load_task_file
from medix_r1.evaluation.benchmarks.tasks import TaskSpec, load_scorer, select, task_files
from medix_r1.images.rules import ImageRules, rule_problems
from medix_r1.models.rubric import missing_marks
from medix_r1.models.settings import address_problems
from medix_r1.schema import command_line
from medix_r1.schema.moved_names import replace_moved
from medix_r1.schema.tables import composed_rest, value_problems
from medix_r1.serving.vllm_arguments import word_problems

# Keys that `_wrong` reads; where the kind of one is wrong, it has nothing to say.
_READ_TOGETHER = (
    *("images", "base_url", "judge.judges", "judge.seeds", "judge.server"),
    *("judge.match_prompt", "judge.report_prompt", "judge.reasoning_prompt", "judge.criterion_prompt"),
)
_RENAMED = {"judge.rubric": "judge.reasoning", "judge.rubric_prompt": "judge.reasoning_prompt"}
Phase = Literal["all", "generate", "judge", "score"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class JudgeAddress:
    """One judge.

    Attributes:
        model: name under which its server knows it.
        base_url: of the server, ending in `/v1`; None for the server that `judge.server` starts.
        api_key_env: environment variable that holds the API key.
        revision: of the model; recorded in the result's key.
    """

    model: str
    base_url: str | None = None
    api_key_env: str | None = None
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A server that this command starts; `model` is None for the model under test, which `model=` names."""

    model: str | None = None
    start_timeout: float = 1800.0
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """YAML: `judge`; configs/eval/judge/votes.yaml describes each key."""

    judges: Sequence[JudgeAddress]
    seeds: Sequence[int]
    temperature: float
    top_p: float
    max_tokens: int
    extra_body: Mapping[str, Any]
    match_prompt: str
    report_prompt: str
    reasoning_prompt: str
    reasoning: bool
    schema: bool
    parse_attempts: int
    connections: int
    timeout: float
    attempts: int
    server: ServedModel | None
    criterion_verdict: str = "json"
    criterion_prompt: str | None = None

    @property
    def criterion_template(self) -> str | None:
        """The text of the user's own prompt about a criterion; None for ours."""
        return Path(self.criterion_prompt).read_text(encoding="utf-8") if self.criterion_prompt else None


@dataclass(frozen=True, kw_only=True)
class EvalSettings:
    """YAML: configs/eval/eval.yaml, which describes each key."""

    model: str
    revision: str | None
    base_url: str | None
    api_key_env: str | None
    prompt: Literal["training", "calibrated", "plain"]
    think_element: Literal["think", "thinking"]
    decoding: Mapping[str, Any]
    images: Sequence[str]
    subgroup: Sequence[str]
    subgroup_min: int
    data_dir: str | None
    out_dir: str
    phase: Phase
    limit: int | None
    connections: int
    timeout: float
    attempts: int
    give_up_after: int
    overlap: bool
    server: ServedModel
    judge: JudgeSettings
    tasks: Mapping[str, TaskSpec]


def compose_eval(
    overrides: Sequence[str], config_dirs: Sequence[Path] = (), *, needs_task: bool = True
) -> EvalSettings:
    """Compose the configs with Hydra and build the settings.

    Args:
        overrides: Hydra overrides, `task=` among them.
        config_dirs: the user's own folders with `task/` or `judge/` in them.
        needs_task: False when the tasks come from a saved result.

    Raises:
        ConfigError: all problems that can be found without reading data.
    """
    overrides, renamed = _without_renamed(overrides)
    expressions = [text.removeprefix("task=") for text in overrides if text.startswith("task=")]
    known, broken = read_tasks(config_dirs)
    names = select(expressions[-1], known, broken) if expressions else []
    chosen = [f"+task@tasks.{name}={name}" for name in names]
    # ++: a task's file need not list every key; keys that TaskSpec does not know are refused below
    rest = [f"++{t}" if t.startswith("tasks.") else _listed(t) for t in overrides if not t.startswith("task=")]
    config, problems = _compose([*chosen, *rest], config_dirs)
    problems = [*renamed, *problems]
    if config is None:
        raise ConfigError(problems)
    problems += [Problem(key, "no-value", "has no value; give one") for key in sorted(OmegaConf.missing_keys(config))]
    tree: Any = OmegaConf.to_container(config, resolve=True)
    problems += _renamed_in(tree.get("judge"))
    replace_moved(tree, tree)
    problems += value_problems(tree, "eval")
    named = {problem.key for problem in problems}
    if named & {"judge", "judge.judges", "judge.server", "server", "tasks", *(f"tasks.{name}" for name in names)}:
        raise ConfigError(problems)  # no mapping, so nothing else can be looked at
    try:
        settings = _build_all(tree)
    except ConfigError as error:
        raise ConfigError([*problems, *(one for one in error.problems if one.key not in named)]) from error
    settings = replace(settings, tasks={name: with_whole_paths(task) for name, task in settings.tasks.items()})
    if not any(key.startswith(_READ_TOGETHER) for key in named):
        problems += _wrong(settings)
    problems += code_problems(settings.tasks)
    if needs_task and not settings.tasks:
        problems.append(
            Problem("task", "no-value", "has no value; give task=all, open, llm, vlm, a task's name or a list")
        )
    if problems:
        raise ConfigError(problems)
    return settings


def _without_renamed(overrides: Sequence[str]) -> tuple[list[str], list[Problem]]:
    """The overrides without keys of an earlier version, and what those are called now."""
    keys = {text: text.partition("=")[0].lstrip("+") for text in overrides}
    left = [text for text in overrides if keys[text] not in _RENAMED]
    return left, [_renamed(keys[text]) for text in overrides if keys[text] in _RENAMED]


def _renamed_in(judge: Any) -> list[Problem]:
    """What the keys of an earlier version in a judge's file are called now; they are taken out of it."""
    if not isinstance(judge, dict):
        return []
    found = [name for name in judge if f"judge.{name}" in _RENAMED]
    for name in found:
        del judge[name]
    return [_renamed(f"judge.{name}") for name in found]


def _renamed(key: str) -> Problem:
    return Problem(key, "renamed", f"is now called {_RENAMED[key]}; write the new name (docs/evaluation.md)")


def _listed(override: str) -> str:
    """`images=real,none` as the list that it means; Hydra would take it for a sweep."""
    key, _, value = override.partition("=")
    return f"{key}=[{value}]" if key in ("images", "subgroup") and not value.startswith("[") else override


def known_tasks(config_dirs: Sequence[Path] = ()) -> dict[str, TaskSpec]:
    """Every task with a whole file by name, from our folder and the user's."""
    return read_tasks(config_dirs)[0]


def read_tasks(config_dirs: Sequence[Path] = ()) -> tuple[dict[str, TaskSpec], dict[str, ConfigError]]:
    """Every task with a whole file, and what is wrong with each of the others, which keep no task back."""
    known: dict[str, TaskSpec] = {}
    broken: dict[str, ConfigError] = {}
    for name, path in task_files(config_dirs).items():
        try:
            known[name] = read_task(path)
        except ConfigError as error:
            broken[name] = error
    return known, broken


def read_task(path: Path) -> TaskSpec:
    """One task from its file.

    Raises:
        ConfigError: every field that is unknown, missing or has a value that it cannot have.
    """
    tree, where = load_task_file(path), f"tasks.{path.stem}"
    problems = list(field_problems(tree, where))
    if tree.get("name", path.stem) != path.stem:
        says = f"{tree['name']!r} is not the name of its file; both have to be the same"
        problems.append(Problem(f"{where}.name", "another-name", says))
    try:
        task = build(TaskSpec, tree, where)
    except ConfigError as error:
        raise ConfigError([*error.problems, *problems]) from None
    if problems:
        raise ConfigError(problems)
    return task


def _compose(overrides: Sequence[str], config_dirs: Sequence[Path]) -> tuple[DictConfig | None, list[Problem]]:
    """What Hydra composes without the overrides that it refuses, and their problems; None if it composes nothing."""
    if hidden := list(_hidden_keys(config_dirs)):
        return None, hidden
    good, problems = command_line.parse(overrides)
    choices = command_line.wrong_choices(good, [config_dir() / "eval", *config_dirs])
    good = [text for text in good if text not in choices]
    folders = ",".join(command_line.quoted(f"file://{folder.absolute()}") for folder in config_dirs)

    def make(left: Sequence[str]) -> DictConfig:
        config: DictConfig = compose("eval", overrides=[f"hydra.searchpath=[{folders}]", *left])
        OmegaConf.resolve(config)
        return config

    with composing(config_dir() / "eval"):
        config, refused = composed_rest(make, good, _known_keys())
    return config, [*problems, *choices.values(), *refused]


def _hidden_keys(config_dirs: Sequence[Path]) -> Iterator[Problem]:
    """Folders that Hydra would take for the choices of a key, such as `model/` beside `task/`."""
    groups = {"task", "judge", "server"}
    keys = {field.name for field in fields(EvalSettings)} - groups
    for folder in config_dirs:
        for name in sorted(path.name for path in folder.glob("*/") if path.name in keys):
            says = f"{folder} has a folder {name}, which hides the key {name}; give one with task/ and judge/ alone"
            yield Problem("--config-dir", "hides-a-key", says)


def _known_keys() -> set[str]:
    parts = (("", EvalSettings), ("judge.", JudgeSettings), ("server.", ServedModel), ("judge.server.", ServedModel))
    return {f"{prefix}{field.name}" for prefix, cls in parts for field in fields(cls)} | {"task"}


def _build_all(tree: dict[str, Any]) -> EvalSettings:
    judge = dict(tree["judge"])
    for key in ("images", "subgroup"):
        tree[key] = [tree[key]] if isinstance(tree[key], str) else tree[key] or []
    problems: list[Problem] = []

    def part(cls: type[T], values: Any, where: str) -> T | None:
        try:
            return build(cls, values, where)
        except ConfigError as error:
            problems.extend(error.problems)
            return None

    judge["judges"] = [part(JudgeAddress, j, f"judge.judges[{i}]") for i, j in enumerate(judge["judges"] or ())]
    judge["server"] = part(ServedModel, judge["server"], "judge.server") if judge.get("server") else None
    built = {
        **tree,
        "judge": part(JudgeSettings, judge, "judge"),
        "server": part(ServedModel, tree["server"], "server"),
        "tasks": {name: part(TaskSpec, spec, f"tasks.{name}") for name, spec in tree["tasks"].items()},
    }
    settings = part(EvalSettings, built, "")
    if problems or settings is None:
        raise ConfigError(problems)
    return settings


def build(cls: type[T], values: Any, where: str) -> T:
    """Build a settings class from a YAML node.

    Raises:
        ConfigError: all unknown keys, each with the closest known one, and all missing keys.
    """
    if not isinstance(values, Mapping):
        raise ConfigError.of(where, "not-a-mapping", f"{values!r} is not a mapping")
    prefix = f"{where}." if where else ""
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    problems = []
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), list(known), n=1, cutoff=0.5)
            problems.append(
                Problem(f"{prefix}{key}", "no-such-key", f"no such key{f'; did you mean {near[0]}?' if near else ''}")
            )
    for name, f in known.items():
        if name not in values and f.default is MISSING and f.default_factory is MISSING:
            wanted = f.metadata.get("give", "one")
            problems.append(Problem(f"{prefix}{name}", "no-value", f"has no value; give {wanted}"))
    if problems:
        raise ConfigError(problems)
    return cls(**{str(key): value for key, value in values.items()})


def _image_problems(tasks: Mapping[str, TaskSpec]) -> Iterator[Problem]:
    for name, task in tasks.items():
        try:
            build(ImageRules, task.image, f"tasks.{name}.image")
        except ConfigError as error:
            yield from error.problems
        else:
            yield from rule_problems(task.image, f"tasks.{name}.image.")


def with_whole_paths(task: TaskSpec) -> TaskSpec:
    """The task with the absolute paths of the user's own code; they are given relative to the current directory."""
    form, scorer = (user_code.absolute(n) if isinstance(n, str) else n for n in (task.format, task.scorer))
    return replace(task, format=form, scorer=scorer)


def code_problems(tasks: Mapping[str, TaskSpec]) -> list[Problem]:
    """Fields with values that they cannot have, and code that cannot be loaded."""
    problems: list[Problem] = []
    for name, task in tasks.items():
        where = f"tasks.{name}"
        told = {field.name: getattr(task, field.name) for field in fields(task)}
        if wrong := [*field_problems(told, where), *_image_problems({name: task})]:
            problems += wrong
            continue
        for load, value, key in ((load_format, task.format, "format"), (load_scorer, task.scorer, "scorer")):
            try:
                loaded = load(value, f"{where}.{key}")
            except ConfigError as error:
                problems += error.problems
                continue
            if loaded is not None and not callable(loaded):
                problems.append(
                    Problem(f"{where}.{key}", "not-a-function", f"{value} is {type(loaded).__name__}, no function")
                )
    return problems


def _template_problems(judge: JudgeSettings) -> Iterator[Problem]:
    """What is wrong with the user's own prompt about a criterion."""
    key, path = "judge.criterion_prompt", judge.criterion_prompt
    if path is None:
        return
    if not isinstance(path, str) or not Path(path).is_file():
        yield Problem(key, "no-such-file", f"{path} does not exist")
        return
    try:
        text = judge.criterion_template or ""
    except (OSError, UnicodeDecodeError) as error:
        yield Problem(key, "not-readable", f"{path} cannot be read: {error}")
        return
    if missing := missing_marks(text):
        says = f"{path} has no {' and no '.join(missing)}; docs/evaluation.md names the marks"
        yield Problem(key, "no-placeholder", says)


def _overlap_problems(settings: EvalSettings) -> Iterator[Problem]:
    """Why generation and judging cannot overlap: a judge that has to be started, or one server for both."""
    if settings.overlap is True:
        addresses = [judge.base_url for judge in settings.judge.judges]
        if None in addresses:
            says = "needs judges that run already, on other GPUs than the model: give each its base_url"
            yield Problem("overlap", "judge-not-running", says)
        elif settings.base_url is not None and settings.base_url in addresses:
            yield Problem("overlap", "same-server", f"model and judge are both served at {settings.base_url}")


def _wrong(settings: EvalSettings) -> list[Problem]:
    judge = settings.judge
    addresses = {"base_url": settings.base_url} | {
        f"judge.judges[{number}].base_url": address.base_url for number, address in enumerate(judge.judges)
    }
    problems = [problem for key, url in addresses.items() if url is not None for problem in address_problems(key, url)]
    problems += [*_template_problems(judge), *_overlap_problems(settings)]
    for key, served in (("server", settings.server), ("judge.server", judge.server)):
        problems += word_problems(f"{key}.arguments", served.arguments) if served is not None else []
    for name in ("match_prompt", "report_prompt", "reasoning_prompt"):
        try:
            prompts.load(getattr(judge, name))
        except ConfigError as error:
            problems += [problem.below(f"judge.{name}") for problem in error.problems]
    wrong = [word for word in settings.images or ("",) if word not in CONDITIONS]
    if wrong or len(set(settings.images)) != len(settings.images):
        says = f"{', '.join(map(str, settings.images)) or 'nothing'}: give some of {', '.join(CONDITIONS)}, each once"
        problems.append(Problem("images", "not-a-choice", says))
    if not all(isinstance(name, str) for name in settings.subgroup):
        problems.append(Problem("subgroup", "not-a-list", f"{settings.subgroup!r} is no list of columns"))
    votes = len(judge.judges) * len(judge.seeds)
    if len(set(judge.seeds)) != len(judge.seeds):
        problems.append(
            Problem(
                "judge.seeds", "given-twice", f"{list(judge.seeds)} holds one twice; equal seeds are one vote, not two"
            )
        )
    if len({j.model for j in judge.judges}) != len(judge.judges):
        problems.append(Problem("judge.judges", "given-twice", "the same model twice; give it more seeds instead"))
    if not judge.judges:
        problems.append(
            Problem(
                "judge.judges",
                "no-judge",
                "names no judge; for one that runs: 'judge.judges=[{model: NAME, base_url: URL}]'",
            )
        )
    elif votes % 2 == 0:
        problems.append(
            Problem(
                "judge",
                "even-votes",
                f"{len(judge.judges)} judges and {len(judge.seeds)} seeds make {votes} votes; need an odd number",
            )
        )
    for index, address in enumerate(judge.judges):
        if address.base_url is None and (judge.server is None or judge.server.model != address.model):
            problems.append(
                Problem(
                    f"judge.judges[{index}].base_url",
                    "no-value",
                    f"has no value, and judge.server does not serve {address.model}",
                )
            )
    return problems
