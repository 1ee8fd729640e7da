"""What is tried: a wrong answer, what was put around it, and the form of the whole reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from medix_r1.grammar import ModalityTag, parse_completion
from medix_r1.host.yaml_text import read_yaml
from medix_r1.rewards.base import Sample
from medix_r1.scoring.attack.wrong import Target, Wrong
from medix_r1.scoring.composed import ReadyReward

PLAIN = "plain"  # kinds of attempts with the wrong answer alone begin so
STANDARD = "{tag}<think>{think}</think><answer>{answer}</answer>"
THINK = "I look at the question."


@cache
def texts() -> Mapping[str, Any]:
    """The lists of mutations.yaml."""
    found: Mapping[str, Any] = read_yaml(Path(__file__).with_name("mutations.yaml"))
    return found


@dataclass(frozen=True, slots=True)
class Attempt:
    """One reply to a question.

    Attributes:
        target: the question.
        kind: how the reply was made, as `mutation: detail`.
        wrong: the wrong answer that it holds; None where it names nothing.
        because: why the reply is wrong.
        before, after: what stands around the wrong answer; explaining an attack makes them shorter.
        written: the answer as the mutation rewrote it, in place of `wrong`; it is not made shorter.
        think: the reasoning.
        form: template of the whole reply.
        offered: number of things that the answer offers, the reference among them; 1 where it is not.
    """

    target: Target
    kind: str
    wrong: Wrong | None
    because: str
    before: str = ""
    after: str = ""
    written: str | None = None
    think: str = THINK
    form: str = STANDARD
    offered: int = 1

    @property
    def core(self) -> str:
        """What is not made shorter."""
        return self.written if self.written is not None else self.wrong.text if self.wrong else ""

    @property
    def answer(self) -> str:
        return f"{self.before}{self.core}{self.after}"

    @property
    def around(self) -> str:
        """All that stands around the wrong answer."""
        return self.before + self.after

    @property
    def reply(self) -> str:
        """The whole reply, with `<think>` in place of the reward's think element."""
        tag = f"<{self.target.tag}>" if self.target.tag else ""
        other = next(one for one in ModalityTag if one != self.target.tag)
        fields = {
            "tag": tag,
            "think": self.think.replace("{right}", self.target.answer),
            "answer": self.answer,
            "right": self.target.answer,
            "tags": "".join(f"<{one}>" for one in ModalityTag),
            "other_tag": f"<{other}>",
        }
        return self.form.format(**fields)

    @property
    def breaks_form(self) -> bool:
        """Whether the strict grammar finds something wrong with the reply."""
        return not parse_completion(self.reply, wants_modality=self.target.has_image).well_formed

    def sample(self, ready: ReadyReward) -> Sample:
        """The reply as a sample of a reward, with that reward's think element."""
        element, target = ready.think_element, self.target
        return ready.reader.read(
            self.reply.replace("<think>", f"<{element}>").replace("</think>", f"</{element}>"),
            reference=target.reference,
            has_image=target.has_image,
            question=target.question,
            choices=target.choices,
            images=target.images if ready.composite.wants_images else (),
            source=target.source,
            accepted=target.accepted,
            rubric=target.rubric,
            rationale=target.rationale,
        )

    def around_with(self, before: str, after: str) -> Attempt:
        """The same attempt with other texts around the wrong answer."""
        return replace(self, before=before, after=after)

    def on(self, target: Target, wrong: Wrong | None) -> Attempt:
        """The same attempt against another question."""
        return replace(self, target=target, wrong=wrong, because=wrong.because if wrong else self.because)


def plain(target: Target, wrong: Wrong) -> Attempt:
    """The wrong answer alone, in the right form."""
    return Attempt(target, f"{PLAIN}: {wrong.how}", wrong, wrong.because)
