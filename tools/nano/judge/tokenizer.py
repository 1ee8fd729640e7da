"""The judge's tokenizer: a small BPE in which equal words always have equal tokens, which makes them easy to compare.

Text becomes lower case with American spelling; every word starts with a word mark; a plural "s" and every digit are
separate tokens. The verdict tokens YES and NO are upper case, so no normalised text contains them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VERDICTS = ("YES", "NO")
END = "<|end|>"
PAD = "<|pad|>"
_UNKNOWN = "<|unknown|>"
# Section marks begin with a line break, which prompts.neutralise removes from inserted text, so it cannot forge them.
SECTIONS = ("<|user|>", "\nQuestion:", "\nReference:", "\nPrediction:", "\nRestated:", END, "<|judge|>")
_MARKS = (*SECTIONS, PAD)
_SPELLINGS = (
    ("olour", "olor"), ("umour", "umor"), ("grey", "gray"), ("centre", "center"), ("litre", "liter"),
    ("metre", "meter"), ("fibre", "fiber"), ("haem", "hem"), ("aemi", "emi"), ("oedem", "edem"),
    ("oesoph", "esoph"), ("paed", "ped"), ("×", "x"), ("n't", " not"),
)  # fmt: skip
_ALPHABET = [*"abcdefghijklmnopqrstuvwxyz0123456789", *"▁.,:;!?'\"()[]/%+-<>=*&‹›_#"]
# The reference is repeated after the prediction, so that a causal model can compare in both directions.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}{{ '<|judge|>' + message['content'] + '<|end|>' }}"
    "{%- else -%}{{ '<|user|>\n' + message['content'] | trim }}"
    "{%- if '\nReference: ' in message['content'] and '\nPrediction: ' in message['content'] -%}"
    "{{ '\nRestated: ' + message['content'].split('\nReference: ')[1].split('\nPrediction: ')[0] }}"
    "{%- endif -%}{{ '<|end|>' }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|judge|>' }}{%- endif -%}"
)


def chat_text(content: str) -> str:
    """The result of CHAT_TEMPLATE for one user turn, without the slow template engine."""
    stated = content.split("\nReference: ")[1].split("\nPrediction: ")[0]
    return f"<|user|>\n{content.strip()}\nRestated: {stated}{END}<|judge|>"


def build_tokenizer(corpus: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train the tokenizer on a corpus; the same corpus gives the same tokenizer."""
    merges = _merges(corpus, vocabulary - len(_MARKS) - len(VERDICTS) - 1)
    tokens = [_UNKNOWN, *VERDICTS, *_ALPHABET, *dict.fromkeys(a + b for a, b in merges)]
    ids = {token: place for place, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = _pipeline(models.BPE(vocab=ids, merges=merges, unk_token=_UNKNOWN))
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False, special=True) for mark in _MARKS])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        unk_token=_UNKNOWN,
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _merges(corpus: Iterable[str], size: int) -> list[tuple[str, str]]:
    tokenizer = _pipeline(models.BPE(unk_token=_UNKNOWN))
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[_UNKNOWN], initial_alphabet=_ALPHABET, limit_alphabet=len(_ALPHABET),
        min_frequency=2, show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(corpus, trainer)
    return [(a, b) for a, b in json.loads(tokenizer.to_str())["model"]["merges"]]


def _pipeline(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    spellings = [normalizers.Replace(british, american) for british, american in _SPELLINGS]
    hyphens = normalizers.Replace(Regex(r"(?<=[a-z])-(?=[a-z])"), " ")
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), *spellings, hyphens]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(r"[^a-z]"), "isolated"),
            pre_tokenizers.Split(Regex(r"(?<=[a-z][a-z][^\Wsiu])s\b"), "isolated"),
            pre_tokenizers.Metaspace(),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer
