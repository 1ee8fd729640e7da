"""A judge on loopback that fails in another way in each training step, for a real run to get through."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from medix_r1.wording.spelling import normalize_answer
from tests.support.judge_stub import MODEL, TROUBLE, JudgeStub, Special

Asked = tuple[str, str, str]  # question, reference, prediction, each normalised

NO_VERDICT = ("an answer outside YES/NO", "a refused question")  # for good, of all answers but one to each question
_CLOSED = TROUBLE["closed without a word"]
_NO_SUCH_MODEL = json.dumps({"error": {"message": f"The model `{MODEL}` does not exist.", "type": "NotFoundError"}})
_PERHAPS = {"choices": [{"message": {"role": "assistant", "content": "Perhaps."}}], "usage": {"prompt_tokens": 1}}
_CRASHES = {"refused connections": 1, "restart": 4}  # the call of the step at which the process ends
_DOWN_FOR = 3.0  # seconds without a process
# What the first calls of a step get, in their order; later ones get an answer.
_FIRST_CALLS: Mapping[str, tuple[Special | None, ...]] = {
    "restart": (None, None, None, None, TROUBLE["503"], TROUBLE["503"], TROUBLE["404 while restarting"]),
    "500": (TROUBLE["500"],) * 6,
    "429 with Retry-After": (TROUBLE["429 with Retry-After"],) * 6,
    "garbage": (TROUBLE["cut body"], TROUBLE["cut JSON"], TROUBLE["garbage"]) * 2,
    "an unknown model": ((404, {}, _NO_SUCH_MODEL.encode()),) * 6,
}
_HANGING = 3  # calls
_FIELD = re.compile(r"^(Question|Reference|Prediction): (.*)$", re.MULTILINE)


def opinion(reference: str, prediction: str) -> str:
    """What this judge thinks: by a hash, so that about half of the answers unlike the reference are right."""
    text = f"{normalize_answer(reference)}|{normalize_answer(prediction)}"
    return "YES" if hashlib.sha256(text.encode()).digest()[0] % 2 else "NO"


def asked(question: str, reference: str, prediction: str) -> Asked:
    """A question in the form in which it is compared."""
    return normalize_answer(question), normalize_answer(reference), normalize_answer(prediction)


def _read(prompt: str) -> Asked:
    fields = dict(_FIELD.findall(prompt))
    return asked(fields["Question"], fields["Reference"], fields["Prediction"])


class FailingJudge:
    """Fails as its script says in the training step that is on its way.

    Args:
        samples: the run's `samples/train`; a file stands there for each step whose rollouts are all scored.
        script: step → name of its failure. A step without one is answered; `gone` is the model, for good.

    Attributes:
        failures: step → calls that failed.
        refused: step → what was asked and never got a verdict.
    """

    def __init__(self, samples: Path, script: Mapping[int, str]) -> None:
        self._samples, self._script = samples, script
        self.failures: Counter[int] = Counter()
        self.refused: dict[int, set[Asked]] = defaultdict(set)
        self._spared: dict[tuple[int, str, str], str] = {}  # step, question, reference → the answer that gets a verdict
        self._calls: Counter[int] = Counter()
        self._lock, self._over = threading.Lock(), threading.Event()
        self._server: JudgeStub | None = None

    def __enter__(self) -> FailingJudge:
        self._start(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._server is not None:
            self._server.__exit__()

    @property
    def address(self) -> str:
        assert self._server is not None
        return self._server.address

    def _start(self, port: int) -> None:
        server = JudgeStub(lambda prompt: opinion(*_read(prompt)[1:]), port)
        server.behave = partial(self._behave, server)
        self._server = server.__enter__()

    def _crash(self) -> None:
        """No process for some seconds: connections that are open are closed, new ones refused."""
        server, self._server = self._server, None
        assert server is not None

        def down() -> None:
            server.__exit__()
            if not self._over.wait(_DOWN_FOR):
                self._start(server.port)

        threading.Thread(target=down, daemon=True).start()

    def _behave(self, server: JudgeStub, call: int) -> Special | None:
        prompt = server.calls[call - 1]["messages"][-1]["content"]
        with self._lock:
            step = len(list(self._samples.glob("*.jsonl"))) + 1
            if server is not self._server:  # a connection to a process that is no more
                self.failures[step] += 1
                return _CLOSED
            self._calls[step] += 1
            name, number = self._script.get(step, ""), self._calls[step]
            special = self._special(name, step, number, _read(prompt))
            self.failures[step] += special is not None
        if name == "hang" and special is not None:
            self._over.wait()  # it never answers: a run that waited for it would never end
        return special

    def _special(self, name: str, step: int, number: int, question: Asked) -> Special | None:
        if _CRASHES.get(name) == number:
            self._crash()
            return _CLOSED
        if name in NO_VERDICT:
            return self._no_verdict(name, step, question)
        if name == "gone":
            return 404, {}, _NO_SUCH_MODEL.encode()
        if name == "hang" and number <= _HANGING:
            return _CLOSED
        first = _FIRST_CALLS.get(name, ())
        return first[number - 1] if number <= len(first) else None

    def _no_verdict(self, name: str, step: int, question: Asked) -> Special | None:
        """Spare the first answer to each question, so that some groups keep a single member."""
        text, reference, prediction = question
        if self._spared.setdefault((step, text, reference), prediction) == prediction:
            return None
        self.refused[step].add(question)
        if name == "a refused question":
            return 400, {}, b'{"error": {"message": "the prompt is too long"}}'
        return 200, {}, json.dumps(_PERHAPS).encode()
