"""Arguments of `vllm serve` by name and value."""

import pytest

from medix_r1.serving.vllm_arguments import keyword_problems, word_problems


def codes(problems):
    return [(problem.key, problem.code) for problem in problems]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--max-model-len", "4096", "--tensor-parallel-size=2", "--enforce-eager"],
        ["--max_model_len", 4096, "-tp", 2, "-O3"],
        ["--max-model-len=4k", "--limit-mm-per-prompt", '{"image": 8}', "--limit-mm-per-prompt.image", "2"],
        ["--no-enable-prefix-caching", "--seed", "-1", "--gpu-memory-util", "0.5"],
        ["--speculative-config", '{"method": "ngram"}', "--served-model-name", "a", "b", "--dtype", "float16"],
    ],
)
def test_right_words(words):
    assert codes(word_problems("judge.server.arguments", words)) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--max-model-length", "5"], "no-such-argument"),
        (["--nosuch"], "no-such-argument"),
        (["--max-model-len", "many"], "not-an-integer"),
        (["--max-model-len"], "no-value"),
        (["--max-model-len", "--enforce-eager"], "no-value"),
        (["--gpu-memory-utilization=80%"], "not-a-number"),
        (["--tensor-parallel-size", "1.5"], "not-an-integer"),
        (["--dtype=float8"], "not-a-choice"),
    ],
)
def test_wrong_words(words, code):
    assert codes(word_problems("server.arguments", words)) == [("server.arguments", code)]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"max_num_sequences": 4}, "no-such-argument"),
        ({"block_size": True}, "no-value"),
        ({"block_size": "yes"}, "not-an-integer"),
        ({"enforce_eager": "maybe"}, "not-true-or-false"),
        ({"mm_processor_cache_gb": "4GB"}, "not-a-number"),
        ({"kv_cache_dtype": "fp7"}, "not-a-choice"),
    ],
)
def test_wrong_keywords(arguments, code):
    key = next(iter(arguments))
    assert codes(keyword_problems("engine", arguments)) == [(f"engine.{key}", code)]


def test_right_keywords():
    arguments = {
        **{"max_logprobs": None, "enforce_eager": False, "enable_prefix_caching": True, "disable_log_stats": False},
        **{"limit_mm_per_prompt": {"image": 2}, "block_size": "32", "cudagraph_capture_sizes": [1, 2]},
        **{"mm-processor-cache-gb": 0.5, "hf_overrides": {}, "compilation_config": '{"level": 3}'},
    }
    assert codes(keyword_problems("engine", arguments)) == []
