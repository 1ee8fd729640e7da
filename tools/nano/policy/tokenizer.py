"""The nano policy's tokenizer: a byte-level BPE of the demo's own sentences, with Qwen3-VL's special tokens.

`<think>`, `<answer>` and the modality tags are ordinary text, because decoding strips special tokens and the reward
needs the format.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from medix_r1.demo.rows.labels import Labels

VOCABULARY = 768
END_OF_TURN = "<|im_end|>"
PADDING = "<|endoftext|>"
IMAGE = "<|image_pad|>"
VIDEO = "<|video_pad|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
SPECIAL = (PADDING, "<|im_start|>", END_OF_TURN, VISION_START, VISION_END, "<|vision_pad|>", IMAGE, VIDEO)


def make_tokenizer(labels: Labels) -> PreTrainedTokenizerFast:
    """Train the tokenizer on all questions and answers of the demo; its size is exactly `VOCABULARY`."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL),
        special_tokens=[],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_corpus(labels), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END_OF_TURN,
        pad_token=PADDING,
        additional_special_tokens=list(SPECIAL),
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = chat_template()
    return tokenizer


def chat_template() -> str:
    """Return the chat template: Qwen's turns, with one placeholder between vision marks for an image."""
    return Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")


def _corpus(labels: Labels) -> list[str]:
    """Sentences of the domain, repeated so that frequent ones become few tokens."""
    corpus = [question for kind in labels.question_types.values() for question in kind.questions] * 8
    wordings = [w for kind in labels.question_types.values() for fact in kind.facts.values() for w in fact]
    for wording in [*wordings, *labels.hedges]:
        corpus += [f"<answer>{wording}</answer>", f"the answer is {wording}", wording] * 3
    for tag, names in labels.question_types["modality"].facts.items():
        for name in names:
            corpus += [f"<{tag}><think>{s.format(modality=name)}</think><answer>" for s in labels.think] * 3
    return corpus + ["user assistant system"] * 20
