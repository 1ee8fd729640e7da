"""Loads a model folder with the transformers that is first on the path: FOLDER RESULT.json [ADAPTER].

Imports nothing of this project, because it also runs with transformers 4.57.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer, GenerationConfig


def main(folder: str, result: str, adapter: str | None = None) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What does the picture show?"}]}]
    text = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    picture = Image.radial_gradient("L").resize((64, 64)).convert("RGB")
    inputs = processor(text=[text], images=[picture], return_tensors="pt")
    model, loading = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        logits = model.eval()(**inputs, use_cache=False).logits[0].float()
    found = {
        "version": transformers.__version__,
        "odd": {key: sorted(map(str, names)) for key, names in loading.items() if names},
        "ids": tokenizer(text)["input_ids"],
        "special": sorted(tokenizer.all_special_tokens),
        "prompt": inputs["input_ids"][0].tolist(),
        "pixels": float(inputs["pixel_values"].double().sum()),
        "eos": GenerationConfig.from_pretrained(folder).eos_token_id,
        "tied": model.config.tie_word_embeddings,
        "logits": logits.tolist(),
    }
    Path(result).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
