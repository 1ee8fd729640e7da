"""Seconds to find all near-equal pictures by index and by all pairs: `.venv/bin/python benchmarks/near_duplicates.py`.

Random perceptual hashes, one in twenty with a near copy; both ways must find the same pairs. Kept in
results/near_duplicates.json, which `make docs` quotes.
"""

from __future__ import annotations

import os
import time

import numpy as np
import results_file

from medix_r1.data.near import NearIndex

DISTANCE = 4  # bits, as in configs/prepare/prepare.yaml
SIZES = (10_000, 100_000)
_CHUNK = 500


def main() -> None:
    """Print and keep seconds at both sizes."""
    about, rows = results_file.provenance(), []
    print(about["machine"])
    for count in SIZES:
        hashes = make_hashes(count)
        started = time.monotonic()
        found = len(NearIndex(hashes, DISTANCE).search(hashes).queries)
        by_index = time.monotonic() - started
        started = time.monotonic()
        expected = sum(
            int((np.bitwise_count(hashes[i : i + _CHUNK, None] ^ hashes[None]) <= DISTANCE).sum())
            for i in range(0, len(hashes), _CHUNK)
        )
        all_pairs = time.monotonic() - started
        if found != expected:
            raise SystemExit(f"the index found {found} pairs of {expected}")
        print(
            f"{len(hashes):7d} pictures: index {by_index:6.2f} s, all pairs {all_pairs:7.1f} s, {found} pairs",
            flush=True,
        )
        rows.append({"pictures": count, "index_s": round(by_index, 2), "all_pairs_s": round(all_pairs, 1)})
    results_file.keep("near_duplicates", "search", {**about, "rows": rows})


def make_hashes(count: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """`count` random hashes and count / 20 copies with up to four bits turned."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    near = hashes[: count // 20].copy()
    for _ in range(DISTANCE):
        near ^= np.uint64(1) << rng.integers(0, 64, len(near)).astype(np.uint64)
    return np.concatenate([hashes, near])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
