"""Rules for their data sets and reward functions: rows are prepared once, and a function becomes a signal."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from medix_r1.migration.draft import Draft, Entry, Fate
from medix_r1.migration.found import Project, Unresolved

_PUBLIC_DATA = "MBZUAI/medix-rl-data"
_PUBLIC_REWARD = ("medical.py", "compute_score")
JUDGE_PORT = 8085  # of the public script that serves the judge
_JUDGE = {"judge.client.base_url": f"http://127.0.0.1:{JUDGE_PORT}/v1"}
_SERVE = f"medix-r1 serve judge=vllm judge.server.port={JUDGE_PORT}"


def data(draft: Draft, key: str, value: Any) -> Entry:
    """A data set of the hub, or files: what `medix-r1 data prepare` reads."""
    is_held_out = key.endswith("val_files")
    first = value[0] if isinstance(value, list) and value else value
    source = str(first).partition("@")[0]
    if draft.choices.get("data") == "medix_rl" and is_held_out:
        says = "rows held out of the training rows, by groups of pictures; the public test split is a benchmark"
        return Entry(key, value, Fate.CHANGED, {"data": "medix_rl"}, says)
    if is_held_out:
        says = "`medix-r1 data prepare` holds rows out; for these very ones prepare them too and set data.val_files"
        return Entry(key, value, Fate.CHANGED, {}, says)
    if source == _PUBLIC_DATA:
        draft.choices["data"] = "medix_rl"
        draft.next_commands.insert(0, "medix-r1 data prepare data=medix_rl")
        return Entry(key, value, Fate.SAME, {"data": "medix_rl"})
    folder = f"data/{_slug(source)}"
    prepare(draft, source, folder, is_unresolved=isinstance(value, Unresolved))
    return Entry(key, value, Fate.CHANGED, {"data": "prepared", "data.folder": folder}, "prepared once, before the run")


def prepare(draft: Draft, source: str, folder: str, *, is_unresolved: bool = False) -> None:
    """Take the rows from a folder that `medix-r1 data prepare` writes, and say how."""
    draft.choices["data"] = "prepared"
    draft.values["data.folder"] = folder
    if source.endswith((".parquet", ".jsonl", ".json", ".csv")) and not is_unresolved:
        kind = {"parquet": "parquet", "csv": "csv"}.get(source.rpartition(".")[2], "jsonl")
        place = shlex.quote(f"data.path={source}")
    else:
        kind, place = "parquet", "data.path=COPY_OF_IT"
    own_prompts = " instructions=false" if draft.script.project is Project.VERL else ""
    draft.next_commands.insert(0, f"medix-r1 data prepare data={kind} {place} out={folder}{own_prompts}")


def _slug(source: str) -> str:
    parts = [part for part in source.split("/") if part and "$" not in part]
    named = parts[-2] if len(parts) > 1 and parts[-1].startswith(("train", "test")) else parts[-1] if parts else "mine"
    return re.sub(r"\W+", "_", named.rpartition(".")[0] or named).strip("_") or "mine"


def reward(draft: Draft, key: str, value: Any) -> Entry:
    """A reward function: the public one is ours, another one in a file becomes a signal, none is called."""
    if draft.script.project is Project.TRL:
        composite(draft)
        says = "write its functions into a file, as TrlReward (docs/extend/signal.md); until then our composite"
        return Entry(key, value, Fate.NONE, {"reward": "composite"}, says)
    path, function = _named_function(draft)
    if path is None:
        composite(draft)
        is_switch = key.endswith((".enable", "launch_reward_fn_async")) and value is False
        says = "the reward is our composite; a signal of your own is docs/extend/signal.md"
        return Entry(key, value, Fate.NOT_NEEDED if is_switch else Fate.NONE, {"reward": "composite"}, says)
    if (Path(path).name, function) == _PUBLIC_REWARD and draft.script.project is Project.EASYR1:
        composite(draft)
        says = f"the paper's composite, whose judge `{_SERVE}` serves; reward=paper has every rule of theirs"
        return Entry(key, value, Fate.SAME, {"reward": "composite", **_JUDGE}, says)
    if not _is_there(path):
        composite(draft)
        says = f"{path} is not in this directory, so our composite stands in; translate again where it lies"
        return Entry(key, value, Fate.NONE, {"reward": "composite"}, says)
    target = "EasyR1Reward" if draft.script.project is Project.EASYR1 else "VerlReward"
    signal: dict[str, Any] = {
        "_target_": f"medix_r1.rewards.adapters.{target}",
        "function": f"./{path.removeprefix('./')}:{function}" if not Path(path).is_absolute() else f"{path}:{function}",
    }
    arguments = _arguments(draft)
    draft.signal = signal | ({"kwargs": arguments} if arguments else {})
    draft.choices |= {"judge": "none"}
    return Entry(key, value, Fate.SAME, {"reward.signals.ported": draft.signal}, "alone; docs/extend/signal.md")


def composite(draft: Draft) -> None:
    """Our composite, whose judge runs where the public script serves it."""
    draft.choices |= {"judge": "remote", "reward": "composite"}
    draft.values |= _JUDGE
    if _SERVE not in draft.next_commands:
        draft.next_commands.append(_SERVE)


def _named_function(draft: Draft) -> tuple[str | None, str]:
    """The file and the name of the function that the script scores with."""
    settings = draft.script.settings
    if draft.script.project is Project.EASYR1:
        given = settings.get("worker.reward.reward_function", settings.get("worker.reward.score_function"))
        path, _, function = str(given or "").partition(":")
    else:
        names = ("custom_reward_function", "reward.custom_reward_function")
        given = next((settings[f"{one}.path"] for one in names if settings.get(f"{one}.path")), None)
        path = str(given or "")
        function = str(next((settings[f"{one}.name"] for one in names if f"{one}.name" in settings), "compute_score"))
    if not path or isinstance(given, Unresolved):
        return None, ""
    return path, function or "main"


def _is_there(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _arguments(draft: Draft) -> dict[str, Any]:
    marks = ("function_kwargs.", "reward_kwargs.")
    return {
        key.partition(mark)[2]: value
        for key, value in draft.script.settings.items()
        for mark in marks
        if mark in key and not isinstance(value, Unresolved)
    }
