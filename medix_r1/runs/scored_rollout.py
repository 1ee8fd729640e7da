"""One rollout with its reward: the record that the reward manager makes, verl carries, and `samples/` keeps.

verl passes a dictionary from the reward manager to the sampler. Its values under plain names feed verl's own metrics;
the whole record travels beside them as one text. Both directions go over the fields of the class, so a new field is one
line here, and a record or a line of `samples/` from before it has the field's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from pydantic import TypeAdapter

OVERALL = "overall"
RECORD = "detail"  # the key under which the whole record travels

_PLAIN = {"plain": True}  # verl gets the value under the field's name, too
_OF_THE_STEP = {"of the step": True}  # not of the sample, and not written to `samples/`


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRollout:
    """A rollout with its reward. Fields keep their names: `samples/*.jsonl` of old runs have them.

    Attributes:
        key: verl's name of the sample, `uid_session_index`; empty until verl has stored the sample.
        uid: name of the group.
        row_id: name of the row in the data set.
        source: the row's data set.
        question: what was asked.
        reference: the right answer, with its modality tag.
        reply: the text as generated.
        answer, modality, think: what was parsed; None where the reply has none.
        parts: signal → unweighted value in [0, 1]; None where the signal does not apply or failed. Every signal of the
            run, in every sample.
        reasons: signal → why it has its value.
        overall: the reward in [0, 1]; None for a masked rollout.
        masked: kept out of the group's statistics and of the update.
        failure: why there is no reward.
        outage: the failure is of a server or of code, not of this sample.
        cut: generation ended at the length limit.
        tokens: length of the reply.
        weights: signal → the weight that counted, after those of signals that do not apply were shared out.
        gate_shut: nothing but the gate's signal was counted.
        problems: what the parser found wrong with the reply's form.
        split: of the row; rows of `test` never choose a checkpoint.
        image: the question shows one.
        choices: of a multiple-choice question.
        accepted: other wordings of the reference.
        advantage: mean over the reply's tokens; None where nothing was trained on it.
        filtered: its group taught nothing and was generated anew.
        seconds: when its reward began and ended, since the epoch.
        statistics: what servers were asked in this step until now; empty when another sample carries it.
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
    seconds: tuple[float, float] = field(default=(0.0, 0.0), metadata=_OF_THE_STEP)
    statistics: Mapping[str, float] = field(default_factory=dict, metadata=_OF_THE_STEP)

    def value(self, part: str) -> float | None:
        """The value of a part of the reward, or the total's under the name `overall`.

        Raises:
            KeyError: the reward has no such part.
        """
        return self.overall if part == OVERALL else self.parts[part]

    def to_verl(self) -> dict[str, Any]:
        """What verl carries as `reward_extra_info`.

        verl reads the keys of the first sample and looks them up in every other one, so all samples have the same:
        every part, `overall`, `masked` and `cut` as numbers (None where there is none), and the record.
        """
        plain = {one.name: getattr(self, one.name) for one in fields(self) if "plain" in one.metadata}
        return {
            **self.parts,
            **{name: None if value is None else float(value) for name, value in plain.items()},
            RECORD: _json_of(type(self)).dump_json(self).decode(),
        }

    @classmethod
    def from_verl(cls, reward_extra_info: Mapping[str, Any], *, key: str, tokens: int) -> Self:
        """The rollout that `to_verl` was called on, under the name and length that verl's sample has.

        Args:
            reward_extra_info: as verl hands it out.
            key: the sample's name in TransferQueue, `uid_session_index`.
            tokens: length of the sample's response.
        """
        rollout: Self = _json_of(cls).validate_json(reward_extra_info[RECORD])
        return replace(rollout, key=key, uid=key.split("_")[0], tokens=tokens)

    def to_line(self) -> dict[str, Any]:
        """What a line of `samples/` holds."""
        left_out = {one.name for one in fields(self) if "of the step" in one.metadata}
        return {name: value for name, value in asdict(self).items() if name not in left_out}


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _json_of(cls: Any) -> TypeAdapter[Any]:
    if cls not in _adapters:
        _adapters[cls] = TypeAdapter(cls)  # takes milliseconds to build
    return _adapters[cls]
