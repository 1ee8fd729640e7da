"""Renders a DICOM file as a viewer shows it: modality LUT, window or VOI LUT, inversion, palette and colour space.

The window is the configured one, else the file's own (VOI LUT, or centre and width), else a range of percentiles. Those
of an enhanced file are the chosen frame's, from its functional groups.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, apply_windowing, pixel_array
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from medix_r1.images import jpeg12
from medix_r1.images.dicom_file import drop_empty, open_dicom
from medix_r1.images.eight_bits import to_eight_bits, window
from medix_r1.images.rules import ImageReason, ImageRejected, ImageRules, check_size, frame_number

Pixels = np.ndarray[Any, Any]
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420", "YBR_PARTIAL_422")
_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
# from the group's sequence to what it says about the pixels of a frame
_GROUPS = {
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
}


def read_dicom(raw: bytes, rules: ImageRules) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode one frame to an 8-bit picture, grey or RGB, and say what its header says about it: `facts_of`.

    Raises:
        ImageRejected: its header says that it is too large, it has several frames, it has no pixels, or there is no
            decoder. pydicom's errors on damaged files are not caught.
    """
    dataset = open_dicom(raw, rules)
    check_size(int(dataset.Columns), int(dataset.Rows), rules)
    frame = frame_number(int(dataset.get("NumberOfFrames", 1)), rules)
    kind = str(dataset.PhotometricInterpretation).upper()
    _refuse_unknown(kind, dataset)
    try:
        stored = jpeg12.decode(dataset, frame) if jpeg12.is_jpeg12(dataset) else pixel_array(dataset, index=frame)
    except (NotImplementedError, RuntimeError) as error:
        raise ImageRejected(ImageReason.UNSUPPORTED_IMAGE, _undecoded(dataset, error)) from error
    if kind == "PALETTE COLOR":
        picture = _coloured(stored, dataset)
    elif kind in _COLOUR:
        picture = Image.fromarray(_eight_bit_colour(stored, int(dataset.BitsStored)))
    else:
        _take_groups(dataset, frame)
        picture = _grey(stored, dataset, rules)
    return picture, facts_of(dataset)


def facts_of(dataset: Dataset) -> tuple[str, ...]:
    """What a reader of the picture should know: `lossy`, `derived` (not as acquired), `burned_in` (text in its pixels).

    They name no person.
    """
    kinds = dataset.get("ImageType", "")
    first = kinds if isinstance(kinds, str) else kinds[0]
    facts = {
        "lossy": dataset.get("LossyImageCompression") == "01" or dataset.file_meta.TransferSyntaxUID in _LOSSY,
        "derived": str(first).upper() == "DERIVED",
        "burned_in": str(dataset.get("BurnedInAnnotation", "")).upper() == "YES",
    }
    return tuple(name for name, holds in facts.items() if holds)


def _refuse_unknown(kind: str, dataset: Dataset) -> None:
    if kind not in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", *_COLOUR):
        raise ImageRejected(ImageReason.UNSUPPORTED_IMAGE, f"DICOM pixels of {kind}; save the picture as RGB")
    if dataset.get("PixelPresentation") in ("COLOR", "MIXED"):
        says = "grey DICOM pixels that a supplemental palette colours in part; save the picture as RGB"
        raise ImageRejected(ImageReason.UNSUPPORTED_IMAGE, says)


def _undecoded(dataset: Dataset, error: Exception) -> str:
    name = dataset.file_meta.TransferSyntaxUID.name
    reason = " ".join(str(error).split())[:200]
    return f"DICOM pixels of transfer syntax {name} cannot be decoded here; save it uncompressed ({reason})"


def _coloured(stored: Pixels, dataset: Dataset) -> Image.Image:
    """Look the pixels up in the file's palette; transparent entries are put on white, as in a PNG."""
    colours = apply_color_lut(stored, dataset)
    if colours.dtype != np.uint8:
        is_narrow = int(dataset.RedPaletteColorLookupTableDescriptor[2]) == 8  # entries of 8 bits in words of 16
        colours = _eight_bit_colour(colours, 8 if is_narrow else 16)
    picture = Image.fromarray(colours)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _eight_bit_colour(values: Pixels, bits: int) -> Pixels:
    return values if values.dtype == np.uint8 else (values >> max(0, bits - 8)).astype(np.uint8)


