"""The demo's judge: a small Qwen3 that answers YES or NO to (question, reference, prediction).

This file has its architecture and its inputs, the prompt `match_short`. training.py trains it on the pairs of pairs.py;
vLLM and transformers load its folder.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from medix_r1 import prompts
from tools.nano.judge import circuit
from tools.nano.judge.families import Pair
from tools.nano.judge.pairs import lexicon_pairs
from tools.nano.judge.tokenizer import END, PAD, SECTIONS, VERDICTS, build_tokenizer, chat_text

VOCABULARY = 1024
LAYERS, HIDDEN, HEADS, MLP = 4, 128, 4, 384
MAX_TOKENS = 512
_CORPUS_SEED, _CORPUS_SIZE = 1, 20_000
_BATCH = 256


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Train the tokenizer on pairs about the lexicon only, so that new labels of the demo do not change it."""
    pairs = itertools.islice(lexicon_pairs(_CORPUS_SEED), _CORPUS_SIZE)
    return build_tokenizer((f"{p.question} {p.reference} {p.prediction}" for p in pairs), VOCABULARY)


def make_model(tokenizer: PreTrainedTokenizerFast, *, seed: int = 0) -> Qwen3ForCausalLM:
    """Make the untrained judge, with comparing heads in its first layers (circuit.py)."""
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(_config(tokenizer)).float()
    marks, verdicts = tokenizer.convert_tokens_to_ids(list(SECTIONS)), verdict_ids(tokenizer)
    circuit.prepare(model, marks, verdicts, torch.Generator().manual_seed(seed))
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    return model


def _config(tokenizer: PreTrainedTokenizerFast) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=circuit.HEAD,
        max_position_embeddings=MAX_TOKENS,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=False,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
        bos_token_id=None,
        dtype="float32",
    )


def verdict_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return the token ids of YES and NO."""
    ids: list[int] = tokenizer.convert_tokens_to_ids(list(VERDICTS))
    return ids


def request_text(pair: Pair) -> str:
    """Return the user turn for a pair: the prompt that the reward sends."""
    return prompts.fill(
        prompts.load("match_short"),
        question=pair.question,
        options=None,
        reference=pair.reference,
        prediction=pair.prediction,
    )


def encode(tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair]) -> list[list[int]]:
    """Return the token ids of each pair's whole prompt."""
    texts = [chat_text(request_text(pair)) for pair in pairs]
    return [row.ids for row in tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)]


def padded(rows: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    """Return the rows as one tensor, padded on the right, which a causal model does not attend to."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])


def last_states(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair]) -> torch.Tensor:
    """Return the last hidden state of each pair's prompt, which predicts the verdict; shape (pairs, HIDDEN)."""
    rows = encode(tokenizer, pairs)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    states = torch.empty(len(rows), HIDDEN)
    for start in range(0, len(order), _BATCH):
        part = order[start : start + _BATCH]
        with torch.no_grad():
            hidden = model.model(input_ids=padded([rows[i] for i in part], tokenizer.pad_token_id)).last_hidden_state
        states[part] = hidden[range(len(part)), [len(rows[i]) - 1 for i in part]]
    return states


def leanings(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair]) -> list[float]:
    """Return the logit of YES minus that of NO for each pair; above 0 the verdict is YES."""
    yes, no = verdict_ids(tokenizer)
    head = model.lm_head.weight.detach()
    leaning: list[float] = (last_states(model, tokenizer, pairs) @ (head[yes] - head[no])).tolist()
    return leaning


def save_folder(folder: Path, model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write a judge as a folder for from_pretrained and vLLM."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_judge(folder: Path) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """Load a judge's folder in float32."""
    return Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder)
