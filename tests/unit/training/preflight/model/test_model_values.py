"""A model's config.json that cannot be read or trained, and weights that are of another model."""

import json

import pytest

from medix_r1.training.preflight.model.model_folder import model_problems
from medix_r1.training.preflight.model.model_values import value_problems
from medix_r1.training.preflight.rows.reply_format import format_problems
from tests.support.configs import set_in
from tests.support.problems import codes
from tests.unit.data.support import make_backbone

KEY = "actor_rollout_ref.model.path"
TEXT = {"hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 400}
VALUES = {"model_type": "qwen3_vl", "text_config": TEXT, "vision_config": {"patch_size": 16}}
TENSORS = {f"model.language_model.layers.{layer}.mlp.weight": [2, 4] for layer in range(2)}
TENSORS |= {"model.language_model.embed_tokens.weight": [400, 4], "model.visual.blocks.7.layers.9.weight": [2, 2]}


def weights(tensors):
    header, size = {}, 0
    for name, shape in tensors.items():
        header[name] = {"dtype": "I8", "shape": shape, "data_offsets": [size, size + shape[0] * shape[1]]}
        size += shape[0] * shape[1]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(size)


@pytest.fixture
def folder(tmp_path):
    made = make_backbone(tmp_path / "model")
    (made / "config.json").write_text(json.dumps(VALUES))
    (made / "model.safetensors").write_bytes(weights(TENSORS))
    return made


def problems(folder, check=value_problems, **values):
    return codes(check(set_in("experiment=nano_cpu", **{KEY: str(folder)} | values)))


def test_a_whole_model(folder):
    assert [*problems(folder), *problems(folder, model_problems), *problems(folder, format_problems)] == []


@pytest.mark.parametrize("content", [b"", b"{oops", b"[1]", b"{}", b"\xff\xfe\x00"])
def test_a_config_that_is_no_object(folder, content):
    (folder / "config.json").write_bytes(content)
    assert problems(folder) == [(KEY, "unreadable-model")]
    assert problems(folder, model_problems) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model_type": None}, "unreadable-model"),
        ({"model_type": 3}, "unreadable-model"),
        ({"text_config": [1]}, "unreadable-model"),
        ({"vision_config": "x"}, "unreadable-model"),
        ({"vision_config": {"patch_size": 0}}, "unreadable-model"),
        ({"text_config": TEXT | {"num_attention_heads": "4"}}, "unreadable-model"),
        ({"model_type": "no_such_vl"}, "unknown-architecture"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantised-weights"),
        ({"text_config": TEXT | {"num_hidden_layers": 5}}, "weights-do-not-fit"),
        ({"text_config": TEXT | {"hidden_size": 8}}, "weights-do-not-fit"),
    ],
)
def test_values_that_cannot_be_trained(folder, change, code):
    (folder / "config.json").write_text(json.dumps(VALUES | change))
    assert problems(folder) == [(KEY, code)]


def test_a_plug_in_may_bring_an_architecture(folder):
    (folder / "config.json").write_text(json.dumps(VALUES | {"model_type": "no_such_vl"}))
    assert problems(folder, **{"run.plugins": ["mine"]}) == []


def test_more_positions_than_the_model_has(folder):
    length = "actor_rollout_ref.rollout.max_model_len"
    (folder / "config.json").write_text(json.dumps(VALUES | {"text_config": TEXT | {"max_position_embeddings": 64}}))
    assert problems(folder, **{length: 128}) == [(length, "longer-than-the-model")]
    assert problems(folder, **{length: None}) == [("data.max_prompt_length", "longer-than-the-model")]
    assert problems(folder, **{length: 64}) == []
    stretched = TEXT | {"max_position_embeddings": 64, "rope_scaling": {"rope_type": "yarn", "factor": 4}}
    (folder / "config.json").write_text(json.dumps(VALUES | {"text_config": stretched}))
    assert problems(folder, **{length: 128}) == []


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("preprocessor_config.json", None, "no-processor"),
        ("preprocessor_config.json", b"nope", "unreadable-model"),
        ("model.safetensors.index.json", b"{", "weights-not-whole"),
        ("model.safetensors.index.json", b'{"weight_map": ["a"]}', "weights-not-whole"),
        ("pytorch_model.bin", b"", "weights-not-whole"),
        ("pytorch_model.bin", b"version https://git-lfs.github.com/spec/v1", "weights-not-whole"),
        ("adapter_config.json", b"{}", "adapter-alone"),
    ],
)
def test_files_that_are_broken(folder, name, content, code):
    (folder / name).unlink(missing_ok=True)
    if content is not None:
        (folder / name).write_bytes(content)
    assert problems(folder, model_problems) == [(KEY, code)]


_USER = "<|im_start|>user\n{% for m in messages %}"
_END = "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
_TEXTS = "{% for part in m.content %}{{ part.text }}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ("", "template-drops-text"),
        (_USER + _END, "template-drops-text"),
        (_USER + _TEXTS + _END, "template-drops-pictures"),
        ("{{ messages[0].content + 1 }}", "chat-template-fails"),
        ("{% for i in range(10 ** 9) %}x{% endfor %}", "chat-template-fails"),
    ],
)
def test_templates_that_leave_something_out_or_fail(folder, template, code):
    (folder / "chat_template.jinja").write_text(template)
    assert problems(folder, format_problems) == [(KEY, code)]


def test_the_tokenizer_of_another_model(folder):
    (folder / "config.json").write_text(json.dumps(VALUES | {"text_config": TEXT | {"vocab_size": 100}}))
    assert problems(folder, format_problems) == [(KEY, "tokenizer-does-not-fit")]


@pytest.mark.parametrize("name", ["x" * 300, "~nobody-of-this-name/model", "a\0b"])
def test_names_that_no_folder_can_have(name):
    assert problems(name) == []
    assert problems(name, model_problems) == [(KEY, "no-such-model")]