def _take_groups(dataset: Dataset, frame: int) -> None:
    """Copy what the functional groups say about one frame to the file's own level, where classic files have it."""
    shared, frames = dataset.get("SharedFunctionalGroupsSequence"), dataset.get("PerFrameFunctionalGroupsSequence")
    groups = [shared[0]] if shared else []
    if frames:
        if frame >= len(frames):
            raise ImageRejected(ImageReason.CORRUPT_IMAGE, f"no functional group describes frame {frame + 1}")
        groups.append(frames[frame])
    for group in groups:
        for sequence, names in _GROUPS.items():
            for item in (group.get(sequence) or ())[:1]:
                drop_empty(item)
                for name in names:
                    if name in item:
                        dataset[name] = item[name]


def _grey(stored: Pixels, dataset: Dataset, rules: ImageRules) -> Image.Image:
    if dataset.get("RescaleSlope") == 0:  # it would make every pixel equal
        del dataset.RescaleSlope
    values = np.asarray(apply_modality_lut(stored, dataset))
    if rules.dicom_window is not None:
        centre, width = rules.dicom_window
        picture = window(values.astype(np.float32), centre - width / 2, centre + width / 2)
    elif lut := _usable_lut(dataset):
        depth = int(lut.LUTDescriptor[2])
        picture = window(np.asarray(apply_voi_lut(values, _voi_of(lut, dataset))).astype(np.float32), 0, 2**depth - 1)
    elif own := _usable_window(dataset):
        with np.errstate(over="ignore"):  # far from a sigmoid's centre
            picture = window(apply_windowing(values, own), 0, 255)
    else:
        picture = to_eight_bits(values.astype(np.float32), rules.percentiles, within=_not_padding(stored, dataset))
    if dataset.PhotometricInterpretation == "MONOCHROME1":  # low values are white
        return Image.fromarray(255 - np.asarray(picture))
    return picture


def _usable_lut(dataset: Dataset) -> Dataset | None:
    tables = dataset.get("VOILUTSequence") or ()
    return next((table for table in tables[:1] if "LUTDescriptor" in table and "LUTData" in table), None)


def _voi_of(lut: Dataset, dataset: Dataset) -> Dataset:
    """The table alone. pydicom wraps inputs above 255 round where the entries have 8 bits, so they are called 16."""
    alone = Dataset()
    alone.file_meta = dataset.file_meta
    entries, first, depth = lut.LUTDescriptor
    lut.LUTDescriptor = [entries, first, 16 if depth == 8 else depth]
    alone.VOILUTSequence = [lut]
    return alone


def _usable_window(dataset: Dataset) -> Dataset | None:
    """The file's first window that has a centre and a positive width, with outputs from 0 to 255."""
    kind = str(dataset.get("VOILUTFunction", "LINEAR")).upper()
    for centre, width in zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False):
        if math.isfinite(centre) and math.isfinite(width) and (width >= 1 if kind == "LINEAR" else width > 0):
            found = Dataset()
            found.PhotometricInterpretation = "MONOCHROME2"
            found.BitsStored, found.PixelRepresentation = 8, 0
            found.WindowCenter, found.WindowWidth, found.VOILUTFunction = centre, width, kind
            return found
    return None


def _numbers(dataset: Dataset, name: str) -> list[float]:
    value = dataset.get(name)
    values = [] if value is None else list(value) if not isinstance(value, (str, int, float)) else [value]
    return [math.nan if one in ("", None) else float(one) for one in values]


def _not_padding(stored: Pixels, dataset: Dataset) -> Pixels | None:
    """Where the pixels show something, if the file says which values only fill up; None if that is everywhere."""
    if "PixelPaddingValue" not in dataset:
        return None
    ends = [int(dataset.PixelPaddingValue), int(dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue))]
    shown = (stored < min(ends)) | (stored > max(ends))
    return shown if shown.any() else None
