"""Validation rows are asked again with other pictures, and verl's own validation is left as it was."""

from __future__ import annotations

import copy
import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from medix_r1.errors import DataError
from medix_r1.training.verl_plugin.looking.other_pictures import RowsWithPictures
from medix_r1.training.verl_plugin.looking.validation import AsksAgain
from tests.support.configs import composed
from tests.support.rollouts import BLANK


def file(colour: int, size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (colour, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def row(name: str, *parts: dict[str, Any]) -> dict[str, Any]:
    content = [*({"type": "image", **part} for part in parts), {"type": "text", "text": "Which organ?"}]
    return {
        "raw_prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}],
        "data_source": "made",
        "reward_model": {"ground_truth": "<X_RAY>\nlung"},
        "extra_info": {"row_id": name},
    }


ROWS = [
    row("a", {"bytes": file(10), "path": None}),
    row("text alone"),
    row("b", {"bytes": file(20, (4, 4))}, {"image": Image.open(io.BytesIO(file(30)))}),
    row("c", {"bytes": file(10)}),
]


def shown(one: dict[str, Any]) -> list[tuple[tuple[int, int], int]]:
    """(size, red) of each picture of a row."""
    opened = [Image.open(io.BytesIO(p["bytes"])) for p in one["raw_prompt"][1]["content"] if p["type"] == "image"]
    return [(picture.size, picture.getpixel((0, 0))[0]) for picture in opened]


def test_each_picture_becomes_another_one_of_the_same_size() -> None:
    before = copy.deepcopy(ROWS)
    others = RowsWithPictures(ROWS, 1.0).with_others("shuffled")
    (one, two, three) = (others[number] for number in range(len(others)))

    assert [size for size, _ in (*shown(one), *shown(two), *shown(three))] == [(8, 6), (4, 4), (8, 6), (8, 6)]
    assert shown(one) == shown(three), "the same picture has the same stand-in"
    (_, ten), (_, twenty), (_, thirty) = *shown(one), *shown(two)
    assert {ten, twenty, thirty} == {10, 20, 30}
    assert all(shown != own for shown, own in ((ten, 10), (twenty, 20), (thirty, 30)))
    assert one["raw_prompt"][1]["content"][-1] == {"type": "text", "text": "Which organ?"}
    assert [r["extra_info"] for r in ROWS] == [r["extra_info"] for r in before]
    assert ROWS[0]["raw_prompt"] == before[0]["raw_prompt"], "the rows themselves are left alone"


def test_blank_pictures_are_grey() -> None:
    others = RowsWithPictures(ROWS, 1.0).with_others("blank")
    assert [shown(others[number]) for number in range(3)] == [
        [((8, 6), 128)],
        [((4, 4), 128), ((8, 6), 128)],
        [((8, 6), 128)],
    ]


def test_a_share_takes_the_same_rows_whatever_their_order() -> None:
    many = [row(str(number), {"bytes": file(number)}) for number in range(20)]
    names = lambda rows: {rows[n]["extra_info"]["row_id"] for n in RowsWithPictures(rows, 0.25).numbers}  # noqa: E731
    assert len(names(many)) == 5
    assert names(many) == names(many[::-1])


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([row("text alone")], "no-pictures"),
        ([row("twin", {"bytes": file(1)}), row("twin", {"bytes": file(2)})], "no-pictures"),
        ([row("a", {"bytes": file(1)}), row("b", {"bytes": file(1)})], "nothing-to-shuffle"),
    ],
)
def test_rows_that_cannot_be_asked_again_are_named(rows, code) -> None:
    with pytest.raises(DataError) as caught:
        RowsWithPictures(rows, 1.0).with_others("shuffled")
    assert caught.value.code == code


class Verl:
    """Stands for verl's trainer, whose validation answers each row of its loader with the first picture's colour."""

    def __init__(self, **looking: Any) -> None:
        self.config = composed("experiment=nano_cpu", *(f"run.looking.{k}={v}" for k, v in looking.items()))
        self.val_dataset = ROWS
        self.val_dataloader: Any = SimpleNamespace(batch_size=2, num_workers=0, collate_fn=list)
        self.replay_buffer: Any = SimpleNamespace(validation=["left over"], validation_split="validation")
        self.logged: list[str] = []
        self.splits: list[str] = []

    def _validate(self) -> dict[str, float]:
        self.splits.append(self.replay_buffer.validation_split)
        for batch in self.val_dataloader:
            for one in batch:
                name, colour = one["extra_info"]["row_id"], shown(one)[0][1]
                self.replay_buffer.validation.append(answered(name, float(colour == 10)))
        self._maybe_log_val_generations()
        self._dump_generations()
        return self._val_metrics_update()

    def _maybe_log_val_generations(self) -> None:
        self.logged.append("logged")

    def _dump_generations(self) -> None:
        self.logged.append("written")

    def _val_metrics_update(self) -> dict[str, float]:
        return {"val-core": 1.0}


class Trainer(AsksAgain, Verl):
    pass


def answered(name: str, overall: float) -> Any:
    return replace(
        BLANK, key=f"{name}_0_0", row_id=name, source="made", reference="<X_RAY>\nlung", overall=overall, parts={}
    )


def test_the_rows_are_validated_again_and_compared() -> None:
    trainer = Trainer(share=1, kinds="[shuffled,blank]")
    loader = trainer.val_dataloader

    found = trainer.looked([answered("a", 1.0), answered("b", 0.0), answered("c", 1.0)])

    assert trainer.splits == ["looking_shuffled", "looking_blank"]
    assert found["looking/rows/shuffled"] == found["looking/rows/blank"] == 3
    assert found["looking/real_minus_blank"] == pytest.approx(2 / 3), "nobody sees 10 in a grey picture"
    assert found["looking/seconds"] >= 0
    assert trainer.logged == [], "what verl logs and writes is of the real pictures"
    assert (trainer.val_dataloader, trainer.replay_buffer.validation_split) == (loader, "validation")


def test_an_error_leaves_the_trainer_with_its_own_rows() -> None:
    trainer = Trainer(share=1, kinds="[blank]")
    loader, trainer.val_dataloader.collate_fn = trainer.val_dataloader, lambda rows: 1 / 0
    with pytest.raises(ZeroDivisionError):
        trainer.looked([])
    assert (trainer.val_dataloader, trainer.replay_buffer.validation_split) == (loader, "validation")
    assert trainer._val_metrics_update() == {"val-core": 1.0}


def test_no_share_asks_nothing() -> None:
    trainer = Trainer(share=0)
    assert trainer.looked([answered("a", 1.0)]) == {}
    assert trainer.splits == []
