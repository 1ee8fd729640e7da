"""Computes the metrics of a step or a validation from its scored rollouts."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medix_r1 import calibration
from medix_r1.grammar import parse_reference
from medix_r1.models.server_state import is_gauge
from medix_r1.rewards.base import NO_MODALITY
from medix_r1.runs.scored_rollout import OVERALL, ScoredRollout

_RESAMPLES = 400  # of the intervals of a validation; a tenth of a second for two thousand samples
_MOST_LABELS = 32  # modalities, sources or further numbers with metrics of their own; the rest is in the totals


def reward_metrics(rollouts: Sequence[ScoredRollout], prefix: str) -> dict[str, float]:
    """Mean, standard deviation, 95 % interval, masked share and share of zero-variance groups, by part and in total.

    Deviations are population standard deviations of the values that exist. A group has zero variance in a part when it
    has at least two values and all are equal; its advantages are 0. Also: means by modality and by source, the gap
    between embedder and judge, and the call counts of the reward's servers.
    """
    if not rollouts:
        return {}
    metrics: dict[str, float] = {}
    for name, column in _columns(rollouts).items():
        values = [value for value in column if value is not None]
        if values:
            metrics[f"{prefix}/{name}/mean"] = statistics.fmean(values)
            metrics[f"{prefix}/{name}/std"] = statistics.pstdev(values)
            metrics[f"{prefix}/{name}/interval"] = half_interval(rollouts, column)
            metrics[f"{prefix}/{name}/zero_variance_groups"] = _zero_variance_share(rollouts, column)
        metrics[f"{prefix}/{name}/masked_share"] = 1.0 - len(values) / len(column)
    metrics |= unscored_shares(rollouts, prefix)
    metrics[f"{prefix}/cut_share"] = statistics.fmean(rollout.cut for rollout in rollouts)
    metrics[f"{prefix}/gate_shut_share"] = statistics.fmean(rollout.gate_shut for rollout in rollouts)
    metrics |= _gap(rollouts, prefix) | _denied(rollouts, prefix) | _numbers(rollouts, prefix)
    metrics |= _confidences(rollouts, prefix)
    metrics |= _split(rollouts, f"{prefix}/by_modality", [_modality(rollout) for rollout in rollouts])
    sources = [metric_name(rollout.source) for rollout in rollouts]
    if len(set(sources)) > 1:
        metrics |= _split(rollouts, f"{prefix}/by_source", sources)
    return metrics | {f"{prefix}/{name}": value for name, value in served(rollouts).items()}


def unscored_shares(rollouts: Sequence[ScoredRollout], prefix: str) -> dict[str, float]:
    """Share of rollouts that are masked, and share with a failed signal, each in [0, 1]."""
    return {
        f"{prefix}/masked_share": statistics.fmean(rollout.masked for rollout in rollouts),
        f"{prefix}/failed_share": statistics.fmean(rollout.failure is not None for rollout in rollouts),
    }


def heldout_metrics(rollouts: Sequence[ScoredRollout]) -> dict[str, float]:
    """Metrics of one validation: `heldout/SOURCE/…` by source, `selection/PART/mean` to choose the best checkpoint.

    What stated confidences are worth over all rows is in `selection`, too.

    Rows of the split `test` are not in `selection`, because a checkpoint must not be chosen on the test set.
    """
    chosen = reward_metrics([rollout for rollout in rollouts if rollout.split != "test"], "selection")
    kept = ("mean", "best_constant", *calibration.STATISTICS)
    metrics = {key: value for key, value in chosen.items() if key.rsplit("/", 1)[1] in kept}
    for source in sorted({rollout.source for rollout in rollouts}):
        own = [rollout for rollout in rollouts if rollout.source == source]
        metrics |= reward_metrics(own, f"heldout/{source}") | _confidence_intervals(own, f"heldout/{source}")
    return metrics


def _columns(rollouts: Sequence[ScoredRollout]) -> dict[str, list[float | None]]:
    return {name: [rollout.value(name) for rollout in rollouts] for name in (OVERALL, *rollouts[0].parts)}


def _gap(rollouts: Sequence[ScoredRollout], prefix: str) -> dict[str, float]:
    """Mean of embed minus llm over the rollouts that have both; it grows when the policy fools the embedder."""
    pairs = [(rollout.parts.get("embed"), rollout.parts.get("llm")) for rollout in rollouts]
    gaps = [embed - llm for embed, llm in pairs if embed is not None and llm is not None]
    return {f"{prefix}/embed_minus_llm": statistics.fmean(gaps)} if gaps else {}


def _denied(rollouts: Sequence[ScoredRollout], prefix: str) -> dict[str, float]:
    """Share of exact answers (the reference or an accepted wording) that the judge calls wrong."""
    right = [rollout.parts.get("llm") for rollout in rollouts if rollout.parts.get("exact") == 1.0]
    judged = [verdict for verdict in right if verdict is not None]
    return {f"{prefix}/judge_denies_exact": statistics.fmean(v < 0.5 for v in judged)} if judged else {}


@dataclass(frozen=True, slots=True)
class _Said:
    """The stated confidences that a signal compared with a verdict, and the group of each."""

    confidence: calibration.Numbers
    verdict: calibration.Numbers
    groups: list[str]

    @classmethod
    def of(cls, rollouts: Sequence[ScoredRollout]) -> dict[str, _Said]:
        """By signal; whatever it is called, it returned both numbers."""
        found = {}
        for name in rollouts[0].parts if rollouts else ():
            keys = f"{name}/confidence", f"{name}/verdict"
            said = [rollout for rollout in rollouts if all(key in rollout.numbers for key in keys)]
            if said:
                confidence, verdict = (np.array([rollout.numbers[key] for rollout in said]) for key in keys)
                found[name] = cls(confidence, verdict, [rollout.uid for rollout in said])
        return found


def _confidences(rollouts: Sequence[ScoredRollout], prefix: str) -> dict[str, float]:
    """What stated confidences are worth (`medix_r1/calibration.py`), and whether they still differ from one another."""
    metrics: dict[str, float] = {}
    for name, said in _Said.of(rollouts).items():
        pair = said.confidence, said.verdict
        own = {
            "said_share": len(said.groups) / len(rollouts),
            "commonest_share": float(np.bincount(calibration.bins(said.confidence)).max() / len(said.groups)),
            "best_constant": calibration.best_constant(said.verdict),
            **{measure: statistic(*pair) for measure, statistic in calibration.STATISTICS.items()},
        }
        metrics |= {f"{prefix}/{name}/{measure}": value for measure, value in own.items() if value == value}
    return metrics


def _confidence_intervals(rollouts: Sequence[ScoredRollout], prefix: str) -> dict[str, float]:
    """Ends of the 95 % intervals of ECE and AUROC, over groups."""
    metrics: dict[str, float] = {}
    for name, said in _Said.of(rollouts).items():
        for measure in ("ece", "auroc"):
            statistic = calibration.STATISTICS[measure]
            found = calibration.interval(statistic, said.confidence, said.verdict, said.groups, _RESAMPLES)
            if found is not None:
                metrics |= {f"{prefix}/{name}/{measure}_low": found.low, f"{prefix}/{name}/{measure}_high": found.high}
    return metrics


def _numbers(rollouts: Sequence[ScoredRollout], prefix: str) -> dict[str, float]:
    """`prefix/signal/name/mean` of the further numbers that reward functions returned, over rollouts that have it."""
    columns: dict[str, list[float]] = defaultdict(list)
    for rollout in rollouts:
        for name, value in rollout.numbers.items():
            columns[name].append(value)
    most = Counter({name: len(values) for name, values in sorted(columns.items())}).most_common(_MOST_LABELS)
    named = {name: "/".join(map(metric_name, name.split("/"))) for name, _ in most}
    return {f"{prefix}/{named[name]}/mean": statistics.fmean(columns[name]) for name, _ in most}


def half_interval(rollouts: Sequence[ScoredRollout], column: Sequence[float | None]) -> float:
    """Half width of a 95 % confidence interval of the mean: 1.96 standard errors over the means of groups.

    Rollouts of a group are correlated, so the group is the unit. With fewer than two groups it is 0.
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for rollout, value in zip(rollouts, column, strict=True):
        if value is not None:
            groups[rollout.uid].append(value)
    means = [statistics.fmean(values) for values in groups.values()]
    return 1.96 * statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else 0.0


