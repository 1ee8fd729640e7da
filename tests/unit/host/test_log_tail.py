from medix_r1.host.log_tail import tail


def test_tail_of_a_large_log(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\xff" * 100_000 + b"\nlast\n")

    assert tail(log).endswith("\nlast")
    assert len(tail(log)) < 25_000
    assert tail(tmp_path / "none") == ""


def test_the_tail_ends_before_a_text(tmp_path):
    log = tmp_path / "log"
    log.write_text("said before\nTraceback\nsaid after\n")

    assert tail(log, before="Traceback").endswith("\nsaid before")
