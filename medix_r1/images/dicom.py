"""Renders a DICOM file as a viewer shows it: with modality LUT, window, inversion and colour space applied.

The window is the configured one, else the file's own (VOI LUT, or centre and width), else a range of percentiles.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing, pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medix_r1.images.eight_bits import to_eight_bits, window
from medix_r1.images.rules import ImageReason, ImageRejected, ImageRules, check_size, frame_number


def read_dicom(raw: bytes, rules: ImageRules) -> Image.Image:
    """Decode one frame to an 8-bit picture, grey or RGB.

    Raises:
        ImageRejected: its header says that it is too large, it has several frames, it has no pixels, or it is deflated
            as a whole, so that a decompression bomb cannot be detected. pydicom's errors on damaged files are not
            caught.
    """
    file = io.BytesIO(raw)
    read_preamble(file, force=False)
    meta = _read_file_meta_info(file)  # pydicom's public function takes only a path
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise ImageRejected(ImageReason.IMAGE_BOMB, "DICOM deflated as a whole; save it with another transfer syntax")
    dataset = dcmread(io.BytesIO(raw))
    if "PixelData" not in dataset:
        raise ImageRejected(ImageReason.CORRUPT_IMAGE, "DICOM file without pixel data")
    check_size(int(dataset.Columns), int(dataset.Rows), rules)
    frame = frame_number(int(dataset.get("NumberOfFrames") or 1), rules)
    if int(dataset.SamplesPerPixel) == 3:  # pydicom converts YBR to RGB
        return Image.fromarray(_eight_bit_colour(pixel_array(dataset, index=frame), dataset))
    return _grey(pixel_array(dataset, index=frame), dataset, rules)


def _eight_bit_colour(values: np.ndarray[Any, Any], dataset: Dataset) -> np.ndarray[Any, Any]:
    return (values >> max(0, int(dataset.BitsStored) - 8)).astype(np.uint8)


def _grey(values: np.ndarray[Any, Any], dataset: Dataset, rules: ImageRules) -> Image.Image:
    values = np.asarray(apply_modality_lut(values, dataset))
    if rules.dicom_window is not None:
        centre, width = rules.dicom_window
        picture = window(values.astype(np.float32), centre - width / 2, centre + width / 2)
    elif "WindowCenter" in dataset or "VOILUTSequence" in dataset:
        picture = window(np.asarray(apply_voi_lut(values, dataset)).astype(np.float32), *_window_range(dataset))
    else:
        picture = to_eight_bits(values.astype(np.float32), rules.percentiles)
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":  # low values are white
        return Image.fromarray(255 - np.asarray(picture))
    return picture


def _window_range(dataset: Dataset) -> tuple[float, float]:
    """The output range of `apply_voi_lut`: (lowest, highest)."""
    if "VOILUTSequence" in dataset:
        return 0.0, float(2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    low, high = apply_windowing(np.array([-1e12, 1e12]), dataset)  # beyond any window, so they are clipped to its ends
    return float(low), float(high)
