"""The demo's judge: a small Qwen3 that answers YES or NO to (question, reference, prediction).

`build_judge` writes a folder that `vllm serve` and transformers load, from the shipped weights or trained again
(judge_training.py) on pairs that code makes (judge_pairs.py). What it is asked is the prompt `match_short`.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import torch
import typer
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from medix_r1 import prompts
from medix_r1.demo import judge_circuit, nano_model
from medix_r1.demo.judge_families import Pair
from medix_r1.demo.judge_pairs import lexicon_pairs
from medix_r1.demo.judge_tokenizer import END, PAD, SECTIONS, VERDICTS, build_tokenizer, chat_text

VOCABULARY = 1024
LAYERS, HIDDEN, HEADS, MLP = 4, 128, 4, 384
MAX_TOKENS = 512
_CORPUS_SEED, _CORPUS_SIZE = 1, 20_000
_BATCH = 256


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Make the tokenizer from training pairs about the lexicon, so that a new label in the demo leaves it as it is."""
    pairs = itertools.islice(lexicon_pairs(_CORPUS_SEED), _CORPUS_SIZE)
    return build_tokenizer((f"{p.question} {p.reference} {p.prediction}" for p in pairs), VOCABULARY)


def make_model(tokenizer: PreTrainedTokenizerFast, *, seed: int = 0) -> Qwen3ForCausalLM:
    """Make the untrained judge; its first layers already compare (judge_circuit.py)."""
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(_config(tokenizer)).float()
    marks, verdicts = tokenizer.convert_tokens_to_ids(list(SECTIONS)), verdict_ids(tokenizer)
    judge_circuit.prepare(model, marks, verdicts, torch.Generator().manual_seed(seed))
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
        head_dim=judge_circuit.HEAD,
        max_position_embeddings=MAX_TOKENS,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=False,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
        bos_token_id=None,
        dtype="float32",
    )


def verdict_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return the ids of YES and NO."""
    ids: list[int] = tokenizer.convert_tokens_to_ids(list(VERDICTS))
    return ids


def request_text(pair: Pair) -> str:
    """Return the user turn for a pair: the prompt that the reward sends, filled in."""
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
    """Return the rows as one tensor, filled up on the right, where a causal model cannot see."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])


def last_states(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair]) -> torch.Tensor:
    """Return the hidden state from which the verdict on each pair is read."""
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


def shipped_weights() -> Path:
    """Return the weights file that comes with the package."""
    with as_file(files(__package__) / "weights" / "judge.safetensors") as path:
        return path


def build_judge(out_dir: Path, *, rebuild: bool, advance: Callable[[str], None] = lambda _: None) -> None:
    """Write the judge's folder.

    Args:
        out_dir: the folder; it is replaced only when the new one is complete.
        rebuild: train again (some minutes of one core) instead of taking the shipped weights.
        advance: called after each step of training, or once, with a word on how it stands.
    """
    from medix_r1.demo.judge_training import train

    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    if rebuild:
        train(model, tokenizer, advance)
        nano_model.round_to_bfloat16(model)
    else:
        nano_model.load_weights(shipped_weights(), model, tokenizer)
        advance("from the shipped weights")
    temporary = out_dir.with_name(f".{out_dir.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    shutil.rmtree(out_dir, ignore_errors=True)
    os.replace(temporary, out_dir)


def load_judge(folder: Path) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """Load a judge's folder in float32."""
    return Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder)


def export(folder: Path, weights: Path | None = None) -> None:
    """Write the weights file to ship from a folder that was trained with `rebuild`."""
    model, tokenizer = load_judge(folder)
    nano_model.export_weights(weights or shipped_weights(), model, tokenizer)


def main(folder: Annotated[Path, typer.Argument(help="A judge's folder, trained again with --rebuild.")]) -> None:
    """Make this judge the shipped one."""
    export(folder)


if __name__ == "__main__":
    typer.run(main)
