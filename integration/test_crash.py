"""Fatal signals in a thread: the status is the native one, and the report names the gthread."""
import pytest


@pytest.mark.parametrize("how,number", [("s", 11), ("o", 11), ("a", 6), ("f", 8)])
def test_status_of_a_crash_is_the_native_one(agree, how, number):
    agree("crash", how, status=-number)


@pytest.mark.parametrize("how,expected", [
    ("s", ["SIGSEGV at address 0x0 in gthread", '"doomed"', "started as ends (0x", "ends"]),
    ("o", ["SIGSEGV", "stack overflow: ", "KiB used of", "deeper"]),
    ("a", ["SIGABRT in gthread", "abort", "ends"]),
])
def test_report_says_who_and_where(run, how, expected):
    result = run("crash", how, mode="green", workers=2)
    for text in expected:
        assert text in result.err, result.err


def test_report_can_be_switched_off(run):
    result = run("crash", "s", mode="green", workers=1, env={"GREENHOOK_CRASH_REPORT": "0"})
    assert "SIGSEGV" not in result.err
