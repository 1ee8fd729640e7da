"""One rollout with its reward: the record that the reward manager makes, verl carries, and `samples/` stores.

verl passes a dictionary from the reward manager to the sampler. Some fields are in it as numbers, for verl's own
metrics; the whole record is in it as JSON. Both are derived from the fields of the class, so a new field needs one line
here. Records and `samples/` from before a field existed get its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from pydantic import TypeAdapter

from medix_r1.rewards.base import Detail

OVERALL = "overall"
THINK_AT = "think_at"  # in a line of `samples/`: characters of the reply where the think block begins and ends
RECORD = "detail"  # key of the JSON record in verl's dictionary

_PLAIN = {"plain": True}  # the field is also a number of its own in verl's dictionary
_IF_ANY = {"if any": True}  # not in a line of `samples/` while it is empty, as in runs from before the field
_OF_THE_STEP = {"of the step": True}  # belongs to the step, so it is not written to `samples/`


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRollout:
    """A rollout with its reward. Do not rename fields: `samples/*.jsonl` of old runs have them.

    Attributes:
        key: verl's name of the sample, `uid_session_index`; empty until verl has stored the sample.
        uid: name of the group.
        row_id: name of the row in the data set.
        source: the row's data set.
        question: what was asked.
        reference: the right answer, with its modality tag.
        reply: the text as generated.
        answer, modality, think: the parsed blocks; None where the reply has none.
        parts: signal → unweighted value in [0, 1]; None where the signal does not apply or failed. It has every signal
            of the run.
        reasons: signal → why it has its value.
        overall: the reward in [0, 1], with overlong=soft in [-1, 1]; None for a masked sample.
        masked: left out of the group's statistics and of the update.
        failure: why there is no reward.
        outage: a server or the code is at fault, not this sample.
        cut: generation ended at the length limit.
        tokens: length of the reply.
        weights: signal → effective weight, renormalised over the signals that apply.
        gate_shut: no signal but the gate counts.
        problems: what the parser found wrong with the reply's format.
        split: of the row; rows of `test` never choose a checkpoint.
        image: the question shows one.
        choices: of a multiple-choice question.
        accepted: other wordings of the reference.
        advantage: mean over the reply's tokens; None for a sample that was not trained on.
        filtered: the group filter discarded its group, so it was not trained on.
        seconds: start and end of its scoring, in seconds since the epoch.
        numbers: signal/name → further number that the signal's function returned, of any range.
        rubric: criteria of the row, as it has them.
        rationale: steps of the row's rationale.
        details: signal → what its value was made of, such as the criteria with their verdicts.
        statistics: counters of judge and embedder in this step so far; empty when another sample carries them.
    """

    key: str = ""
    uid: str
    row_id: str
    source: str
    question: str
    reference: str
    reply: str
    answer: str | None
    modality: str | None
    parts: Mapping[str, float | None]
    reasons: Mapping[str, str]
    overall: float | None = field(metadata=_PLAIN)
    masked: bool = field(metadata=_PLAIN)
    failure: str | None
    outage: bool
    cut: bool = field(metadata=_PLAIN)
    tokens: int
    weights: Mapping[str, float] = field(default_factory=dict)
    gate_shut: bool = False
    think: str | None = None
    problems: tuple[str, ...] = ()
    split: str = ""
    image: bool = False
    choices: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    advantage: float | None = None
    filtered: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict, metadata=_IF_ANY)
    rubric: tuple[Mapping[str, Any], ...] = field(default=(), metadata=_IF_ANY)
    rationale: tuple[str, ...] = field(default=(), metadata=_IF_ANY)
    details: Mapping[str, tuple[Detail, ...]] = field(default_factory=dict, metadata=_IF_ANY)
    seconds: tuple[float, float] = field(default=(0.0, 0.0), metadata=_OF_THE_STEP)
    statistics: Mapping[str, float] = field(default_factory=dict, metadata=_OF_THE_STEP)

    def value(self, part: str) -> float | None:
        """The value of a part of the reward, or the total if the part is `overall`.

        Raises:
            KeyError: the reward has no such part.
        """
        return self.overall if part == OVERALL else self.parts[part]

    def to_verl(self) -> dict[str, Any]:
        """The dictionary that verl carries as `reward_extra_info`.

        verl takes the keys of the first sample and expects them in all others. So every sample has all parts,
        `overall`, `masked` and `cut` as numbers or None, and the JSON record.
        """
        plain = {one.name: getattr(self, one.name) for one in fields(self) if "plain" in one.metadata}
        return {
            **self.parts,
            **{name: None if value is None else float(value) for name, value in plain.items()},
            RECORD: _json_of(type(self)).dump_json(self).decode(),
        }

    @classmethod
    def from_verl(cls, reward_extra_info: Mapping[str, Any], *, key: str, tokens: int) -> Self:
        """Restore a rollout from `to_verl`, with the key and length that verl knows.

        Args:
            reward_extra_info: verl's dictionary of the sample.
            key: the sample's key in TransferQueue, `uid_session_index`.
            tokens: length of the sample's response.
        """
        rollout: Self = _json_of(cls).validate_json(reward_extra_info[RECORD])
        return replace(rollout, key=key, uid=key.split("_")[0], tokens=tokens)

    def to_line(self) -> dict[str, Any]:
        """The sample as a line of `samples/`; a think block is not written a second time (`with_think`)."""
        left_out = {
            one.name
            for one in fields(self)
            if "of the step" in one.metadata or ("if any" in one.metadata and not getattr(self, one.name))
        }
        line = {name: value for name, value in asdict(self).items() if name not in left_out}
        if self.think and (start := self.reply.find(self.think)) >= 0:
            del line["think"]
            line[THINK_AT] = [start, start + len(self.think)]
        return line


def with_think(line: dict[str, Any]) -> dict[str, Any]:
    """A line of `samples/` with its think block, which newer lines hold as a place in the reply."""
    if THINK_AT in line:
        start, end = line.pop(THINK_AT)
        line["think"] = line["reply"][start:end]
    return line


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _json_of(cls: Any) -> TypeAdapter[Any]:
    if cls not in _adapters:
        _adapters[cls] = TypeAdapter(cls)  # memoised, as building one takes milliseconds
    return _adapters[cls]
