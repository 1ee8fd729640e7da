"""verl: a row of the data set carries the decoded pixels of its pictures beside their files."""

import io
import pickle
import tempfile

import datasets
import numpy as np
from omegaconf import OmegaConf
from PIL import Image
from verl.utils.dataset.rl_dataset import RLHFDataset

SIDE = 1024
file = io.BytesIO()
Image.fromarray(np.tile(np.arange(SIDE, dtype=np.uint8), (SIDE, 1))).convert("RGB").save(file, "PNG")
message = {"role": "user", "content": "<image>Which organ is shown?"}
row = {"prompt": [message], "images": [{"bytes": file.getvalue()}], "data_source": "made"}

with tempfile.TemporaryDirectory() as folder:
    datasets.Dataset.from_list([row]).to_parquet(f"{folder}/rows.parquet")
    settings = {"image_key": "images", "cache_dir": folder, "filter_overlong_prompts": False}
    data = RLHFDataset(f"{folder}/rows.parquet", None, OmegaConf.create(settings), processor=object())
    size = len(pickle.dumps(data[0]))

print(f"a file of {file.tell():,} bytes, {SIDE} by {SIDE} pixels: the row is {size:,} bytes when pickled")
print(f"{'STILL THERE: larger than the pixels' if size > 3 * SIDE * SIDE else 'GONE: no pixels in it'}")
