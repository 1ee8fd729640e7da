"""A backbone folder without weights, pictures and row files for the tests of medix_r1/data."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from medix_r1.data.prepare import prepare
from medix_r1.data.summary import Summary

TEMPLATE = Path(__file__).parents[3] / "tools" / "nano" / "policy" / "chat_template.jinja"
SPECIALS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def make_backbone(folder: Path, *, patch=16, low=1024, high=65536) -> Path:
    """One token a byte; the demo's chat template; Qwen's image processor with limits of our own."""
    folder.mkdir(parents=True, exist_ok=True)
    alphabet = {character: i for i, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(alphabet, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIALS])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "chat_template.jinja").write_text(TEMPLATE.read_text())
    processor = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": patch,
        "merge_size": 2,
        "size": {"shortest_edge": low, "longest_edge": high},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    config = {"model_type": "qwen3_vl", "image_token_id": tokenizer.token_to_id("<|image_pad|>")}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def picture(seed: int, width=96, height=64) -> Image.Image:
    """A picture that is unlike that of any other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_rows(folder: Path, rows: list[dict], name="rows.jsonl") -> Path:
    """JSONL with its pictures beside it; an image may be given as bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, row in enumerate(rows):
        names = []
        for position, image in enumerate(row.get("images", [])):
            names.append(image if isinstance(image, str) else f"{name}.{number}.{position}.bin")
            if isinstance(image, bytes):
                (folder / names[-1]).write_bytes(image)
        lines.append(json.dumps({**row, **({"images": names} if names else {})}))
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def row(seed: int, **changes) -> dict:
    """A row that is taken as it is."""
    base = {"question": f"What is seen in picture {seed}?", "answer": "left lung", "tag": "X_RAY"}
    return {**base, "images": [encoded(picture(seed))], **changes}


def prepare_overrides(rows: Path, out: Path, backbone: Path) -> list[str]:
    settings = [f"data.path={rows}", f"out={out}", f"backbone={backbone}", "workers=1"]
    return ["data=jsonl", *settings, "image.min_pixels=null", "image.max_pixels=null"]


def run_prepare(
    rows: Path, out: Path, backbone: Path, *overrides: str, strict=False, force=False, quiet=True
) -> Summary:
    console = Console(quiet=quiet, width=400)
    return prepare([*prepare_overrides(rows, out, backbone), *overrides], console, strict=strict, force=force)
