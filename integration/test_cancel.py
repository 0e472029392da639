"""Cancellation: every point, races, cleanup in C and C++, what must not get lost."""


def test_every_cancellation_point(agree):
    agree("cancel_points")
