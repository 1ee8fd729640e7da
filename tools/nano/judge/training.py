"""Trains the judge with one thread and fixed seeds, on endless synthetic pairs, so that pairs rarely repeat."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from tools.nano.deterministic import deterministic
from tools.nano.judge import model as judge_model
from tools.nano.judge.families import Pair
from tools.nano.judge.pairs import training_pairs

STEPS = 1700
BATCH = 64
PEAK_RATE = 1e-3
WARM_UP = 30
_CHUNK = 16  # batches drawn together and sorted by length, to reduce padding
_FORM_WEIGHT = 0.05  # of the losses that restrict the reply to one verdict and the end token
_TRAIN_SEED, _CALIBRATION_SEED = 0, 7
_CALIBRATION_PAIRS = 4000
# Target rate of false YES on training pairs; lower than report.py's limit of 3 %, because unseen words raise it.
FALSE_YES_AIM = 0.01


@dataclass(frozen=True, slots=True)
class _Batch:
    tokens: torch.Tensor  # prompt, verdict, padding; shape (batch, length)
    last: torch.Tensor  # index of the prompt's last token; shape (batch,)
    refused: torch.Tensor  # 0 for YES, 1 for NO; shape (batch,)


@deterministic()
def trained(advance: Callable[[str], None] = lambda _: None) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """Train a judge from scratch, then calibrate its false-YES rate; return it in float32 with its tokenizer.

    Args:
        advance: called after each of `STEPS` steps with the loss as text.
    """
    tokenizer = judge_model.make_tokenizer()
    model = judge_model.make_model(tokenizer)
    optimizer = _optimizer(model)
    model.train()
    for step, batch in zip(range(STEPS), _batches(tokenizer), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.98 * (1 - step / STEPS))
        loss = _step(model, optimizer, batch, tokenizer)
        advance(f"loss {loss:.3f}")
    model.eval()
    _calibrate(model, tokenizer)
    return model, tokenizer


def _optimizer(model: Qwen3ForCausalLM) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    gains = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": gains, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98), fused=True)


def _batches(tokenizer: PreTrainedTokenizerFast) -> Iterator[_Batch]:
    pairs, rng = training_pairs(_TRAIN_SEED), random.Random(_TRAIN_SEED)
    while True:
        drawn = list(itertools.islice(pairs, BATCH * _CHUNK))
        rows = judge_model.encode(tokenizer, drawn)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        starts = list(range(0, len(order), BATCH))
        rng.shuffle(starts)
        for start in starts:
            part = order[start : start + BATCH]
            yield _batch([drawn[i] for i in part], [rows[i] for i in part], tokenizer)


def _batch(pairs: list[Pair], rows: list[list[int]], tokenizer: PreTrainedTokenizerFast) -> _Batch:
    refused = [int(not pair.label) for pair in pairs]
    verdicts = judge_model.verdict_ids(tokenizer)
    answered = [[*row, verdicts[no]] for row, no in zip(rows, refused, strict=True)]
    last = torch.tensor([len(row) - 1 for row in rows])
    return _Batch(judge_model.padded(answered, tokenizer.pad_token_id), last, torch.tensor(refused))


def _step(
    model: Qwen3ForCausalLM, optimizer: torch.optim.Optimizer, batch: _Batch, tokenizer: PreTrainedTokenizerFast
) -> float:
    rows = torch.arange(len(batch.tokens))
    hidden = model.model(input_ids=batch.tokens).last_hidden_state
    verdict, after = model.lm_head(hidden[rows, batch.last]), model.lm_head(hidden[rows, batch.last + 1])
    ids = torch.tensor(judge_model.verdict_ids(tokenizer))
    judged = F.cross_entropy(verdict[:, ids], batch.refused)
    ends = torch.full((len(rows),), int(tokenizer.eos_token_id))
    form = F.cross_entropy(verdict, ids[batch.refused]) + F.cross_entropy(after, ends)
    optimizer.zero_grad(set_to_none=True)
    (judged + _FORM_WEIGHT * form).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(judged.detach())


def _calibrate(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Shift the logit of YES so that a share FALSE_YES_AIM of the training pairs to refuse is accepted.

    The head has no bias. Instead, the row of YES moves along the direction whose product with all states is closest to
    1 (least squares).
    """
    pairs = list(itertools.islice(training_pairs(_CALIBRATION_SEED), _CALIBRATION_PAIRS))
    states = judge_model.last_states(model, tokenizer, pairs)
    # float64, because LAPACK's rounding differs between calls; in float32 equal states gave different bits.
    ones = torch.ones(len(states), 1, dtype=torch.double)
    constant = torch.linalg.lstsq(states.double(), ones).solution[:, 0].float()
    refused = torch.tensor([not pair.label for pair in pairs])
    yes, no = judge_model.verdict_ids(tokenizer)
    with torch.no_grad():
        head = model.lm_head.weight
        leaning = (states @ (head[yes] - head[no]))[refused]
        head[yes] -= leaning.quantile(1 - FALSE_YES_AIM) * constant
