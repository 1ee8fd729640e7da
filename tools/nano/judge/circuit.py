"""The judge's initial weights: hand-set attention heads that compare prediction and reference token by token.

A randomly initialised transformer of this size needs tens of thousands of examples before it learns to look up a token
elsewhere in the prompt. Here, heads of the first layer find each token's section and previous token; heads of the
second find the same token in the other section. Training learns which words do not matter, which are synonyms, and what
a word without a counterpart means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

HEAD = 32  # head_dim; rotary embedding rotates dimension i together with i + 16
_HALF = HEAD // 2
BLOCK = 18  # dimensions in which a head compares two tokens
# Dimensions of the residual stream:
IDENTITY = slice(0, 80)  # the token: four blocks of random directions, the rest free for training
BEFORE = slice(80, 98)  # the previous token, written by layer 0
ONE, WORD = 104, 105  # 1 for every token; 1 for every token that is not a section mark
MARK = slice(106, 113)  # one-hot: which section mark the token is
SECTION = slice(113, 120)  # one-hot: the token's section, written by layer 0
FOUND = 120  # and following: whether a comparing head of layer 1 found a counterpart
MISSING = 124  # and following: missing counterparts, summed by the last layer
USER, _QUESTION, REFERENCE, PREDICTION, RESTATED = range(5)
_NORM_GAIN = 3.0  # of query and key norms, so that heads can pick one token out of thirty
_MARK_GAIN = 3.0  # of the marks' embeddings, above the noise of other heads
_SCALE = 2.4  # factor of the first norm on an embedding, divided out when a head copies it
_SLOW = [*range(5, 14), *range(21, 30)]  # 18 of 32 head dimensions, those that rotate little within a prompt


@dataclass(frozen=True, slots=True)
class _Head:
    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor


def prepare(model: nn.Module, marks: list[int], verdicts: list[int], generator: torch.Generator) -> None:
    """Write the comparing heads into a freshly initialised Qwen3 model.

    Args:
        model: a Qwen3ForCausalLM with at least two layers of four heads, hidden size 128 or more, untied embeddings.
        marks: the token ids of the section marks, in the order of tokenizer.SECTIONS.
        verdicts: the token ids of YES and NO.
        generator: for the random directions.
    """
    with torch.no_grad():
        _embed(model.model.embed_tokens.weight, marks, generator)
        first, second = (layer.self_attn for layer in model.model.layers[:2])
        for attention in (first, second):
            attention.q_norm.weight.fill_(_NORM_GAIN)
            attention.k_norm.weight.fill_(_NORM_GAIN)
        _write(first, 0, _section_head(first))
        _write(first, 1, _before_head(first))
        for place in (0, 1, 2):
            block = [*range(place * BLOCK, (place + 1) * BLOCK)]
            _write(second, place, _same_head(second, FOUND + place, block, generator))
        pair = [*range(3 * BLOCK, 4 * BLOCK), *range(BEFORE.start, BEFORE.stop)]
        _write(second, 3, _same_head(second, FOUND + 3, pair, generator))
        last = model.model.layers[-1].self_attn
        for place, section in enumerate((PREDICTION, RESTATED)):
            _write(last, place, _missing_head(last, section))
        head = model.lm_head.weight.mul_(0.1)
        head[verdicts, MISSING : MISSING + 2] = torch.tensor([[0.1, 0.1], [-0.1, -0.1]])


def _embed(table: Tensor, marks: list[int], generator: torch.Generator) -> None:
    table.mul_(0.0)
    table[:, IDENTITY] = 0.5 * torch.randn(len(table), 80, generator=generator)
    for start in range(0, 4 * BLOCK, BLOCK):  # equal norms, because larger vectors would match every token
        block = table[:, start : start + BLOCK]
        block.mul_(0.5 * math.sqrt(BLOCK) / block.norm(dim=1, keepdim=True))
    table[:, ONE] = table[:, WORD] = 1.0
    for place, mark in enumerate(marks):
        table[mark, WORD] = 0.0
        table[mark, MARK.start + place] = _MARK_GAIN


def _blank(attention: nn.Module) -> _Head:
    width = attention.q_proj.weight.shape[1]
    query, key, value = (torch.zeros(HEAD, width) for _ in range(3))
    return _Head(query, key, value, torch.zeros(width, HEAD))


def _section_head(attention: nn.Module) -> _Head:
    """Attend to the latest section mark: by the rotation of pair 3, a mark's score falls with its distance."""
    head = _blank(attention)
    head.query[3, ONE] = 1.0
    head.key[3, MARK] = 1.0
    head.key[_HALF - 1, WORD] = 1.0  # words need a non-zero key elsewhere, because the key norm would amplify noise
    head.value[:7, MARK] = torch.eye(7)
    head.output[SECTION, :7] = torch.eye(7) / (_SCALE * _MARK_GAIN)
    return head


