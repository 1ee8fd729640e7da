"""The processor runs over a prompt's images once for all its rollouts.

Upstream: verl 0.9.1 runs the processor over the images of every rollout twice, once for the reward and once for the
update, although rollouts of a group differ only in the reply: ten times in a group of five. All run in one thread of
the agent-loop worker, while rollouts wait.

See it: docs/upstream/shared_images.py

Here: the agent loop gives all rollouts of a prompt one `SharedImages`, which caches the processor's output.

Goes when: the script counts one call for a group.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopWorker

from medix_r1.training.verl_plugin.patches.replacing import replace_once

_OF_THE_TEXT = "mm_token_type_ids"  # as long as prompt and reply; for mRoPE models verl drops it and makes its own


class SharedImages(list[Any]):
    """The images of one prompt and the processor's output; both live as long as a rollout of the prompt."""

    inputs: dict[str, Any] | None = None

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        return list, (list(self),)  # pickled without the cache, for vLLM


def install() -> None:
    """Wrap `AgentLoopWorker._compute_multi_modal_inputs`; a second call does nothing."""
    replace_once(AgentLoopWorker, "_compute_multi_modal_inputs", _once_a_prompt)


def _once_a_prompt(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def compute(self: Any, output: Any, input_ids: Any) -> dict[str, Any]:
        media = output.multi_modal_data or {}
        images = media.get("images")
        if not isinstance(images, SharedImages) or media.get("videos") or media.get("audios"):
            made: dict[str, Any] = original(self, output, input_ids)
            return made
        if images.inputs is None:
            inputs = original(self, output, input_ids)
            if _OF_THE_TEXT in inputs and not hasattr(self.processor, "get_rope_index"):
                return dict(inputs)
            images.inputs = inputs
        return dict(images.inputs or {})  # a copy, because the caller removes entries

    return compute
