"""The judge's starting weights: heads that already compare the prediction with the reference, word by word.

A random transformer of this size needs tens of thousands of examples before it looks up a word elsewhere at all.
Here the first layer is set to know in which section a token stands and which token stood before it, and the second
to find the same token in the opposite section. Training is left with what cannot be written down: which words do not
matter, which mean the same, and what to do about a word without a counterpart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

HEAD = 32  # head_dim; rotary embedding turns dimension i together with i + 16
_HALF = HEAD // 2
BLOCK = 18  # dimensions in which a head compares two tokens
IDENTITY = slice(0, 80)  # who the token is: four blocks of random directions, and room to learn
BEFORE = slice(80, 98)  # who the token before it is, once layer 0 has run
ONE, WORD = 104, 105  # 1 for every token; 1 for every token that is not a mark
MARK = slice(106, 113)  # which section mark the token is
SECTION = slice(113, 120)  # in which section the token stands, once layer 0 has run
FOUND = 120  # and following: whether a comparing head found a counterpart
MISSING = 124  # and following: what the last layer makes of it
USER, _QUESTION, REFERENCE, PREDICTION, RESTATED = range(5)
_SHARP = 3.0  # gain of the query and key norms where heads must pick one token out of thirty
_LOUD = 3.0  # marks stand out from the noise that other heads leave
_SCALE = 2.4  # what the first norm makes of an embedding, undone when a head passes it on
_SLOW = [*range(5, 14), *range(21, 30)]  # head dimensions that hardly turn within a prompt: 18 of 32


@dataclass(frozen=True, slots=True)
class _Head:
    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor


def prepare(model: nn.Module, marks: list[int], verdicts: list[int], generator: torch.Generator) -> None:
    """Write the comparing heads into a freshly made Qwen3 model.

    Args:
        model: a Qwen3ForCausalLM with at least two layers of four heads, hidden size 128 or more, untied.
        marks: the ids of the section marks, in the order of tokenizer.SECTIONS.
        verdicts: the ids of YES and NO.
        generator: source of the random directions.
    """
    with torch.no_grad():
        _embed(model.model.embed_tokens.weight, marks, generator)
        first, second = (layer.self_attn for layer in model.model.layers[:2])
        for attention in (first, second):
            attention.q_norm.weight.fill_(_SHARP)
            attention.k_norm.weight.fill_(_SHARP)
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
    for start in range(0, 4 * BLOCK, BLOCK):  # equal lengths, or long ones would be found everywhere
        block = table[:, start : start + BLOCK]
        block.mul_(0.5 * math.sqrt(BLOCK) / block.norm(dim=1, keepdim=True))
    table[:, ONE] = table[:, WORD] = 1.0
    for place, mark in enumerate(marks):
        table[mark, WORD] = 0.0
        table[mark, MARK.start + place] = _LOUD


def _blank(attention: nn.Module) -> _Head:
    width = attention.q_proj.weight.shape[1]
    query, key, value = (torch.zeros(HEAD, width) for _ in range(3))
    return _Head(query, key, value, torch.zeros(width, HEAD))


def _section_head(attention: nn.Module) -> _Head:
    """Attend to the latest mark: the rotation of pair 3 makes a mark weaker the farther back it is."""
    head = _blank(attention)
    head.query[3, ONE] = 1.0
    head.key[3, MARK] = 1.0
    head.key[_HALF - 1, WORD] = 1.0  # the key norm would blow up a key of nothing: words point elsewhere
    head.value[:7, MARK] = torch.eye(7)
    head.output[SECTION, :7] = torch.eye(7) / (_SCALE * _LOUD)
    return head


def _before_head(attention: nn.Module) -> _Head:
    """Attend one token back, through the three pairs that turn fastest; carry over a block of that token."""
    head = _blank(attention)
    for pair in range(3):
        speed = attention.config.rope_parameters["rope_theta"] ** (-pair / _HALF)
        head.key[pair, ONE] = 1.0
        # The query is turned back by one position, so that it fits a key one position before.
        head.query[pair, ONE], head.query[pair + _HALF, ONE] = math.cos(speed), -math.sin(speed)
    head.value[:BLOCK, 3 * BLOCK : 4 * BLOCK] = torch.eye(BLOCK)
    head.output[BEFORE, :BLOCK] = torch.eye(BLOCK) / _SCALE
    return head


def _same_head(attention: nn.Module, flag: int, compared: list[int], generator: torch.Generator) -> _Head:
    """Attend from prediction to reference, and from the restated reference to prediction, where the token is equal.

    The first token of the prompt takes the attention when there is no equal one, so the flag is +1 or -1.
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
    head.value[0, WORD], head.value[0, MARK.start + USER] = 1.0, -1.0 / _LOUD
    head.output[flag, 0] = 1.0
    return head


def _missing_head(attention: nn.Module, section: int) -> _Head:
    """Attend to the tokens of a section that found no counterpart, and report how badly they are missing."""
    head = _blank(attention)
    flags = [*range(FOUND, FOUND + 4)]
    head.query[_HALF - 1, ONE] = 1.0
    head.key[_HALF - 1, flags] = -0.4
    head.key[_HALF - 1, SECTION.start + section] = 3.0
    head.key[_HALF - 1, WORD] = 0.5
    head.key[_HALF - 2, ONE] = 3.0  # the rest of the key, so that its norm does not level all keys
    head.value[:4, flags] = torch.eye(4)
    head.output[MISSING + section % 2, :4] = 1.0
    return head


def _directions(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Orthonormal rows."""
    square = torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
    return square[:count]


def _write(attention: nn.Module, place: int, head: _Head) -> None:
    """Put a head in its place, keeping a little noise in what it does not use, so that it can learn more."""
    rows = slice(place * HEAD, (place + 1) * HEAD)
    attention.q_proj.weight[rows] = head.query
    attention.k_proj.weight[rows] = head.key
    attention.v_proj.weight[rows] = 0.3 * attention.v_proj.weight[rows] + head.value
    attention.o_proj.weight[:, rows] = 0.3 * attention.o_proj.weight[:, rows] + head.output
