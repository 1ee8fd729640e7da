"""Our token counts beside the real processors, qwen-vl-utils and verl's own filter."""

import random

import pytest
from PIL import Image
from qwen_vl_utils import vision_process
from transformers import AutoImageProcessor, AutoProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

from medix_r1.data.lengths.tokens import PromptCounter, ResizeRule
from medix_r1.data.prepared import read_index
from medix_r1.data.row import RowRejected
from medix_r1.training.verl_plugin.patches import picture_files
from tests.unit.data.support import encoded, make_backbone, picture, row, run_prepare, write_rows

# patch, processor limits, loader limits (as in a row): what the models' published processors have, the public recipe's
# range, and small limits, with which real pictures of 500 shapes are processed in seconds
PUBLISHED = {
    "qwen2.5-vl": ResizeRule(14, 2, 56 * 56, 28 * 28 * 16384),
    "qwen3-vl": ResizeRule(16, 2, 65536, 16777216),
    "qwen2.5-vl, recipe": ResizeRule(14, 2, 56 * 56, 28 * 28 * 16384, 262144, 4194304),
    "qwen3-vl, recipe": ResizeRule(16, 2, 65536, 16777216, 262144, 4194304),
}
SMALL = {
    "qwen2.5-vl": ResizeRule(14, 2, 56 * 56, 28 * 28 * 20, 28 * 28 * 2, 28 * 28 * 30),
    "qwen3-vl": ResizeRule(16, 2, 4096, 32 * 32 * 20, 32 * 32 * 2, 32 * 32 * 30),
}


def shapes(count: int, largest: int) -> list[tuple[int, int]]:
    """Every size of side, every ratio up to and beyond 200, and the edges of rounding."""
    rng = random.Random(7)
    found = [(1, 1), (1, 200), (1, 201), (200, 1), (27, 5400), (41, 8200), (14, 14), (16, 16), (42, 70), (4096, 4096)]
    while len(found) < count:
        long = int(largest ** rng.uniform(0.1, 1.0))
        short = max(1, round(long / rng.choice([1, 1.3, 2, 5, 20, 90, 190, 199.9, 200, 203, 400])))
        found.append(rng.choice([(long, short), (short, long)]))
    return [(w, h) for w, h in found if max(w, h) <= largest]


def ours(rule: ResizeRule, width: int, height: int) -> int | None:
    try:
        return rule.tokens(width, height)
    except RowRejected:
        return None


@pytest.mark.parametrize("name", PUBLISHED)
def test_equal_to_both_resize_steps_on_1500_shapes(name):
    rule = PUBLISHED[name]
    block = rule.patch_size * rule.merge_size
    processor = Qwen2VLImageProcessor(
        patch_size=rule.patch_size,
        merge_size=rule.merge_size,
        size={"shortest_edge": rule.processor_min_pixels, "longest_edge": rule.processor_max_pixels},
    )

    def real(width: int, height: int) -> int | None:
        try:
            limits = {"min_pixels": rule.loader_min_pixels, "max_pixels": rule.loader_max_pixels}
            loaded = vision_process.smart_resize(height, width, block, **limits)
            return processor.get_number_of_image_patches(*loaded, images_kwargs={}) // rule.merge_size**2
        except (ValueError, ZeroDivisionError):
            return None

    counts = {size: (ours(rule, *size), real(*size)) for size in shapes(1500, 20_000)}

    assert len(counts) > 1000
    assert [(size, pair) for size, pair in counts.items() if pair[0] != pair[1]] == []
    assert 20 < sum(pair[0] is None for pair in counts.values()) < 600  # too elongated, for both


