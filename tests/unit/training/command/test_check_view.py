"""What `medix-r1 check` prints, with and without data, weights and a GPU."""

import io

from rich.console import Console

from medix_r1.training.command.check_summary import summary
from medix_r1.training.command.check_view import show_check
from tests.support.configs import ADDRESS, composed

RECIPE = "experiment=medix_r1_8b_grpo"


def check(*words: str, **options) -> tuple[int, str]:
    console = Console(width=200, record=True, file=io.StringIO())
    code = show_check(words, [], 80.0, console, **options)
    return code, console.export_text()


def test_offline_a_recipe_needs_nothing():
    """Neither data nor weights, no judge, no GPU, and no torch, which this tier refuses to import."""
    code, text = check(RECIPE, ADDRESS, offline=True)
    assert code == 0, text
    assert "no problem found" in text
    assert "GiB" in text
    assert "not looked at:" in text


def test_what_counts_fits_on_a_screen():
    rows = summary(composed("experiment=medix_r1_2b_dapo"))
    assert len(rows) <= 12
    assert all(len(text) < 240 for text in rows.values())
    for name, words in {
        "reward": ["llm 0.5175", "embed 0.3375", "format 0.1", "modality 0.045", "monitors: exact"],
        "reply": ["<thinking>", "strict"],
        "judge": ["Qwen3-4B", "http://127.0.0.1:1/v1", "binary"],
        "embedder": ["MedEmbed", "0.8"],
        "algorithm": ["grpo", "vanilla", "0.2 to 0.28", "no KL", "1e-06", "filtered by llm"],
        "model": ["Qwen/Qwen3-VL-2B-Instruct"],
        "lengths": ["4352 + reply 4096 = 8448"],
        "images": ["262144", "4194304 pixels (4096 tokens)", "at most 4"],
        "placement": ["1 x 8 GPUs", "judge: beside"],
    }.items():
        assert [word for word in words if word not in rows[name]] == [], name


def test_the_30b_model_thinks_before_it_answers():
    assert "own <think> block" in summary(composed("experiment=medix_r1_30b_dapo"))["reply"]
