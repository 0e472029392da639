"""Files, flushing, locks, bytes moved inside the kernel, messages between processes."""
import pytest


def test_read_write_at_an_offset_and_errors(agree):
    agree("file_rw")


@pytest.mark.parametrize("what", ["flock", "open file description locks", "fifo", "msgrcv",
                                  "semop", "mq", "aio"])
def test_waits_leave_the_others_running(agree, what):
    agree("file_wait", what)


@pytest.mark.parametrize("what", ["flock", "open file description locks", "msgrcv", "semop"])
def test_more_waiters_than_kernel_threads(agree, what):
    """The thread that ends the wait needs a kernel thread, too."""
    agree("file_wait", what, 100, env={"GREENHOOK_MAX_WORKERS": "12"})


def test_splice_tee_vmsplice_sendfile(agree):
    agree("file_splice")


def test_handlers_and_cancellation_in_calls_that_wait(agree):
    agree("file_signal")
