"""Maps old dotted names in configs to current ones, because modules moved.

Experiment files and the configs of old runs name modules (`_target_`, `path: pkg://…`). Every reader of a config
replaces old names by this table, so they keep working. Imports of old names do not; CHANGELOG.md lists the new ones.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

# (old package, new package) → modules that kept their names.
_WITH_THEIR_NAMES = {
    ("training", "runs"): "alarms phases provenance samples_folder stacks sweep_record trend",
    ("training", "training.command"): "check_view driver launch progress resume silence supervisor",
    ("training", "training.preflight"): "checks",
    ("training", "training.preflight.machine"): "disk memory placement",
    ("training", "training.preflight.model"): "model_folder",
    ("training", "training.preflight.rows"): "lengths",
    ("rewards", "rewards.monitors"): "exact grade hedging laterality length negation numeric repetition",
    ("training", "training.verl_plugin"): (
        "agent_loop cpu engine optimizer plugin reward_manager rollouts sampler trainer"
    ),
    ("training", "training.verl_plugin.watching"): "liveness watch",
    ("training", "training.verl_plugin.patches"): "position_ids shared_images",
    ("data", "images"): "dicom",
    ("data", "data.lengths"): "fit tokens",
    ("data", "data.looking"): "leak_report leaks stats view",
    ("checkpoints", "checkpoints.parameters"): "blueprint lora weights",
    ("demo", "demo.rows"): "dataset labels views",
    ("scoring", "scoring.probes"): "probe probe_file probe_view",
    ("rewards", "wording"): "alternatives",
    ("models", "models.ensemble"): "voting",
    ("reports", "reports.comparison"): "compare_files compare_gaps",
    ("evaluation", "evaluation.benchmarks"): "formats image_server items sources tasks",
    ("evaluation", "evaluation.phases"): (  # the old module `phases` itself is a package now, so no name of it is here
        "fingerprint journal judging messages model_api replies scoring servers"
    ),
    ("evaluation", "evaluation.results"): "audit compare comparison_text forest records sheet statistics",
    ("evaluation", "evaluation.sharing"): "blind blind_result submission",
}
_RENAMED = {
    "bounded_cache": "host.bounded_cache",
    "collector": "host.gc_tuning",
    "collector.look_seldom": "host.gc_tuning.tune_for_imports",
    "collector.relax": "host.gc_tuning.tune_for_scoring",
    "collector.resume": "host.gc_tuning.tune_for_training",
    "gc_tuning": "host.gc_tuning",
    "log_tail": "host.log_tail",
    "machine": "host.machine",
    "processes": "host.processes",
    "checkpoints.shards": "checkpoints.parameters.fsdp_shards",
    "checkpoints.staging": "checkpoints.atomic_folder",
    "checkpoints.verify": "checkpoints.verification.logits",
    "data.images": "images.decode",
    "data.sources.lines.CsvSource": "data.sources.csv_file.CsvSource",
    "demo.compare": "demo.evaluate",
    "demo.pictures": "demo.summary_plots",
    "demo.report": "demo.summary",
    "demo.sources": "demo.rows.source_pictures",
    "evaluation.archive": "images.archive",
    "evaluation.report": "evaluation.results.table",
    "scoring.audit": "scoring.judging.audit",
    "scoring.audit_report": "scoring.judging.audit_report",
    "judging.bench": "scoring.judge_bench",
    "judging.cli": "scoring.judge_cli",
    "models.addresses": "models.server_state",
    "models.answers": "models.response_cache",
    "models.pace": "models.rate_limit",
    "models.patience": "models.retry_policy",
    "models.replies": "models.http_errors",
    "models.usage": "models.server_state",
    "models.wire": "models.connection",
    "remembered": "host.bounded_cache",
    "reports.compare": "reports.run_groups",
    "reports.images": "reports.sample_images",
    "rewards.gathering": "rewards.composite",
    "rewards.rule_scores": "rewards.base",
    "rewards.settled": "rewards.base",
    "training.gdpo": "algorithms.gdpo",
    "training.arithmetic": "training.preflight.rows.batches",
    "training.checkpoint_folder": "runs.checkpoints",
    "training.job_wide": "training.verl_plugin.scorer",
    "training.run_folder": "runs.folder",
    "training.samples": "training.verl_plugin.reward_metrics",
    "training.steering": "runs.requests",
}
MOVED: Mapping[str, str] = {
    f"medix_r1.{old}": f"medix_r1.{new}"
    for old, new in (
        *((f"{old}.{name}", f"{new}.{name}") for (old, new), ms in _WITH_THEIR_NAMES.items() for name in ms.split()),
        *_RENAMED.items(),
    )
}
# A value counts as names only if all of it is: `medix_r1.x.Y`, `pkg://medix_r1.x`, `medix_r1.x:y`, or a list of these.
_NAMES = re.compile(r"(?:pkg://)?[\w.:]+(?:\s*,\s*[\w.:]+)*")
_OURS = re.compile(r"\bmedix_r1(?:\.\w+)+")
logger = logging.getLogger(__name__)
_logged: set[str] = set()


def current(name: str) -> str:
    """The current form of a dotted name of this package (module, class or function); other texts are unchanged."""
    return _OURS.sub(lambda found: _current(found[0]), name) if _NAMES.fullmatch(name) else name


def _current(name: str) -> str:
    parts = name.split(".")
    for end in range(len(parts), 1, -1):
        if now := MOVED.get(".".join(parts[:end])):
            return ".".join((now, *parts[end:]))
    return name


def moved(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str, str]]:
    """Yield (path of keys, old name, current name) for every value of a plain tree that has an old name."""
    if isinstance(tree, Mapping | list):
        for key, value in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
            yield from moved(value, (*path, key))
    elif isinstance(tree, str) and (now := current(tree)) != tree:
        yield path, tree, now


def replace_moved(config: Any, tree: Any, *, warn: bool = True) -> None:
    """Replace old names in `config`, in place.

    Args:
        config: nested mappings and lists, also OmegaConf's.
        tree: the same as plain mappings and lists.
        warn: log each old name, once a process; False for configs that a user cannot change, such as an old run's.
    """
    for path, old, now in list(moved(tree)):
        node = config
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = now
        line = f"{'.'.join(map(str, path))}: {old} is now called {now}; write the new name"
        if warn and line not in _logged:
            _logged.add(line)
            logger.warning(line)
