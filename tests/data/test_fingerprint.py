import torch

from ravine.data import MemorySplit
from ravine.data.fingerprint import fingerprint


def test_one_changed_bit_of_input_or_target_changes_it():
    x, y = torch.rand(2000, 3), torch.arange(2000) % 2
    plain = fingerprint([MemorySplit(x, y)])
    for changed in (MemorySplit(x.clone().index_fill_(0, torch.tensor(1999), 0.5), y), MemorySplit(x, 1 - y)):
        assert fingerprint([changed]) != plain
    assert fingerprint([MemorySplit(x.clone(), y.clone())]) == plain


def test_a_row_moved_to_another_split_changes_it():
    x, y = torch.rand(10, 3), torch.zeros(10)
    parts = [MemorySplit(x[:4], y[:4]), MemorySplit(x[4:], y[4:])]
    others = [MemorySplit(x[:5], y[:5]), MemorySplit(x[5:], y[5:])]
    assert fingerprint(parts) != fingerprint(others)
    empty = MemorySplit(x[:0], y[:0])
    assert fingerprint([parts[0], empty]) != fingerprint([empty, parts[0]])
    assert len(fingerprint(parts)) == 64
