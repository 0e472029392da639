"""Random programs (programs/oracle.c): 20,000 seeds, native and green, must give the same results."""
import pytest

import oracle

PROGRAMS = 20000


def test_twenty_thousand_random_programs(programs):
    if not oracle.LIBRARY.exists():
        pytest.skip(f"{oracle.LIBRARY.name} is not built")
    wrong = oracle.compare(0, PROGRAMS, [1, 2, 8], jobs=4, limit=30)
    for seed, workers in sorted(wrong, key=lambda key: key[0])[:3]:
        print(f"seed {seed}, {oracle.name(workers)}: {wrong[(seed, workers)]}")
        print(oracle.shrink(workers, seed, repeat=200, limit=10))
    assert not wrong, f"{len(wrong)} of {PROGRAMS} programs differ: seeds {sorted(seed for seed, _ in wrong)[:20]}"
