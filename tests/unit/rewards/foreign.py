"""Reward functions as people write them for EasyR1 and TRL, good and bad; loaded by name in test_adapters.py."""

import threading

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


NOT_A_FUNCTION = 3
