import asyncio
import pickle
import sqlite3
import subprocess
import sys

import pytest

from medix_r1.models.response_cache import ResponseCache


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


async def test_memory_forgets_the_least_recently_used():
    answers = ResponseCache(2, None)
    for number in (1, 2):
        await answers.put(key(number), [number])
    answers.get(key(1))
    await answers.put(key(3), [3])

    assert [answers.get(key(number)) for number in (1, 2, 3)] == [[1], None, [3]]
    assert await answers.get_from_disk(key(2)) is None


async def test_disk_outlives_the_object_and_fills_memory(tmp_path):
    first = ResponseCache(10, str(tmp_path / "deep" / "answers"))
    await first.put(key(1), [True, "YES é", None])
    first.close()
    second = ResponseCache(10, str(tmp_path / "deep" / "answers"))

    assert second.get(key(1)) is None
    assert await second.get_from_disk(key(1)) == [True, "YES é", None]
    assert second.get(key(1)) == [True, "YES é", None]
    assert second.disk_hits == 1
    second.close()


def test_four_processes_write_at_once_and_nothing_is_lost(tmp_path):
    code = (
        "import asyncio, sys\n"
        "from medix_r1.models.response_cache import ResponseCache\n"
        "async def main():\n"
        "    answers, who = ResponseCache(1000, sys.argv[1]), int(sys.argv[2])\n"
        "    for i in range(50):\n"
        "        await answers.put((who * 50 + i).to_bytes(16, 'big'), [who, i])\n"
        "        await answers.put(b'shared', [who, i])\n"
        "    answers.close()\n"
        "asyncio.run(main())\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(who)]) for who in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4

    async def read() -> list[object]:
        answers = ResponseCache(1000, str(tmp_path))
        found = [await answers.get_from_disk(key(number)) for number in range(200)]
        assert (await answers.get_from_disk(b"shared"))[1] == 49
        answers.close()
        return found

    assert asyncio.run(read()) == [[number // 50, number % 50] for number in range(200)]


class Bomb:
    def __reduce__(self):
        return (open, ("/tmp/medix-should-not-exist", "w"))


async def test_a_pickle_in_the_cache_is_not_loaded(tmp_path, caplog):
    answers = ResponseCache(10, str(tmp_path))
    await answers.put(key(1), [1])
    with sqlite3.connect(tmp_path / "cache.db") as database:
        database.execute("UPDATE Cache SET mode = 4, value = ?", (pickle.dumps(Bomb()),))
    database.close()
    other = ResponseCache(10, str(tmp_path))

    assert await other.get_from_disk(key(1)) is None
    (record,) = caplog.records
    assert "pickle" in record.getMessage()
    other.close()
    answers.close()


@pytest.mark.parametrize("broken", ["no folder", "no database"])
async def test_a_cache_that_cannot_be_opened_costs_the_saving_and_no_answer(tmp_path, caplog, broken):
    path = tmp_path / "answers"
    if broken == "no folder":
        path.write_text("a file where the folder should be")
    else:
        path.mkdir()
        (path / "cache.db").write_text("no database at all, and long enough to be taken for one" * 99)

    answers = ResponseCache(10, str(path))
    await answers.put(key(1), [1])

    assert answers.get(key(1)) == [1]
    assert await answers.get_from_disk(key(2)) is None
    (record,) = caplog.records
    assert str(path) in record.getMessage()
    answers.close()


@pytest.mark.parametrize("row", ["[1, ", 7])
async def test_a_row_that_is_no_answer_is_none(tmp_path, caplog, row):
    answers = ResponseCache(10, str(tmp_path))
    answers._disk.set(key(1).hex(), row)

    assert await answers.get_from_disk(key(1)) is None
    assert len(caplog.records) == 1


async def test_a_disk_that_fails_costs_the_saving_and_no_answer(tmp_path, caplog):
    answers = ResponseCache(10, str(tmp_path))
    answers._disk.set = lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("database or disk is full"))

    await answers.put(key(1), [1])
    await answers.put(key(2), [2])

    assert answers.get(key(1)) == [1]
    assert await answers.get_from_disk(key(3)) is None
    (record,) = caplog.records
    assert "database or disk is full" in record.getMessage()
