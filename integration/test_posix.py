"""Families of POSIX functions, assertion by assertion, in the manner of a conformance suite."""


def test_timers_and_clocks(agree):
    """A timer on the clock of a thread ran on the clock of whatever kernel thread made it, or was refused."""
    agree("posix_timer")


def test_message_queues(agree):
    agree("posix_mqueue")


def test_asynchronous_io(agree):
    agree("posix_aio")


def test_names_shared_by_processes(agree):
    agree("posix_named")


def test_attributes_in_all_combinations(agree):
    agree("posix_attr")


def test_calls_under_a_storm_of_signals(agree):
    agree("posix_storm")


def test_what_a_child_inherits(agree):
    agree("posix_fork")


def test_scheduling_as_root_and_user(agree):
    """A thread of SCHED_IDLE could go back to SCHED_OTHER without the right to."""
    agree("posix_sched")


def test_corners_of_threads(agree):
    agree("posix_corners")


def test_every_signal_with_every_kind_of_handler(agree):
    agree("sig_matrix")


# Some calls read the caller's memory themselves and crashed where the kernel says EFAULT.
def test_bad_addresses_are_answered(agree):
    agree("bad_address")


def test_a_sandbox_does_not_meet_calls_that_the_program_does_not_make(agree):
    agree("sandbox_copy")
