import numpy as np
import pytest

from medix_r1.data.near import NearIndex


@pytest.mark.parametrize("distance", [0, 1, 4, 7])
def test_the_index_finds_exactly_what_comparing_all_pairs_finds(distance):
    rng = np.random.default_rng(distance)
    hashes = rng.integers(0, 2**64, 1500, dtype=np.uint64)
    flips = np.zeros(500, np.uint64)
    for _ in range(9):
        flips ^= np.uint64(1) << rng.integers(0, 64, 500).astype(np.uint64)
    queries = np.concatenate([hashes[:200], hashes[:500] ^ flips, hashes[:500] ^ np.uint64(2**distance - 1)])

    pairs = NearIndex(hashes, distance).search(queries)

    all_distances = np.bitwise_count(queries[:, None] ^ hashes[None, :])
    expected = set(zip(*(part.tolist() for part in np.nonzero(all_distances <= distance)), strict=True))
    assert set(zip(pairs.queries.tolist(), pairs.found.tolist(), strict=True)) == expected
    assert len(expected) >= 700
    assert all(all_distances[pairs.queries, pairs.found] == pairs.distances)


def test_nothing_is_near_nothing():
    assert len(NearIndex(np.zeros(0, np.uint64), 4).search(np.ones(3, np.uint64)).queries) == 0
    assert len(NearIndex(np.ones(3, np.uint64), 4).search(np.zeros(0, np.uint64)).queries) == 0