@pytest.mark.parametrize("processor_class", [Qwen2VLImageProcessor, Qwen2VLImageProcessorPil])
@pytest.mark.parametrize("name", SMALL)
def test_equal_to_what_becomes_of_500_real_pictures(name, processor_class):
    rule = SMALL[name]
    processor = processor_class(
        patch_size=rule.patch_size,
        merge_size=rule.merge_size,
        size={"shortest_edge": rule.processor_min_pixels, "longest_edge": rule.processor_max_pixels},
    )
    different, seen = [], 0
    for width, height in shapes(560, 1200):
        element = {"image": Image.new("RGB", (width, height)), "min_pixels": rule.loader_min_pixels}
        element["max_pixels"] = rule.loader_max_pixels
        try:
            loaded = vision_process.fetch_image(element, image_patch_size=rule.patch_size)
            grid = processor(images=[loaded], return_tensors="pt")["image_grid_thw"][0]
            real = int(grid.prod()) // rule.merge_size**2
        except (ValueError, ZeroDivisionError):
            real = None
        seen += 1
        if real != ours(rule, width, height):
            different.append(((width, height), real, ours(rule, width, height)))

    assert different == []
    assert seen >= 500


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return make_backbone(tmp_path_factory.mktemp("backbone"), low=2048, high=32 * 32 * 40)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, backbone):
    """Rows of every kind: one, two and no images, marks inside, choices, other scripts, shrunk ones."""
    folder = tmp_path_factory.mktemp("rows")
    rows = [row(i, images=[encoded(picture(i, 40 + 37 * i, 300 - 20 * i), "JPEG")]) for i in range(12)]
    rows += [row(20, images=[encoded(picture(20, 200, 100)), encoded(picture(21, 90, 300).convert("L"))])]
    rows += [row(22, question="Before <image>, after <image>: better?", images=[encoded(picture(s)) for s in (22, 23)])]
    rows += [row(24, images=[], tag=None, question="Größe < 5 mm?\nΩ — 日本語"), row(25, choices=["a", "left lung"])]
    rows += [row(26, images=[encoded(picture(s, 900, 900)) for s in range(26, 34)])]
    limits = ["image.min_pixels=3000", "image.max_pixels=60000", "max_prompt_tokens=700", "split.validation=0"]
    summary = run_prepare(write_rows(folder, rows), folder / "out", backbone, *limits)
    assert (summary.train, summary.shrunk) == (len(rows), 1)
    return folder / "out"


def verl_dataset(files, backbone, tmp_path, limit, keep_all):
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset

    processor = AutoProcessor.from_pretrained(backbone)
    settings = {
        "max_prompt_length": limit,
        "filter_overlong_prompts": not keep_all,
        # In this process: a worker would be a fork of a process with torch's threads, which can wait for ever.
        "filter_overlong_prompts_workers": None,
        "image_key": "images",
        "cache_dir": str(tmp_path),
    }
    return RLHFDataset([str(file) for file in files], processor.tokenizer, OmegaConf.create(settings), processor)


@pytest.fixture
def qwen3_backbone(backbone, tmp_path):
    """The same folder with the processor class that verl loads for a Qwen3-VL model."""
    import json
    import shutil

    folder = tmp_path / "backbone"
    shutil.copytree(backbone, folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    video = {"video_processor_type": "Qwen3VLVideoProcessor", "patch_size": 16, "merge_size": 2}
    combined = {"processor_class": "Qwen3VLProcessor", "image_processor": settings, "video_processor": video}
    (folder / "processor_config.json").write_text(json.dumps(combined))
    (folder / "preprocessor_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "qwen3_vl"}))
    return folder


def test_verls_own_filter_counts_the_same(prepared, qwen3_backbone, tmp_path, monkeypatch):
    """Its filter keeps exactly the rows that are within the limit by our index, whatever the limit."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    files = sorted(prepared.glob("train-*.parquet"))
    lengths = {e["row_id"]: e["text_tokens"] + e["image_tokens"] for e in read_index(prepared).to_pylist()}
    dataset = verl_dataset(files, qwen3_backbone, tmp_path, 800, keep_all=True)
    assert len(dataset) == len(lengths)
    assert [length for length in lengths.values() if length > 800] == []

    dataset.filter_overlong_prompts = True
    ordered = sorted(lengths.values())
    for limit in (ordered[0] - 1, ordered[0], ordered[len(ordered) // 2], ordered[-2], ordered[-1] - 1, ordered[-1]):
        dataset.max_prompt_length = limit
        kept = dataset.maybe_filter_out_long_prompts(dataset.dataframe)
        names = {info["row_id"] for info in kept["extra_info"]}
        assert names == {name for name, length in lengths.items() if length <= limit}


def test_verl_reads_every_row(prepared, qwen3_backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    files = sorted(prepared.glob("train-*.parquet"))
    picture_files.install()
    dataset = verl_dataset(files, qwen3_backbone, tmp_path, 800, keep_all=True)

    for number in range(len(dataset)):
        item = dataset[number]
        (message,) = picture_files.opened(item["raw_prompt"])
        content = message["content"]
        pictures = [] if isinstance(content, str) else [part for part in content if part["type"] == "image"]
        assert item["index"] == number
        assert all(part["image"].width > 0 and part["min_pixels"] == 3000 for part in pictures)
        assert item["reward_model"]["ground_truth"].endswith("left lung")


def test_the_limits_are_read_as_transformers_reads_them(backbone):
    real = AutoImageProcessor.from_pretrained(backbone)
    rule = PromptCounter(backbone).rule

    assert (rule.patch_size, rule.merge_size) == (real.patch_size, real.merge_size)
    assert (rule.processor_min_pixels, rule.processor_max_pixels) == (
        real.size["shortest_edge"],
        real.size["longest_edge"],
    )