def _before_head(attention: nn.Module) -> _Head:
    """Attend to the previous token, by the three pairs that rotate fastest, and copy a block of its identity."""
    head = _blank(attention)
    for pair in range(3):
        speed = attention.config.rope_parameters["rope_theta"] ** (-pair / _HALF)
        head.key[pair, ONE] = 1.0
        # Rotating the query back by one position makes it match the key of the previous position.
        head.query[pair, ONE], head.query[pair + _HALF, ONE] = math.cos(speed), -math.sin(speed)
    head.value[:BLOCK, 3 * BLOCK : 4 * BLOCK] = torch.eye(BLOCK)
    head.output[BEFORE, :BLOCK] = torch.eye(BLOCK) / _SCALE
    return head


def _same_head(attention: nn.Module, flag: int, compared: list[int], generator: torch.Generator) -> _Head:
    """Attend to an equal token: from the prediction to the reference, from the restated reference to the prediction.

    Without an equal token the attention goes to the first token of the prompt, so the flag is +1 or -1.
    """
    head = _blank(attention)
    sketch = _directions(BLOCK, len(compared), generator) / (0.5 * math.sqrt(BLOCK))
    for row, direction in zip(_SLOW, sketch, strict=True):
        head.query[row, compared] = 0.59 * direction
        head.key[row, compared] = 0.80 * direction
    for place, (asking, asked) in enumerate(((PREDICTION, REFERENCE), (RESTATED, PREDICTION))):
        head.query[14 + _HALF * place, SECTION.start + asking] = 0.90
        head.key[14 + _HALF * place, SECTION.start + asked] = 0.80
    head.query[15, ONE] = 0.75
    head.key[15, MARK.start + USER] = 2.0
    head.value[0, WORD], head.value[0, MARK.start + USER] = 1.0, -1.0 / _MARK_GAIN
    head.output[flag, 0] = 1.0
    return head


def _missing_head(attention: nn.Module, section: int) -> _Head:
    """Attend to the tokens of a section without a counterpart, and sum their flags."""
    head = _blank(attention)
    flags = [*range(FOUND, FOUND + 4)]
    head.query[_HALF - 1, ONE] = 1.0
    head.key[_HALF - 1, flags] = -0.4
    head.key[_HALF - 1, SECTION.start + section] = 3.0
    head.key[_HALF - 1, WORD] = 0.5
    head.key[_HALF - 2, ONE] = 3.0  # a constant part, so that the key norm does not make all keys equal
    head.value[:4, flags] = torch.eye(4)
    head.output[MISSING + section % 2, :4] = 1.0
    return head


def _directions(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Orthonormal rows."""
    square = torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
    return square[:count]


def _write(attention: nn.Module, place: int, head: _Head) -> None:
    """Write a head's weights, keeping some of the random initialisation of values and outputs, so that it can learn."""
    rows = slice(place * HEAD, (place + 1) * HEAD)
    attention.q_proj.weight[rows] = head.query
    attention.k_proj.weight[rows] = head.key
    attention.v_proj.weight[rows] = 0.3 * attention.v_proj.weight[rows] + head.value
    attention.o_proj.weight[:, rows] = 0.3 * attention.o_proj.weight[:, rows] + head.output
