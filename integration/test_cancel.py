"""Cancellation: every point, state and type, races, cleanup in C and C++."""


def test_every_cancellation_point(agree):
    agree("cancel_points")


def test_state_type_and_pending_requests(agree):
    agree("cancel_state")


def test_cleanup_handlers_on_the_list(agree):
    agree("cancel_cleanup")


def test_cleanup_handlers_of_the_unwinder(agree):
    agree("cancel_cleanup_fexceptions")


def test_cxx_destructors(agree):
    agree("cxx_cancel")


def test_semaphores_and_conditions_lose_nothing(agree):
    agree("cancel_race")


def test_data_and_connections_are_not_lost(run):
    """Not differential: glibc before 2.41 throws away what a cancelled read or accept took."""
    for workers in (1, 2, 8):
        green = run("cancel_race", 300, "all", mode="green", workers=workers)
        assert green.status == 0 and "some" not in green.out, green.out


def test_a_request_just_before_the_wait_for_any_child(agree):
    agree("cancel_wait_child")


def test_a_request_at_the_instruction_that_enters_the_kernel(agree):
    """Random moments never met it: the tests stayed green with the window's handler switched off."""
    agree("cancel_step")


def test_threads_of_libcs_own(agree):
    agree("cancel_libc_thread")
