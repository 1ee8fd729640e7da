"""Whether a reply can have the wanted format: the prompt is rendered, and a reply encoded and decoded, as in training.

A template that opens the think block itself leaves a reply without its opening mark. A mark that is a special token is
stripped when the reply is decoded. In both cases the format scores 0 for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from medix_r1.data.lengths.chat_template import ChatTemplate, user_message
from medix_r1.data.row import IMAGE_MARK
from medix_r1.errors import ConfigError, Problem
from medix_r1.grammar import ModalityTag, ThinkElement
from medix_r1.prompts.policy import policy_prompt
from medix_r1.rewards.base import SampleReader
from medix_r1.training.preflight.model.known_models import is_known, opened_element
from medix_r1.training.preflight.model.model_folder import has_vision, snapshot
from medix_r1.training.preflight.model.model_shape import text_values

_MODEL, _PREFILLED = "actor_rollout_ref.model.path", "reward.prefilled_element"
_MARK = re.compile(r"<(/?)(think|thinking|answer)>")
_ANSWER = "left lung"
_QUESTION = f"{IMAGE_MARK}Which side is affected?"


def format_problems(config: DictConfig) -> Iterator[Problem]:
    """Problems of the model's chat template and tokenizer; of a model that is not here, from what is known of it."""
    path, reward = config.actor_rollout_ref.model.path, config.reward
    folder = snapshot(path)
    elements = ("think", "thinking")
    if (
        reward.think_element not in elements
        or reward.parser not in ("strict", "public")
        or reward.prefilled_element not in (None, *elements)
    ):
        return  # reported by the checks of the reward
    if not (folder / "tokenizer.json").is_file():
        if not _custom_template(config) and is_known(path):
            yield from _prefill_problems(config, opened_element(path))
        return
    try:
        chat = ChatTemplate(folder, custom=_custom_template(config), options=_template_options(config))
        yield from _prefill_problems(config, _opened_by(chat, reward.think_element))
        dropped = list(_dropped_problems(chat, folder, path))
    except ConfigError as error:
        yield from (replace(problem, key=_MODEL) for problem in error.problems if problem.code != "no-chat-template")
        return
    yield from dropped
    vocabulary, tokens = text_values(path).get("vocab_size"), chat.tokenizer.get_vocab_size(with_added_tokens=True)
    if isinstance(vocabulary, int) and tokens > vocabulary:
        says = (
            f"the tokenizer of {path} has {tokens} tokens, more than the vocab_size={vocabulary} of its config.json, "
            "so it is that of another model; copy both from one"
        )
        yield Problem(_MODEL, "tokenizer-does-not-fit", says)
    yield from _decoding_problems(config, chat, path)


def _dropped_problems(chat: ChatTemplate, folder: Path, path: str) -> Iterator[Problem]:
    """A template that leaves the question out, or the mark of a picture: the policy would not see it."""
    whole, question = chat.render([user_message(_QUESTION, 1)]), _QUESTION.removeprefix(IMAGE_MARK)
    if question not in whole:
        says = f"the chat template of {path} leaves the question out; copy it from the base model (chat_template.jinja)"
        yield Problem(_MODEL, "template-drops-text", says)
    elif has_vision(folder) and whole == chat.render(
        [{"role": "user", "content": [{"type": "text", "text": question}]}]
    ):
        says = (
            f"the chat template of {path} has no mark for a picture, so that none would be seen; copy it from the base "
            "model (chat_template.jinja)"
        )
        yield Problem(_MODEL, "template-drops-pictures", says)


def _custom_template(config: DictConfig) -> str | None:
    return config.actor_rollout_ref.model.get("custom_chat_template")


def _template_options(config: DictConfig) -> dict[str, object]:
    options = OmegaConf.to_container(config.data.get("apply_chat_template_kwargs") or OmegaConf.create(), resolve=True)
    assert isinstance(options, dict)
    return {str(name): value for name, value in options.items()}


def _opened_by(chat: ChatTemplate, think_element: str) -> str | None:
    """The element that the template's generation prompt opens and does not close."""
    message = [user_message(_prompt(think_element), 1)]
    asked, whole = chat.render(message, generation=False), chat.render(message)
    added = whole[len(asked) :] if whole.startswith(asked) else whole
    marks = list(_MARK.finditer(added))
    return marks[-1][2] if marks and not marks[-1][1] else None


def _prompt(think_element: str) -> str:
    element: ThinkElement = "think" if think_element == "think" else "thinking"
    return policy_prompt("Which side?", num_images=1, think_element=element)


def _prefill_problems(config: DictConfig, opened: str | None) -> Iterator[Problem]:
    told, path = config.reward.prefilled_element, config.actor_rollout_ref.model.path
    if opened == told:
        return
    if told is None:
        yield Problem(
            _MODEL,
            "template-opens-element",
            f"the chat template of {path} ends with <{opened}>, so a reply begins inside that block and its "
            f"format always scores 0; set {_PREFILLED}={opened} (the format is then asked of what follows "
            f"</{opened}>), or take a model without it (Instruct, not Thinking)",
        )
    elif opened is None:
        yield Problem(
            _PREFILLED,
            "template-opens-nothing",
            f"the chat template of {path} does not open <{told}>, so all of a reply would be taken for what follows "
            f"it; set {_PREFILLED}=null",
        )
    else:
        yield Problem(
            _PREFILLED,
            "template-opens-another",
            f"{told} is not what the chat template of {path} opens; set {_PREFILLED}={opened}",
        )


def _decoding_problems(config: DictConfig, chat: ChatTemplate, path: str) -> Iterator[Problem]:
    reward, think = config.reward, config.reward.think_element
    own = f"some thoughts</{reward.prefilled_element}>\n" if reward.prefilled_element else ""
    reader = SampleReader.of(reward)
    said = "<confidence>0.7</confidence>" if reward.confidence != "none" else ""
    for tag in ModalityTag:
        reply = f"{own}<{tag}><{think}>a shadow</{think}><answer>{_ANSWER}</answer>{said}"
        decoded = chat.decoded(reply)
        read = reader.read(decoded, reference=f"<{tag}>{_ANSWER}", has_image=True).completion
        if read.well_formed and read.modality == tag and read.answer == _ANSWER:
            continue
        names = (think, "answer", *(("confidence",) if said else ()))
        marks = [f"<{tag}>", *(f"<{slash}{name}>" for name in names for slash in ("", "/"))]
        lost = [mark for mark in marks if mark not in decoded]
        yield _lost_in_decoding(path, think, lost)
        return


def _lost_in_decoding(path: str, think: str, lost: Sequence[str]) -> Problem:
    other = "thinking" if think == "think" else "think"
    cure = (
        f"; use reward.think_element={other} (and prepare the data with it), or" if f"<{think}>" in lost else "; take"
    )
    what = f"loses {', '.join(lost)}" if lost else "changes the text"
    return Problem(
        _MODEL,
        "format-lost-in-decoding",
        f"a well-formed reply that is encoded and decoded by the tokenizer of {path} {what}, as special tokens are "
        f"left out, so its format always scores 0{cure} another model",
    )
