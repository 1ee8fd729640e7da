"""A backbone's chat template and tokenizer, as verl uses them, without importing transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from medix_r1.data.row import IMAGE_MARK
from medix_r1.errors import ConfigError


class ChatTemplate:
    """Renders messages into the text of a prompt; encodes and decodes text.

    Args:
        folder: a model's folder; its weights are not needed.
        custom: a template that replaces the folder's own.
        options: further variables of the template, such as `enable_thinking`.

    Raises:
        ConfigError: the tokenizer or the template is missing, or cannot be read.
    """

    def __init__(self, folder: Path, *, custom: str | None = None, options: Mapping[str, Any] | None = None) -> None:
        path = need(folder / "tokenizer.json")
        try:
            self.tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises plain Exceptions
            raise ConfigError.of("backbone", "unreadable-tokenizer", f"{path} is no tokenizer: {error}") from error
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        settings = read_object(folder / "tokenizer_config.json")
        self._variables = {name: _token_text(settings.get(name)) for name in ("bos_token", "eos_token", "pad_token")}
        self._variables |= dict(options or {})
        try:
            self._template = _compile(custom or _template_text(folder, settings))
        except (TemplateSyntaxError, UnicodeDecodeError) as error:
            raise ConfigError.of(
                "backbone", "chat-template-fails", f"the chat template of {folder} cannot be read: {error}"
            ) from error

    def render(self, messages: Sequence[Mapping[str, Any]], *, generation: bool = True) -> str:
        """The text of a chat; with `generation`, up to where the reply begins.

        Raises:
            ConfigError: the template fails.
        """
        try:
            return str(self._template.render(messages=messages, add_generation_prompt=generation, **self._variables))
        except Exception as error:  # the template is the model's own code, which may do anything
            raise ConfigError.of(
                "backbone",
                "chat-template-fails",
                f"its chat template fails on a plain question: {' '.join(str(error).split())}",
            ) from error

    def encode(self, text: str) -> list[int]:
        """Token ids, without the special tokens that a tokenizer may add."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decoded(self, text: str) -> str:
        """A reply as training reads it: encoded, then decoded without special tokens."""
        return str(self.tokenizer.decode(self.encode(text), skip_special_tokens=True))


def user_message(prompt: str, num_images: int) -> dict[str, Any]:
    """The message of a prompt with one `<image>` for each image, split as verl's RLHFDataset does."""
    return split_message({"role": "user", "content": prompt}, num_images)


def split_message(message: Mapping[str, Any], num_images: int) -> dict[str, Any]:
    """Any message of a chat with images, in the same way."""
    prompt = message["content"]
    if not num_images or not isinstance(prompt, str):
        return dict(message)
    parts: list[dict[str, str]] = []
    for position, text in enumerate(prompt.split(IMAGE_MARK)):
        if position:
            parts.append({"type": "image"})
        if text:
            parts.append({"type": "text", "text": text})
    return {**message, "content": parts}


def _compile(text: str) -> Any:
    """Compile a chat template as transformers does: sandboxed, with the same whitespace rules and functions."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **kwargs: json.dumps(value, ensure_ascii=False, **kwargs)
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(text)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _template_text(folder: Path, settings: dict[str, Any]) -> str:
    if (path := folder / "chat_template.jinja").is_file():
        return path.read_text(encoding="utf-8")
    for candidate in (read_object(folder / "chat_template.json"), settings):
        if isinstance(text := candidate.get("chat_template"), str):
            return text
    raise ConfigError.of("backbone", "no-chat-template", f"{folder} has no chat template")


def need(path: Path) -> Path:
    """The path of a file.

    Raises:
        ConfigError: there is none.
    """
    if not path.is_file():
        raise ConfigError.of("backbone", "no-such-file", f"{path} is missing")
    return path


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty without a file, or for any other JSON.

    Raises:
        ConfigError: it is no JSON.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError.of("backbone", "no-json", f"{path} is no JSON: {error}") from error
    return content if isinstance(content, dict) else {}


def _token_text(token: Any) -> str:
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")
