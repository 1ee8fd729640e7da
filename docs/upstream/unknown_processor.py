"""verl: a vision model whose processor verl does not know is trained without its images, with one warning."""

import tempfile
import warnings
from unittest import mock

from transformers import AutoConfig, AutoProcessor
from transformers.models.smolvlm.processing_smolvlm import SmolVLMProcessor
from verl.utils.tokenizer import hf_processor

processor = object.__new__(SmolVLMProcessor)  # of a model that transformers and vLLM run
with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    with (
        mock.patch.object(AutoProcessor, "from_pretrained", return_value=processor),
        mock.patch.object(AutoConfig, "from_pretrained", return_value=None),
    ):
        found = hf_processor(folder)

print("hf_processor returned:", found)
print("and warned:", [str(one.message) for one in said if "processor" in str(one.message)])
print("STILL THERE: no error" if found is None else "GONE: it is known, or it is an error")
