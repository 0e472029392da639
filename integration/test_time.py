"""Sleeping and limits: never early. How late is a matter for bench/, not for these tests."""


def test_every_sleeping_call(agree):
    agree("time_sleep")


def test_a_thousand_sleepers_at_once(agree):
    native = agree("time_sleepers")
    # One after the other would take 300 s.
    assert native.seconds < 20
