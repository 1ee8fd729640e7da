"""The DICOM files of pydicom and pydicom-data against pydicom's pipeline: `python -m tests.support.dicom_reference`.

The reference decodes a file whole, with all its attributes, and applies pydicom's functions one after the other. It
shares no code with medix_r1/images but the rule of the project: percentiles where a file has no window.
"""

from __future__ import annotations

import io
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

from medix_r1.images.decode import prepare_image
from medix_r1.images.rules import ImageRejected, ImageRules

TOLERANCE = 2.5  # grey levels
PERCENTILES = (0.5, 99.5)
FOLDERS = (("pydicom", "data/test_files"), ("data_store", "data"))
RESULTS = Path(__file__).parents[2] / "benchmarks/results/dicom_files.json"
Pixels = np.ndarray[Any, Any]


def dicom_files() -> list[Path]:
    """Every file of the two packages that pydicom opens and that has an element of pixels."""
    found = []
    for package, below in FOLDERS:
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        files = sorted(path for path in (Path(spec.origin).parent / below).rglob("*") if path.is_file())
        found += [path for path in files if _has_pixels(path)]
    return found


def _has_pixels(path: Path) -> bool:
    if path.suffix in (".py", ".pyc", ".txt", ".json", ".dump", ".icc", ".gz", ".zip"):
        return False
    try:
        dataset = dcmread(path, force=True)
        return any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
    except Exception:  # noqa: BLE001 - pydicom raises anything on what is not DICOM
        return False


def reference(path: Path) -> Pixels:
    """The first frame in grey levels from 0 to 255, as pydicom's functions give it."""
    dataset = dcmread(path, force=True)
    several = int(dataset.get("NumberOfFrames") or 1) > 1
    pixels = dataset.pixel_array[0] if several else dataset.pixel_array
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        colours = apply_color_lut(pixels, dataset)
        return colours / (257 if colours.dtype == np.uint16 else 1)
    if pixels.ndim == 3:
        return pixels.astype(float) * (255 / (2 ** int(dataset.BitsStored) - 1))
    _flatten_groups(dataset)
    padding = dataset.get("PixelPaddingValue")
    shown = pixels != padding if padding is not None else np.ones(pixels.shape, bool)
    values = apply_modality_lut(pixels, dataset)
    if dataset.get("VOILUTSequence"):
        grey = apply_voi_lut(values, dataset) * (255 / (2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1))
    elif dataset.get("WindowCenter") not in (None, ""):
        ends = apply_voi_lut(np.array([-1e9, 1e9]), dataset)
        grey = (apply_voi_lut(values, dataset) - ends[0]) * (255 / (ends[1] - ends[0]))
    else:
        low, high = np.percentile(values[shown], PERCENTILES)
        if low == high:
            low, high = values[shown].min(), values[shown].max()
        grey = (np.clip(values, low, high) - float(low)) * (255 / float(high - low or 1))
    return 255 - grey if kind == "MONOCHROME1" else grey


def _flatten_groups(dataset: Dataset) -> None:
    groups = [*dataset.get("SharedFunctionalGroupsSequence", ())[:1]]
    groups += dataset.get("PerFrameFunctionalGroupsSequence", ())[:1]
    for group in groups:
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in group.get(name, ())[:1]:
                dataset.update(item)


@dataclass(frozen=True, slots=True)
class Compared:
    """One file: the largest difference in grey levels, or why ours or pydicom's pipeline refuses it."""

    name: str
    difference: float | None
    refused: str
    reference_refused: str

    @property
    def is_right(self) -> bool:
        """Within the tolerance, or refused with a reason."""
        return bool(self.refused) or (self.difference is not None and self.difference <= TOLERANCE)


def compare(path: Path) -> Compared:
    """Compare one file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted, reason = reference(path), ""
    except Exception as error:  # noqa: BLE001 - the reason is kept
        wanted, reason = np.zeros(0), f"{type(error).__name__}: {error}"[:100]
    try:
        image = prepare_image(path.read_bytes(), ImageRules(frames="first"))
    except ImageRejected as problem:
        return Compared(path.name, None, str(problem), reason)
    if reason:
        return Compared(path.name, None, "", reason)
    shown = np.asarray(Image.open(io.BytesIO(image.content))).astype(float)
    return Compared(path.name, float(np.abs(shown - wanted).max()), "", "")


def main() -> None:
    """Print every file that is not equal; with --write, put the counts where docs/data.md takes them from."""
    compared = {path: compare(path) for path in dicom_files()}
    for each in compared.values():
        if each.refused or each.reference_refused or (each.difference or 0) > 1:
            print(each)
    by_kind: dict[str, list[Compared]] = {}
    for path, each in compared.items():
        by_kind.setdefault(_kind(path), []).append(each)
    rows = [{"kind": kind, **_counted(found)} for kind, found in sorted(by_kind.items())]
    counted = {
        "command": "python -m tests.support.dicom_reference --write",
        "machine": f"any, with pydicom {version('pydicom')}",
        "date": date.today().isoformat(),
        "tolerance": TOLERANCE,
        "rows": rows,
        "all": _counted(list(compared.values())),
    }
    print(json.dumps(counted, indent=1))
    if "--write" in sys.argv:
        RESULTS.write_text(json.dumps({"files": counted}, indent=1) + "\n", encoding="utf-8")


def _kind(path: Path) -> str:
    dataset = dcmread(path, force=True)
    colour = str(dataset.get("PhotometricInterpretation", "")) or "damaged"
    if dataset.get("PerFrameFunctionalGroupsSequence"):
        return f"{colour}, functional groups"
    if not colour.startswith("MONOCHROME"):
        return "YBR" if colour.startswith("YBR") else colour
    if dataset.get("VOILUTSequence"):
        return f"{colour}, VOI LUT"
    return f"{colour}, window" if dataset.get("WindowCenter") not in (None, "") else f"{colour}, no window"


def _counted(compared: list[Compared]) -> dict[str, Any]:
    within = [each.difference for each in compared if each.difference is not None and each.is_right]
    reasons = Counter(each.refused.partition(":")[0] for each in compared if each.refused)
    return {
        "files": len(compared),
        "within": len(within),
        "largest": max(within, default=0.0),
        "refused": dict(reasons),
        "beyond_the_reference": sum(1 for each in compared if each.reference_refused and not each.refused),
        "wrong": [each.name for each in compared if not each.is_right and not each.reference_refused],
    }


def results() -> Iterator[Compared]:
    """Every file's comparison."""
    for path in dicom_files():
        yield compare(path)


if __name__ == "__main__":
    main()
