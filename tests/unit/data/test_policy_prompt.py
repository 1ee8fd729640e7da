"""The prompt that policies are trained and evaluated with, word for word."""

from medix_r1.grammar import parse_completion
from medix_r1.prompts.policy import policy_prompt


def test_with_an_image_it_asks_for_a_tag():
    text = policy_prompt("Which lung?\n< 5 mm {think}", num_images=2, choices=["left", "right"])

    assert text.startswith("<image><image>Which lung?\n< 5 mm {think}\nA. left\nB. right\n\n")
    assert "<TAG><think>your reasoning</think><answer>your answer</answer>" in text
    assert text.endswith("OTHER, SPECT.")
    reply = text.splitlines()[-2].replace("TAG", "X_RAY")
    assert parse_completion(reply).well_formed


def test_without_one_it_does_not():
    text = policy_prompt("Which drug?", num_images=0, think_element="thinking")

    assert "TAG" not in text
    assert parse_completion(text.splitlines()[-1], think_element="thinking", wants_modality=False).well_formed


def test_marks_in_the_question_stay_and_the_bare_question_is_bare():
    assert policy_prompt("a <image> b", num_images=1, instructions=False) == "a <image> b"
    assert policy_prompt("a", num_images=1, instructions=False) == "<image>a"
