"""Opens a DICOM file: only the attributes that decide its picture are read, so a patient's never get into memory.

Files without a preamble or without a transfer syntax, deflated files, and attributes that are present but empty are
understood here; dicom.py renders what is opened.
"""

from __future__ import annotations

import io
import logging
import zlib
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medix_r1.images.rules import ImageReason, ImageRejected, ImageRules

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote what stands in a file
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_COLOURS = ("Red", "Green", "Blue", "Alpha")
_PALETTES = tuple(
    f"{start}{colour}PaletteColorLookupTable{end}"
    for colour in _COLOURS
    for start, end in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
    if (colour, end) != ("Alpha", "Descriptor")
)
_READ = (
    *("ImageType", "LossyImageCompression", "BurnedInAnnotation", "PixelPresentation"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleIntercept", "RescaleSlope", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *_PALETTES,
    *PIXELS,
)


def open_dicom(raw: bytes, rules: ImageRules) -> Dataset:
    """The attributes of a file that decide its picture, without those that are empty.

    Raises:
        ImageRejected: it inflates to more than is allowed, has no pixels, or compressed ones of an unnamed syntax.
    """
    with disable_value_validation():
        dataset = _read(raw, rules)
        for item in (dataset, *dataset.get("VOILUTSequence", ()), *dataset.get("ModalityLUTSequence", ())):
            drop_empty(item)
        if not any(name in dataset for name in PIXELS):
            raise ImageRejected(ImageReason.CORRUPT_IMAGE, "DICOM file without pixel data")
        _fill_in(dataset)
    return dataset


def drop_empty(item: Dataset) -> None:
    """Delete attributes without a value: for a viewer they are not there."""
    for tag in list(item.keys()):
        if item[tag].is_empty:
            del item[tag]


def _read(raw: bytes, rules: ImageRules) -> Dataset:
    file = io.BytesIO(raw)
    read_preamble(file, force=True)
    meta = _read_file_meta_info(file)  # pydicom's public function takes only a path
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return _headed(dcmread(io.BytesIO(_inflated(raw[file.tell() :], rules)), force=True, specific_tags=_READ), None)
    return _headed(dcmread(io.BytesIO(raw), force=True, specific_tags=_READ), meta.get("TransferSyntaxUID"))


def _inflated(packed: bytes, rules: ImageRules) -> bytes:
    """Inflate a whole data set, no further than a file may be large."""
    limit = int(rules.max_mebibytes * 2**20)
    content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, limit + 1)
    if len(content) > limit:
        says = f"deflated DICOM of more than {limit} bytes; image.max_mebibytes is {rules.max_mebibytes}"
        raise ImageRejected(ImageReason.IMAGE_BOMB, says)
    return content


def _headed(dataset: Dataset, syntax: str | None) -> Dataset:
    """Give a file without a transfer syntax the one in which it was read."""
    if syntax is None:
        if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
            says = "compressed DICOM without a transfer syntax; save it with its file meta header"
            raise ImageRejected(ImageReason.UNSUPPORTED_IMAGE, says)
        implicit, little = dataset.original_encoding
        native = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else native
    return dataset


def _fill_in(dataset: Dataset) -> None:
    """Attributes that only say what is usual may be missing; the size may not."""
    if missing := [name for name in ("Rows", "Columns", "BitsAllocated") if name not in dataset]:
        raise ImageRejected(ImageReason.CORRUPT_IMAGE, f"DICOM file without {', '.join(missing)}")
    samples = int(dataset.get("SamplesPerPixel", 1))
    usual: dict[str, Any] = {
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": "MONOCHROME2" if samples == 1 else "RGB",
    }
    if "PixelData" in dataset:
        usual |= {"BitsStored": int(dataset.BitsAllocated), "PixelRepresentation": 0}
    if samples > 1:
        usual["PlanarConfiguration"] = 0
    for name, value in usual.items():
        if name not in dataset:
            setattr(dataset, name, value)
