"""Models whose chat template or tokenizer makes the wanted format impossible."""

import json

import pytest
from tokenizers import AddedToken, Tokenizer

from medix_r1.rewards.base import SampleReader
from medix_r1.training.preflight.rows.reply_format import format_problems
from tests.support.configs import composed, set_in
from tests.support.problems import codes
from tests.unit.data.support import TEMPLATE, make_backbone

MODEL, PREFILLED = "actor_rollout_ref.model.path", "reward.prefilled_element"
END = "<|im_start|>assistant\\n"


@pytest.fixture
def folder(tmp_path):
    return make_backbone(tmp_path / "model")


def ending(folder, text: str, *, only_if: str | None = None):
    """Make the generation prompt end with a text, perhaps only where a variable is true."""
    template = TEMPLATE.read_text()
    assert END in template
    added = f"' ~ ('{text}' if {only_if} else '')" if only_if else f"{text}'"
    (folder / "chat_template.jinja").write_text(template.replace(f"{END}'", f"{END}{added}"))
    return folder


def special(folder, *tokens: str, special: bool = True):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    added = [AddedToken(token, special=special) for token in tokens]
    (tokenizer.add_special_tokens if special else tokenizer.add_tokens)(added)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def problems(folder, **values):
    return list(format_problems(set_in("experiment=nano_cpu", **{MODEL: str(folder), **values})))


@pytest.mark.parametrize("element", ["think", "thinking"])
@pytest.mark.parametrize("parser", ["strict", "public"])
def test_a_plain_template(folder, element, parser):
    assert problems(folder, **{"reward.think_element": element, "reward.parser": parser}) == []


@pytest.mark.parametrize("text", ["<think>\\n", "<think>", "\\n<think>\\n\\n"])
def test_a_template_that_opens_the_think_block(folder, text):
    (problem,) = problems(ending(folder, text))
    assert (problem.key, problem.code) == (MODEL, "template-opens-element")
    assert f"{PREFILLED}=think" in problem.text
    assert problems(folder, **{PREFILLED: "think"}) == []


def test_a_block_that_the_template_also_closes_does_no_harm(folder):
    """So do Qwen3's templates with enable_thinking=false."""
    assert problems(ending(folder, "<think>\\n\\n</think>\\n\\n")) == []


def test_variables_of_the_template_count(folder):
    ending(folder, "<think>\\n", only_if="enable_thinking")
    assert problems(folder) == []
    given = {"data.apply_chat_template_kwargs": {"enable_thinking": True}}
    assert codes(problems(folder, **given)) == [(MODEL, "template-opens-element")]


def test_a_template_of_the_users_own_counts_instead(folder):
    ending(folder, "<think>\\n")
    own = {"actor_rollout_ref.model.custom_chat_template": TEMPLATE.read_text()}
    assert problems(folder, **own) == []


def test_a_setting_that_does_not_fit_the_template(folder):
    assert codes(problems(folder, **{PREFILLED: "think"})) == [(PREFILLED, "template-opens-nothing")]
    ending(folder, "<think>\\n")
    assert codes(problems(folder, **{PREFILLED: "thinking"})) == [(PREFILLED, "template-opens-another")]


@pytest.mark.parametrize("element", ["think", "thinking"])
def test_elements_that_are_special_tokens_are_lost(folder, element):
    special(folder, "<think>", "</think>")
    found = problems(folder, **{"reward.think_element": element})
    assert codes(found) == ([(MODEL, "format-lost-in-decoding")] if element == "think" else [])
    assert all("<think>, </think>" in problem.text and "think_element=thinking" in problem.text for problem in found)


def test_any_element_may_be_lost(folder):
    special(folder, "</answer>")
    (problem,) = problems(folder)
    assert problem.code == "format-lost-in-decoding"
    assert "</answer>" in problem.text


def test_one_of_the_16_tags_may_be_lost(folder):
    special(folder, "<SPECT>")
    (problem,) = problems(folder)
    assert (problem.code, "<SPECT>" in problem.text) == ("format-lost-in-decoding", True)


def test_tokens_of_the_vocabulary_that_are_not_special_stay(folder):
    """Qwen3's <think> is such a token."""
    assert problems(special(folder, "<think>", "</think>", special=False)) == []


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("tokenizer.json", "{}", "unreadable-tokenizer"),
        ("tokenizer_config.json", "{", "no-json"),
        ("chat_template.jinja", "{% for %}", "chat-template-fails"),
        ("chat_template.jinja", "{{ raise_exception('no images') }}", "chat-template-fails"),
    ],
)
def test_files_that_cannot_be_read(folder, name, content, code):
    (folder / name).write_text(content)
    assert codes(problems(folder)) == [(MODEL, code)]


def test_what_another_check_reports_is_left_to_it(folder):
    assert problems("somebody/unknown") == []
    assert problems(folder, **{"reward.think_element": "thoughts"}) == []
    (folder / "chat_template.jinja").unlink()
    assert problems(folder) == []


def test_a_known_model_needs_no_files():
    thinking = {MODEL: "Qwen/Qwen3-VL-8B-Thinking"}
    assert codes(problems("", **thinking)) == [(MODEL, "template-opens-element")]
    assert problems("", **thinking, **{PREFILLED: "think"}) == []
    assert problems("", **{MODEL: "Qwen/Qwen3-VL-8B-Instruct"}) == []


def test_the_30b_recipe_tells_the_parser():
    config = composed("experiment=medix_r1_30b_dapo")
    assert config.reward.prefilled_element == "think"
    assert list(format_problems(config)) == []


GOOD = "<X_RAY><thinking>a shadow</thinking><answer>left</answer>"


@pytest.mark.parametrize("parser", ["strict", "public"])
@pytest.mark.parametrize(
    ("reply", "answer", "formed"),
    [
        (f"I look at it.</think>\n\n{GOOD}", "left", True),
        (f"</think>{GOOD}", "left", True),
        (f"<answer>right</answer> no,</think>{GOOD}", "left", True),
        (GOOD, None, False),
        ("I look at it, and then", None, False),
        ("I look at it.</think>left", None, False),
    ],
)
def test_what_follows_the_models_own_block_is_parsed(parser, reply, answer, formed):
    reader = SampleReader(think_element="thinking", parser=parser, prefilled_element="think")
    read = reader.read(reply, reference="<X_RAY>left", has_image=True).completion
    assert read.well_formed is formed
    assert read.text == reply
    if formed:
        assert (read.modality, read.answer) == ("X_RAY", answer)
    if parser == "strict":
        assert read.answer == answer


def test_without_the_setting_nothing_changes():
    settings = {"think_element": "thinking", "parser": "strict"}
    one, two = (SampleReader.of(settings | more) for more in ({}, {"prefilled_element": None}))
    read = [reader.read(f"a</think>{GOOD}", reference="left", has_image=True).completion for reader in (one, two)]
    assert read[0] == read[1]
    assert not read[0].well_formed


def test_messages_without_images_are_rendered_too(folder):
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<|im_end|>"}}))
    assert problems(folder) == []
