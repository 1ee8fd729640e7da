"""transformers: a saved Qwen3-VL mixture of experts has another layout than the published one that it reads."""

import tempfile

from safetensors.torch import load_file, save_file
from transformers import AutoConfig, Qwen3VLMoeForConditionalGeneration

HIDDEN, WIDTH, EXPERTS = 32, 24, 4
# As the published files have them.
PUBLISHED = {"gate_up_proj": (EXPERTS, HIDDEN, 2 * WIDTH), "down_proj": (EXPERTS, WIDTH, HIDDEN)}

text = {
    **{"hidden_size": HIDDEN, "intermediate_size": 64, "moe_intermediate_size": WIDTH, "num_hidden_layers": 1},
    **{"num_experts": EXPERTS, "num_experts_per_tok": 2, "num_attention_heads": 2, "num_key_value_heads": 2},
    **{"head_dim": 16, "vocab_size": 64, "decoder_sparse_step": 1, "mlp_only_layers": []},
}
vision = {
    **{"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": HIDDEN},
    **{"deepstack_visual_indexes": [0]},
}
config = AutoConfig.for_model("qwen3_vl_moe", text_config=text, vision_config=vision)
saved = {}
with tempfile.TemporaryDirectory() as folder:
    file = f"{folder}/model.safetensors"
    Qwen3VLMoeForConditionalGeneration(config).save_pretrained(folder)
    weights = load_file(file)
    for name, weight in weights.items():
        if weight.ndim == 3 and PUBLISHED.get(name.rpartition(".")[2]) == tuple(weight.transpose(1, 2).shape):
            weights[name] = weight.transpose(1, 2).contiguous()
    save_file(weights, file, metadata={"format": "pt"})
    model = Qwen3VLMoeForConditionalGeneration.from_pretrained(folder)
    model.save_pretrained(folder)
    saved = {name.rpartition(".")[2]: tuple(weight.shape) for name, weight in load_file(file).items()}
for name, shape in PUBLISHED.items():
    print(f"{name}: read {shape}, saved {saved[name]}")
same = all(saved[name] == shape for name, shape in PUBLISHED.items())
print("GONE" if same else "STILL THERE: what was read is saved in another layout")
