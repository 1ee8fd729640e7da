from medix_r1.host.bounded_cache import bounded_cache, clear_caches


def counted():
    seen = []

    @bounded_cache
    def size(text: str, times: int) -> int:
        seen.append(text)
        return len(text) * times

    return size, seen


def test_a_short_text_is_worked_out_once_for_each_other_argument():
    size, seen = counted()

    assert [size("left lung", 2), size("left lung", 2), size("left lung", 3)] == [18, 18, 27]
    assert seen == ["left lung"] * 2


def test_a_long_text_is_never_kept():
    size, seen = counted()

    assert size("x" * 5000, 1) == size("x" * 5000, 1) == 5000
    assert len(seen) == 2


def test_old_results_go():
    size, seen = counted()
    for number in range(10_000):
        size(str(number), 1)

    size("0", 1)

    assert seen.count("0") == 2


def test_a_measurement_can_start_from_nothing():
    size, seen = counted()
    size("left lung", 1)

    clear_caches()
    size("left lung", 1)

    assert len(seen) == 2
