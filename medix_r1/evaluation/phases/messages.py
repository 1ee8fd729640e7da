"""The message sent to the model: the training prompt (or the bare question) with images at their marks."""

from __future__ import annotations

import base64
from string import ascii_uppercase
from typing import Literal

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    Content,
    ContentImage,
    ContentText,
)

from medix_r1 import prompts
from medix_r1.errors import DataError
from medix_r1.evaluation.benchmarks.items import Image, Item, place_images
from medix_r1.grammar import ThinkElement
from medix_r1.images.decode import read_image
from medix_r1.images.rules import ImageRejected
from medix_r1.prompts.policy import policy_prompt

_TURNS = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
PromptName = Literal["training", "calibrated", "plain"]
_SENT_AS_IS = {"PNG": "image/png", "JPEG": "image/jpeg"}  # every server decodes these; others become PNG, losslessly


def prompt_digest(prompt: PromptName, think_element: ThinkElement) -> str:
    """Hash of everything the prompt adds to a question."""
    files = {"training": ("policy", "policy_text"), "calibrated": ("policy", "policy_text", "policy_confidence")}
    texts = (*map(prompts.load, files[prompt]), think_element) if prompt in files else ()
    return prompts.digest("\0".join((prompt, *texts)))


def message_text(item: Item, prompt: PromptName, think_element: ThinkElement) -> str:
    """The message with `<image>` marks in place of images."""
    marked = place_images(item)
    lines = [
        marked.question,
        *(f"{letter}. {text}" for letter, text in zip(ascii_uppercase, marked.choices, strict=False) if text),
    ]
    return policy_prompt(
        "\n".join(lines),
        num_images=len(marked.images),
        think_element=think_element,
        confidence=prompt == "calibrated",
        instructions=prompt != "plain",
    )


def earlier_turns(item: Item) -> list[ChatMessage]:
    """What was said before the question, as messages."""
    return [_TURNS[role](content=text) for role, text in item.turns]


def user_message(item: Item, prompt: PromptName, think_element: ThinkElement) -> ChatMessageUser:
    """The message with its images as data URIs.

    Raises:
        DataError: an image cannot be read.
    """
    images = iter(place_images(item).images)
    parts = message_text(item, prompt, think_element).split("<image>")
    content: list[Content] = []
    for number, text in enumerate(parts):
        if number:
            content.append(ContentImage(image=_data_uri(next(images), item.task)))
        if text.strip():
            content.append(ContentText(text=text))
    return ChatMessageUser(content=content if len(parts) > 1 else parts[0])


def _data_uri(image: Image, task: str) -> str:
    """The picture as training reads it (images/decode.py): upright, 8 bits a channel, one frame."""
    try:
        read = read_image(image.read(), image.rules, kept_formats=_SENT_AS_IS)
    except ImageRejected as error:
        says = f"an image cannot be read: {error} (keys of `image` are given as +tasks.{task}.image.KEY=VALUE)"
        raise DataError(says, code="not-an-image") from error
    return f"data:{_SENT_AS_IS[read.format]};base64,{base64.b64encode(read.content).decode()}"
