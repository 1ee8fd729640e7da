"""A reply that is longer than the served context: vLLM would refuse every question."""

import pytest

from medix_r1.serving.checks import client_problems
from medix_r1.serving.context import context_of, context_problems
from tests.support.configs import varied
from tests.support.problems import codes

KEY = "judge.client.max_tokens"


@pytest.mark.parametrize(
    ("arguments", "tokens"),
    [
        ([], None),
        (["--max-model-len", 4096], 4096),
        (["--max-model-len=8192"], 8192),
        (["--max_model_len", "4k"], 4000),
        (["--dtype", "float32", "--max-model-len", "1.5K"], 1536),
        (["--max-model-len", "512", "--max-model-len", "1024"], 1024),
        (["--max-model-len", "auto"], None),
        (["--max-model-len"], None),
    ],
)
def test_what_vllm_is_asked_for(arguments, tokens):
    assert context_of(arguments) == tokens


@pytest.mark.parametrize(
    ("settings", "context", "found"),
    [
        ({"max_tokens": 4096}, 4096, [(KEY, "context-too-short")]),
        ({"max_tokens": 4010}, 4096, [(KEY, "context-too-short")]),  # the prompt has its tokens too
        ({"max_tokens": 2048}, 4096, []),
        ({"max_tokens": 4096}, None, []),
        ({"max_tokens": 4096, "mode": "probability"}, 4096, []),  # asks for one token
        ({}, 16, []),  # a class of the user's own
    ],
)
def test_the_reply_and_the_prompt_have_to_fit(settings, context, found):
    assert codes(context_problems({"prompt": "match", **settings}, "judge.client", context)) == found


def test_a_judge_that_the_run_starts():
    words = ("experiment=medix_r1_8b_grpo", "judge=vllm", "placement=own_gpus")
    long = ("judge.client.thinking=cut", "judge.client.constrained=false", "judge.client.max_tokens=4096")

    assert codes(client_problems(varied(*words))) == []
    assert codes(client_problems(varied(*words, *long))) == [(KEY, "context-too-short")]
    assert codes(client_problems(varied(*words, *long, "judge.server.arguments=[--max-model-len,16384]"))) == []