def reward_tail(rollouts: Sequence[ScoredRollout]) -> float:
    """Seconds from the last finished reply to the last finished reward: the time that rewards add to a step."""
    return max(r.seconds[1] for r in rollouts) - max(r.seconds[0] for r in rollouts) if rollouts else 0.0


def _split(rollouts: Sequence[ScoredRollout], prefix: str, labels: Sequence[str]) -> dict[str, float]:
    """`prefix/label/part` → mean of a part, for the labels with the most rollouts."""
    metrics: dict[str, float] = {}
    for label, _ in Counter(sorted(labels)).most_common(_MOST_LABELS):
        members = [rollout for rollout, own in zip(rollouts, labels, strict=True) if own == label]
        for name, column in _columns(members).items():
            if values := [value for value in column if value is not None]:
                metrics[f"{prefix}/{label}/{name}"] = statistics.fmean(values)
    return metrics


def _modality(rollout: ScoredRollout) -> str:
    return parse_reference(rollout.reference).modality or NO_MODALITY


def metric_name(text: str) -> str:
    """A text of the data set as part of a metric's name: special characters replaced, at most 48 characters."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text)[:48] or NO_MODALITY


def served(rollouts: Sequence[ScoredRollout]) -> dict[str, float]:
    """Call counts of the reward's servers in this step: maxima of counters, gauges of the latest sample."""
    carried = [rollout.statistics for rollout in rollouts if rollout.statistics]
    if not carried:
        return {}
    latest = max(carried, key=lambda statistics: sum(v for n, v in statistics.items() if not is_gauge(n)))
    names = {name for one in carried for name in one}
    return {
        name: latest[name] if is_gauge(name) else max(one.get(name, 0.0) for one in carried)
        for name in sorted(names)
        if name in latest or not is_gauge(name)
    }


def _zero_variance_share(rollouts: Sequence[ScoredRollout], column: Sequence[float | None]) -> float:
    groups: dict[str, list[float]] = defaultdict(list)
    for rollout, value in zip(rollouts, column, strict=True):
        if value is not None:
            groups[rollout.uid].append(value)
    comparable = [values for values in groups.values() if len(values) > 1]
    return statistics.fmean(min(v) == max(v) for v in comparable) if comparable else 0.0
