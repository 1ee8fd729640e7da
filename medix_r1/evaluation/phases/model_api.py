"""inspect's client of OpenAI-compatible servers, with four changes.

The reply's text is kept verbatim (inspect strips `<think>`). A refused request is an error, never a reply. A body that
is no chat completion is retried. An error holds the status and the server's own words, never the request.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import openai
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    Content,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    Model,
    ModelCall,
    ModelOutput,
    get_model,
    modelapi,
)
from inspect_ai.model._model import RetryDecision
from inspect_ai.model._model_output import as_stop_reason
from inspect_ai.model._providers.openai_compatible import OpenAICompatibleAPI
from inspect_ai.tool import ToolChoice, ToolInfo
from openai.types.chat import ChatCompletion
from tenacity import wait_random_exponential
from tenacity.wait import WaitBaseT

from medix_r1.models.reading.faults import CallFailed, Fault, fault_of_body, fault_of_exception
from medix_r1.models.reading.reply_text import message_of
from medix_r1.models.reading.sent_texts import SentTexts
from medix_r1.serving.address import is_loopback

_NO_KEY = "none"  # the client insists on a value; a server without authentication ignores it


class ChatFailed(CallFailed):
    """A call that failed, and whether inspect tries it again."""

    def __init__(self, fault: Fault, decision: RetryDecision) -> None:
        super().__init__(fault)
        self.decision = decision


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
            http_client=openai.DefaultAsyncHttpxClient(trust_env=trust_env, follow_redirects=False),
            max_retries=0,  # inspect's own retries are bounded and counted
            **model_args,
        )

    def retry_wait(self) -> WaitBaseT | None:
        return wait_random_exponential(multiplier=0.5, max=20)

    def should_retry(self, ex: BaseException) -> bool | RetryDecision:
        return ex.decision if isinstance(ex, ChatFailed) else super().should_retry(ex)

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput | tuple[ModelOutput | Exception, ModelCall]:
        """Make one call.

        Raises:
            ChatFailed: whatever went wrong; inspect logs its text, and puts no request before it.
        """
        try:
            return await super().generate(input, tools, tool_choice, config)
        except ChatFailed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, its own text may hold the request
            sent = self._sent(lambda: [config.extra_body, *(message.model_dump() for message in input)])
            fault = fault_of_exception(error, sent)
            decision = super().should_retry(error)
            tried_again = decision if isinstance(decision, RetryDecision) else RetryDecision(decision)
            raise ChatFailed(fault, tried_again) from None

    async def _generate_completion(self, request: dict[str, Any], config: GenerateConfig) -> ChatCompletion:
        reply = await self.client.chat.completions.with_raw_response.create(**request)
        body, fault = reply.content, Fault("no-completion", "HTTP 200 with a message that is no text")
        if found := fault_of_body(body, self._sent(lambda: request)):
            raise ChatFailed(found, RetryDecision.transient())
        try:
            completion = json.loads(body)
            completion["choices"] = [_in_plain_text(choice) for choice in completion["choices"][:1]]
            completion["model"] = completion.get("model") or request["model"]  # a proxy may leave it out
            return ChatCompletion.construct(**completion)
        except (TypeError, AttributeError, LookupError):
            raise ChatFailed(fault, RetryDecision.transient()) from None

    def _sent(self, body: Callable[[], object]) -> SentTexts:
        return SentTexts.of_body(body, self.api_key if self.api_key != _NO_KEY else None)

    def handle_bad_request(self, ex: openai.APIStatusError) -> ModelOutput | Exception:
        raise ex  # returned, inspect would put the request before it

    def chat_choices_from_completion(
        self, completion: ChatCompletion, tools: list[ToolInfo]
    ) -> list[ChatCompletionChoice]:
        return [_choice(completion.model, choice) for choice in completion.choices]


def _in_plain_text(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice whose content is one text, that of a refusal where there is no other.

    The SDK's models know no list of parts, and warn with what is in it.
    """
    said = message_of(choice)
    message = {"role": "assistant", "content": said.text or said.refusal, "reasoning_content": said.thinking}
    return {**choice, "message": message}


def _choice(model: str, choice: Any) -> ChatCompletionChoice:
    text, apart = choice.message.content, choice.message.reasoning_content
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
