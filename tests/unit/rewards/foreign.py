"""Reward functions as people write them for four frameworks, good and bad; loaded by name in test_adapters.py."""

import itertools
import os
import re
import sys
import threading
import time
from fractions import Fraction

import numpy as np

SEEN = []


def easyr1(reward_inputs, bonus=0.0):
    if not isinstance(reward_inputs, list):
        raise ValueError("Please use reward_type=batch")
    SEEN.append((reward_inputs, threading.current_thread()))
    return [
        {"overall": min(1.0, bonus + float(row["ground_truth"].endswith("lung"))), "format": 0.5}
        for row in reward_inputs
    ]


def easyr1_sequential(reward_input):
    return {"overall": 0.25, "accuracy": float("<answer>" in reward_input["response"])}


def without_overall(reward_inputs):
    return [{"accuracy": 1.0}]


def minus_one(reward_inputs):
    return [{"overall": -1.0}]


def not_a_number(reward_inputs):
    return [{"overall": float("nan")}]


def a_word(reward_inputs):
    return [{"overall": "good"}]


def two_for_one(reward_inputs):
    return [{"overall": 1.0}, {"overall": 0.0}]


def raising(reward_inputs):
    raise KeyError("answer")


def numpys(completions, **kwargs):
    return list(np.asarray([0.5], dtype=np.float32))


def trl(completions, solution, **kwargs):
    SEEN.append((completions, solution, kwargs))
    return [float(right in text) for text, right in zip(completions, solution, strict=True)]


def trl_without_kwargs(completions, answer):
    return [float(right in text) for text, right in zip(completions, answer, strict=True)]


def trl_chat(prompts, completions, **kwargs):
    return [float(completion[0]["content"].startswith("<X_RAY>")) for completion in completions]


async def trl_async(completions, **kwargs):
    return [0.75 for _ in completions]


def trl_skips(completions, **kwargs):
    return [None for _ in completions]


def trl_scalar(completions, **kwargs):
    return 1.0


def best_of_group(completions, num_generations, **kwargs):
    return [1.0]


def marked(completions, **kwargs):
    return [1.0]


marked.needs_group = True  # type: ignore[attr-defined]


def group_by_default(completions, group=None, **kwargs):
    return [1.0]


def trl_of_advantages(completions, advantages, **kwargs):
    return [1.0 for _ in completions]


def trl_best(completions, **kwargs):
    """1 for the longest reply of a list."""
    SEEN.append(completions)
    most = max(map(len, completions))
    return [float(len(one) == most) for one in completions]


def trl_best_of_group(completions, num_generations, group_size, group_ids, **kwargs):
    assert (num_generations, group_size, group_ids) == (len(completions), len(completions), ["g"] * len(completions))
    return trl_best(completions)


def trl_best_marked(completions, **kwargs):
    return trl_best(completions)


trl_best_marked.needs_group = True  # type: ignore[attr-defined]


def easyr1_best(reward_inputs):
    return [{"overall": value} for value in trl_best([row["response"] for row in reward_inputs])]


def verl_best(data_sources, solution_strs, ground_truths, extra_infos):
    assert len(data_sources) == len(ground_truths) == len(extra_infos) == len(solution_strs)
    return [{"score": value, "length": 1} for value in trl_best(solution_strs)]


def openrlhf_best(queries, prompts, labels):
    return {"rewards": np.asarray(trl_best(queries)), "extra_logs": {"length": [1.0] * len(queries)}}


def trl_last_is_nan(completions, **kwargs):
    return [1.0] * (len(completions) - 1) + [float("nan")]


NOT_A_FUNCTION = 3


def array(completions, **kwargs):
    return np.asarray([0.5])


def generator(completions, **kwargs):
    return (0.5 for _ in completions)


def endless(completions, **kwargs):
    return itertools.repeat(0.5)


def fraction(completions, **kwargs):
    return [Fraction(1, 2)]


def a_rounding_above(completions, **kwargs):
    return [1.0 + 1e-7]


def a_rounding_below(completions, **kwargs):
    return [-1e-6]


def more_than_rounding(completions, **kwargs):
    return [1.000002]


def minus_half(completions, **kwargs):
    return [-0.5]


def trl_tokens(completions, completion_ids):
    return [1.0]


def verl(data_source, solution_str, ground_truth, extra_info, bonus=0.0):
    SEEN.append((data_source, solution_str, ground_truth, extra_info))
    return {"score": 0.5 + bonus, "acc": True, "length": np.asarray([3]), "prediction": "left"}


def verl_number(data_source, solution_str, ground_truth, extra_info=None):
    return 0.5


def verl_array(**kwargs):
    return np.asarray([0.5])


async def verl_async(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    return {"score": 0.25}


def verl_of_three(data_source, solution_str, ground_truth):
    return 1.0


def verl_two(**kwargs):
    return [0.5, 0.5]


def verl_huge(**kwargs):
    return 10**400


def raising_verl(**kwargs):
    raise KeyError("answer")


def leaves(**kwargs):
    sys.exit(1)


def openrlhf(queries, prompts, labels):
    SEEN.append((queries, prompts, labels))
    return {
        "rewards": np.asarray([0.5]),
        "scores": np.asarray([1.0]),
        "extra_logs": {"length": np.asarray([7.0]), "text": ["left"]},
    }


def openrlhf_array(queries, prompts, labels, **kwargs):
    return np.asarray([0.5])


def openrlhf_scalar(queries, prompts, labels, **kwargs):
    return np.float32(0.5)


def openrlhf_nothing(queries, prompts, labels, **kwargs):
    return {"rewards": None}


def backtracks(solution_str, **kwargs):
    """1 for a long reply of a and one b; without the b it tries 2^n ways."""
    return float(bool(re.fullmatch(r"(a+)+b", solution_str)))


def trl_backtracks(completions, **kwargs):
    return [backtracks(one) for one in completions]


def trl_waits(completions, **kwargs):
    time.sleep(600)


def waits_with_a_child(solution_str, **kwargs):
    """Start a process of its own, name it in the file that the reply names, and wait."""
    child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "600")
    with open(solution_str, "w") as file:
        file.write(f"{os.getpid()} {child}")
    time.sleep(600)


def dies(**kwargs):
    os._exit(3)


def count(solution_str, **kwargs):
    """How often this process has been asked, as a share of 10."""
    SEEN.append(solution_str)
    return len(SEEN) / 10


class Strange(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, one, other):
        super().__init__(one)


def raises_strange(**kwargs):
    raise Strange("odd", "thing")


def tensor(completions, dtype, **kwargs):
    import torch

    return torch.full((1,), 0.5, dtype=getattr(torch, dtype[0]), requires_grad=True)
