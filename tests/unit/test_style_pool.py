import numpy as np

from dataset.style_pool import StylePool


def test_all_slices_of_other_pieces_are_equally_likely():
    pieces = ["a"] * 2 + ["b"] * 5 + ["c"] * 1
    paths = [f"{piece}{number}" for number, piece in enumerate(pieces)]
    pool = StylePool(pieces, paths, np.ones(8))
    drawn = pool.draw(np.array(["b"] * 3000), np.random.default_rng(0))
    names, counts = np.unique(drawn, return_counts=True)
    assert names.tolist() == ["a0", "a1", "c7"]
    assert counts.min() > 900
    for piece in ("0", "bb", "z"):  # not in the pool, so that all slices are of other pieces
        assert len(set(pool.draw(np.array([piece] * 500), np.random.default_rng(0)).tolist())) == 8
