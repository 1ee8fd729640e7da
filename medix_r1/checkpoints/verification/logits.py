"""Compares the logits of the merged folder and of the checkpoint on one question with an image.

For the checkpoint it shares only the reading of shards with the merge: it joins parameters by `torch.cat` under their
names in training, and lets PEFT apply a LoRA adapter without merging it. One model is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoConfig, AutoProcessor, AutoTokenizer
from transformers.initialization import no_init_weights
from transformers.utils.logging import disable_progress_bar

from medix_r1.checkpoints.parameters.blueprint import auto_class
from medix_r1.checkpoints.parameters.fsdp_shards import Parameter
from medix_r1.checkpoints.parameters.lora import Adapter
from medix_r1.errors import CheckpointError

EXACT = 1e-4  # tolerance as a share of the largest logit, for equal weights; the order of operations may differ
ROUNDED = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 1e-2}  # the same for cast weights, merged adapters
_QUESTION = "What does the picture show?"
_SIDE = 64  # pixels, of the image


@dataclass(frozen=True)
class Question:
    """One question, with an image if the model sees.

    Attributes:
        prompt: with the chat template applied.
        picture: of the question.
        inputs: of the model, by transformers' processor.
    """

    prompt: str
    picture: Image.Image | None
    inputs: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, folder: Path) -> Question:
        """The question by the processor or tokenizer in a model folder.

        Raises:
            CheckpointError: transformers cannot use them.
        """
        try:
            return cls._of(folder)
        except Exception as error:  # noqa: BLE001  anybody may have written a checkpoint's tokenizer and template
            reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
            raise CheckpointError(
                f"transformers cannot ask a question with the tokenizer, processor and template: {reason}",
                code="tokenizer-unusable",
            ) from None

    @classmethod
    def _of(cls, folder: Path) -> Question:
        if not any((folder / name).is_file() for name in ("processor_config.json", "preprocessor_config.json")):
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            return cls(_QUESTION, None, dict(tokenizer([_QUESTION], return_tensors="pt")))
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": _QUESTION}]}]
        text = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        picture = Image.radial_gradient("L").resize((_SIDE, _SIDE)).convert("RGB")
        return cls(text, picture, dict(processor(text=[text], images=[picture], return_tensors="pt")))

    def continued(self, tokens: Sequence[int]) -> dict[str, torch.Tensor]:
        """The inputs of the model with an answer after the question."""
        answer = torch.tensor([list(tokens)])
        longer = {
            "input_ids": answer,
            "attention_mask": torch.ones_like(answer),
            "mm_token_type_ids": torch.zeros_like(answer),
        }
        return {
            name: torch.cat([value, longer[name].to(value.dtype)], dim=1) if name in longer else value
            for name, value in self.inputs.items()
        }


def compare(huggingface: Path, base: Mapping[str, Parameter], adapter: Adapter | None, folder: Path) -> float:
    """Compare the logits; return their largest difference as a share of the largest logit.

    Args:
        huggingface: folder of the checkpoint's config.
        base: the checkpoint's parameters.
        adapter: its LoRA adapter, if it has one.
        folder: the merged model.

    Raises:
        CheckpointError: transformers reports missing or unexpected weights, or the logits differ.
    """
    disable_progress_bar()  # its bars would break ours
    inputs = Question.of(folder).inputs
    expected = _answer(from_shards(huggingface, base, adapter), inputs)
    model, dtype = _from_folder(huggingface, folder)
    difference = float((_answer(model, inputs) - expected).abs().max() / expected.abs().max())
    is_exact = adapter is None and all(parameter.dtype == dtype for parameter in base.values())
    allowed = EXACT if is_exact else ROUNDED[dtype]
    if not difference <= allowed:  # NaN fails too
        raise CheckpointError(
            f"the merged model answers differently: logits differ by {difference:.2g} of the largest one, "
            f"more than {allowed:g}",
            code="answers-differently",
        )
    return difference


def from_shards(huggingface: Path, base: Mapping[str, Parameter], adapter: Adapter | None) -> Any:
    """The model in float32 with the checkpoint's parameters, joined without the code that merges.

    Raises:
        CheckpointError: PEFT does not know a tensor of the adapter.
    """
    config = AutoConfig.from_pretrained(huggingface, trust_remote_code=False, local_files_only=True)
    with no_init_weights():
        model = auto_class(config, huggingface).from_config(config, dtype=torch.float32, trust_remote_code=False)
    model.load_state_dict({name: _join(parameter) for name, parameter in base.items()}, strict=False)
    if adapter is None:
        return model
    from peft import LoraConfig, get_peft_model

    modules = [name.removesuffix(".weight") for name in adapter.modules]
    model = get_peft_model(model, LoraConfig(r=adapter.rank, lora_alpha=adapter.alpha, target_modules=modules))
    loaded = model.load_state_dict({name: _join(value) for name, value in adapter.tensors.items()}, strict=False)
    if loaded.unexpected_keys:
        raise CheckpointError(f"PEFT does not know {', '.join(loaded.unexpected_keys)}", code="unknown-to-peft")
    return model


def _join(parameter: Parameter) -> torch.Tensor:
    """Join the pieces along the one dimension that FSDP splits."""
    tensors = [piece.tensor for piece in parameter.pieces]
    if len(tensors) == 1:
        return tensors[0]
    starts = [[part.start for part in piece.region] for piece in parameter.pieces]
    cut = next((dim for dim in range(len(parameter.shape)) if len({start[dim] for start in starts}) > 1), 0)
    return torch.cat(tensors, dim=cut)


def _from_folder(huggingface: Path, folder: Path) -> tuple[Any, torch.dtype]:
    config = AutoConfig.from_pretrained(huggingface, trust_remote_code=False, local_files_only=True)
    model, loading = auto_class(config, huggingface).from_pretrained(
        folder, trust_remote_code=False, local_files_only=True, output_loading_info=True
    )
    if odd := [f"{key}: {sorted(names)}" for key, names in loading.items() if names]:
        raise CheckpointError(
            f"transformers does not load the merged model as it is: {'; '.join(odd)}", code="not-loaded-as-it-is"
        )
    dtype = next(model.parameters()).dtype
    return model.float(), dtype


def _answer(model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model.eval()(**inputs, use_cache=False).logits
    return logits.float()
