"""JPEG of 12 bits a sample (JPEG Extended), which pydicom decodes with no library that may be shipped here.

GDCM decodes it right, and pydicom leaves it out. While it does, GDCM writes "Unsupported JPEG data precision 12" to
stderr, of its first attempt with 8 bits.
"""

from __future__ import annotations

from typing import Any

import gdcm
import numpy as np
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import JPEGExtended12Bit


def is_jpeg12(dataset: Dataset) -> bool:
    """Whether the pixels of a file are grey JPEG of more than 8 bits."""
    wide = dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and int(dataset.BitsStored) > 8
    return bool(wide and int(dataset.SamplesPerPixel) == 1 and int(dataset.BitsAllocated) == 16)


def decode(dataset: Dataset, frame: int) -> np.ndarray[Any, Any]:
    """Decode one frame: its stored values, shape (rows, columns).

    Raises:
        ValueError: the JPEG is damaged or of another size than the header says.
    """
    rows, columns, stored = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsStored)
    fragment = gdcm.Fragment()
    frames = int(dataset.get("NumberOfFrames", 1))
    fragment.SetByteStringValue(get_frame(dataset.PixelData, frame, number_of_frames=frames))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(JPEGExtended12Bit))))
    signed = int(dataset.PixelRepresentation)
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, stored, stored - 1, signed))
    content = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM gives bytes as text
    if len(content) != 2 * rows * columns:
        raise ValueError(f"{len(content)} bytes of decoded JPEG for {columns}x{rows} pixels")
    return np.frombuffer(content, "<i2" if signed else "<u2").reshape(rows, columns)
