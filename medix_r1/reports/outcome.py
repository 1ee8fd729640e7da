"""What a run came to: one sentence, and each held-out signal before and after with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Steps = Mapping[int, Mapping[str, float]]
_ORDER = ("overall", "llm", "embed", "format", "modality", "exact")
_NAMES = {"overall": "reward", "llm": "llm (judge)", "exact": "exact (no reward)"}
_TRAINING = "training"


@dataclass(frozen=True, slots=True)
class Change:
    """One signal on one set of questions, first and last.

    Attributes:
        source: held-out set, or `training`.
        signal: part of the reward, or `overall`.
        before, after: means in [0, 1].
        before_half, after_half: half the width of their 95 % intervals; None where none was logged.
        steps: the steps that are compared.
    """

    source: str
    signal: str
    before: float
    after: float
    before_half: float | None
    after_half: float | None
    steps: tuple[int, int]

    @property
    def gain(self) -> float:
        """The difference."""
        return self.after - self.before

    @property
    def name(self) -> str:
        """The signal for people."""
        return _NAMES.get(self.signal, self.signal)

    @property
    def is_main(self) -> bool:
        """Whether it belongs on the first screen; monitors do not."""
        return self.signal in _ORDER

    @property
    def is_clear(self) -> bool | None:
        """Whether the intervals are apart; None without intervals."""
        if self.before_half is None or self.after_half is None:
            return None
        return abs(self.gain) > self.before_half + self.after_half


def changes(steps: Steps) -> list[Change]:
    """Held-out signals at the first and last validation, by set; those of training where nothing is held out."""
    keys = {key for metrics in steps.values() for key in metrics if key.endswith("/mean")}
    held_out = sorted(
        {tuple(key.split("/")[1:3]) for key in keys if key.startswith("heldout/") and key.count("/") == 3}
    )
    pairs = [("heldout", source, signal) for source, signal in held_out]
    if not any(_points(steps, f"heldout/{source}/{signal}/mean")[1:] for _, source, signal in pairs):
        pairs = [("reward", _TRAINING, key.split("/")[1]) for key in sorted(keys) if key.startswith("reward/")]
    found = []
    for kind, source, signal in pairs:
        key = f"{kind}/{source}/{signal}" if kind == "heldout" else f"{kind}/{signal}"
        if len(points := _points(steps, f"{key}/mean")) > 1:
            first, last = points[0], points[-1]
            halves = [steps[step].get(f"{key}/interval") for step in (first, last)]
            values = [steps[step][f"{key}/mean"] for step in (first, last)]
            found.append(Change(source, signal, values[0], values[1], halves[0], halves[1], (first, last)))
    return sorted(found, key=lambda one: (one.source, _rank(one.signal), one.signal))


def sentence(steps: Steps, found: Sequence[Change], alarms: int) -> str:
    """The outcome in one line.

    Args:
        steps: the run's metrics.
        found: `changes` of them.
        alarms: how many rang.
    """
    rewards = [one for one in found if one.signal == "overall"]
    rang = {0: "no alarm rang", 1: "one alarm rang"}.get(alarms, f"{alarms} alarms rang")
    if not rewards:
        return f"No reward was logged twice yet; {rang}."
    what = "Training reward" if rewards[0].source == _TRAINING else "Held-out reward"
    verbs = {_verb(one) for one in rewards}
    said = [f"{one.source} " * (one.source != _TRAINING) + f"{one.before:.3f} → {one.after:.3f}" for one in rewards[:3]]
    doubt = _doubt(found, rewards)
    if len(verbs) == 1:
        return f"{what} {verbs.pop()}: {', '.join(said)}{doubt}; {rang}."
    mixed = [f"{text} ({_verb(one)})" for text, one in zip(said, rewards, strict=False)]
    return f"{what}: {', '.join(mixed)}{doubt}; {rang}."


def _doubt(found: Sequence[Change], rewards: Sequence[Change]) -> str:
    """Says where the reward rose beyond chance and exact match, which is no reward, did not: it may be hacked."""
    risen = {one.source for one in rewards if one.is_clear and one.gain > 0}
    exact = [one for one in found if one.signal == "exact" and one.source in risen]
    still = next((one for one in exact if one.is_clear is False or one.gain <= 0), None)
    if still is None:
        return ""
    where = f" on {still.source}" if still.source != _TRAINING else ""
    return f"; but exact match{where}, which is no reward, did not rise ({still.before:.3f} → {still.after:.3f})"


def _verb(one: Change) -> str:
    if one.is_clear is False:
        return "moved within its 95 % intervals"
    return "rose" if one.gain > 0 else "fell" if one.gain < 0 else "stayed"


def _points(steps: Steps, key: str) -> list[int]:
    return [step for step, metrics in sorted(steps.items()) if key in metrics]


def _rank(signal: str) -> int:
    return _ORDER.index(signal) if signal in _ORDER else len(_ORDER)
