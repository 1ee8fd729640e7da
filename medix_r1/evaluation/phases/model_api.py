"""inspect's client of OpenAI-compatible servers, with three changes.

The reply's text is kept verbatim (inspect strips `<think>`). A refused request is an error, never a reply. A body that
is no chat completion is retried.
"""

from __future__ import annotations

import os
from typing import Any

import openai
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    Content,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    Model,
    ModelOutput,
    get_model,
    modelapi,
)
from inspect_ai.model._model import RetryDecision
from inspect_ai.model._model_output import as_stop_reason
from inspect_ai.model._providers.openai_compatible import OpenAICompatibleAPI
from inspect_ai.tool import ToolInfo
from tenacity import wait_random_exponential
from tenacity.wait import WaitBaseT

from medix_r1.models.chat_message import content_text
from medix_r1.serving.address import is_loopback

_NO_KEY = "none"  # the client insists on a value; a server without authentication ignores it


class BadCompletion(openai.OpenAIError):
    """A reply with status 200 that is no chat completion."""


class VerbatimChatAPI(OpenAICompatibleAPI):
    """One OpenAI-compatible server whose replies are kept verbatim."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - the signature of inspect's providers
        **model_args: Any,
    ) -> None:
        trust_env = base_url is None or not is_loopback(base_url)  # loopback never goes through a proxy
        super().__init__(
            model_name=model_name,
            base_url=base_url,
            api_key=api_key or os.environ.get("MEDIX_API_KEY") or _NO_KEY,
            config=config,
            service="medix",
            http_client=openai.DefaultAsyncHttpxClient(trust_env=trust_env),
            max_retries=0,  # inspect's own retries are bounded and counted
            **model_args,
        )

    def retry_wait(self) -> WaitBaseT | None:
        return wait_random_exponential(multiplier=0.5, max=20)

    def should_retry(self, ex: BaseException) -> bool | RetryDecision:
        if isinstance(ex, BadCompletion | openai.APIResponseValidationError | ValueError):
            return RetryDecision.transient()
        return super().should_retry(ex)

    def handle_bad_request(self, ex: openai.APIStatusError) -> ModelOutput | Exception:
        return ex

    def chat_choices_from_completion(
        self, completion: openai.types.chat.ChatCompletion, tools: list[ToolInfo]
    ) -> list[ChatCompletionChoice]:
        try:
            return [_choice(completion.model, choice) for choice in completion.choices[:1]] or _nothing()
        except (TypeError, AttributeError, LookupError) as error:
            raise BadCompletion(f"the server sent no chat completion: {error}") from error


def _nothing() -> list[ChatCompletionChoice]:
    raise BadCompletion("the server sent a completion without choices")


def _choice(model: str, choice: Any) -> ChatCompletionChoice:
    text, thinking = content_text(choice.message.content)
    beside = getattr(choice.message, "reasoning_content", None) or getattr(choice.message, "reasoning", None)
    apart = thinking + (beside if isinstance(beside, str) else "")
    content: str | list[Content] = [ContentReasoning(reasoning=apart), ContentText(text=text)] if apart else text
    message = ChatMessageAssistant(content=content, model=model, source="generate")
    return ChatCompletionChoice(message=message, stop_reason=as_stop_reason(choice.finish_reason))


@modelapi(name="medix")
def medix() -> type[VerbatimChatAPI]:
    """Provider `medix/NAME`: `inspect eval ... --model medix/NAME --model-base-url http://HOST:PORT/v1`."""
    return VerbatimChatAPI


def open_model(name: str, base_url: str, api_key_env: str | None, config: GenerateConfig) -> Model:
    """Open a client of a model server.

    Args:
        name: of the model, as the server knows it.
        base_url: of the server, ending in `/v1`.
        api_key_env: environment variable that holds the API key; None for a server without one.
        config: decoding, retries, timeout, concurrency.
    """
    key = os.environ[api_key_env] if api_key_env else _NO_KEY
    return get_model(f"medix/{name}", base_url=base_url, api_key=key, config=config, memoize=False)
