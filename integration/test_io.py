"""Descriptors: pipes, sockets, readiness calls, non-blocking flags, errors, stdio."""
import os
import signal

import pytest


def test_token_ring_of_hundred_threads(agree):
    agree("io_ring")


def test_read_write_family(agree):
    agree("io_rw")


def test_send_recv_family(agree):
    agree("io_msg")


def test_fifty_threads_in_accept_and_connect(agree):
    agree("io_accept")


def test_poll_and_select(agree):
    agree("io_poll")


def test_epoll_of_the_program(agree):
    agree("io_epoll")


def test_nonblocking_descriptors(agree):
    agree("io_nonblock")


@pytest.mark.parametrize("flags", [0, os.O_NONBLOCK], ids=["blocking", "nonblocking"])
def test_flags_of_inherited_descriptors_stay(run, flags):
    """Our end of the pipe shares the open file description with the program: look from here too."""
    import fcntl
    for mode, workers in (("native", None), ("green", 1), ("green", 2)):
        reader, writer = os.pipe()
        try:
            os.write(writer, b"0123456789")
            before = fcntl.fcntl(reader, fcntl.F_GETFL) | flags
            fcntl.fcntl(reader, fcntl.F_SETFL, before)
            result = run("io_std_flags", mode=mode, workers=workers, stdin=reader)
            assert result.status == 0, result
            assert fcntl.fcntl(reader, fcntl.F_GETFL) == before
        finally:
            os.close(reader)
            os.close(writer)


def test_socket_timeouts(agree):
    agree("io_timeo")


def test_broken_pipe(agree):
    agree("io_epipe")


def test_sigpipe_kills(agree):
    agree("io_epipe", "die", status=-signal.SIGPIPE)


def test_close_shutdown_and_number_reuse(agree):
    agree("io_close")


def test_large_transfers(agree):
    agree("io_bulk")


def test_eventfd_and_timerfd(agree):
    agree("io_eventfd")


def test_stdio_from_many_threads(agree):
    agree("io_stdio")


def test_numbers_reused_by_raw_system_calls(agree):
    agree("fd_raw")


def test_numbers_reused_at_full_speed(agree):
    agree("fd_reuse")


def test_calls_that_move_in_pieces(agree):
    agree("io_pieces")


def test_epoll_sets_with_many_threads_and_nested(agree):
    agree("io_epoll_many")


def test_select_and_closed_numbers(agree):
    agree("fd_select")


def test_terminals(agree):
    agree("fd_tty")


def test_processes_that_share_a_listener(agree):
    agree("io_prefork")


def test_waiting_by_number_of_system_call(agree):
    agree("fd_syscall", env={"GREENHOOK_MAX_WORKERS": "8"})


def test_connections_in_every_state(agree):
    agree("io_connect")


def test_flags_that_a_child_sets(agree):
    agree("fd_spawn")


def test_two_threads_connect_one_socket(agree):
    agree("io_connect_together")
