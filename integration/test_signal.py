"""Signals: handlers, interruption and restart, death, waiting, jumps out of handlers."""
import signal

import pytest


def test_handler_interrupts_blocking_calls(agree):
    agree("sig_eintr")


def test_restart_and_never_interrupted_calls(agree):
    agree("sig_restart")


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("how, number", [
    ("term", signal.SIGTERM), ("kill", signal.SIGKILL), ("segv", signal.SIGSEGV),
    ("abort", signal.SIGABRT), ("assert", signal.SIGABRT), ("fpe", signal.SIGFPE),
    ("guard", signal.SIGSEGV)])
def test_death_by_signal(agree, how, number, where):
    args = [how] if where == "main" else [how, where]
    agree("sig_die", *args, workers=(1, 2), status=-number)


def test_what_was_pending_for_main_before_the_first_thread_stays_mains(agree):
    agree("sig_early")


def test_what_all_threads_block_stays_pending(agree):
    agree("sig_closed")


def test_sigwait_family_and_masks(agree):
    agree("sig_wait")


def test_pthread_kill_runs_the_handler_on_its_target(agree):
    agree("sig_kill")


def test_queues_order_and_ignored_signals(agree):
    agree("sig_order")


# What the monitor or another worker had taken from the kernel was overtaken by what came directly.
def test_real_time_signals_to_the_process_keep_their_order(agree):
    agree("sig_fifo")


def test_a_stop_and_continue_from_outside(agree):
    agree("sig_stopped")


# Of several that became due at once those of the thread and of the process were handled by number alike;
# with a handler in a handler the process's real-time signals could overtake each other.
def test_what_waits_behind_a_mask(agree):
    agree("sig_pending")


# The kernel gave it to any kernel thread, and the caller went on meanwhile.
def test_default_actions_have_happened_when_the_call_returns(agree):
    agree("sig_default")


def test_what_a_handler_finds_and_may_change(agree):
    agree("sig_frame")


def test_process_signals_temporary_masks_and_sigwait(agree):
    agree("sig_process")


# A signal was given to a worker's own context that was being made, or to a thread without its mask yet, and was lost.
def test_signals_while_threads_are_being_made(agree):
    agree("sig_young")


def test_timers_that_notify_one_thread(agree):
    agree("sig_timer")


# Kicks once piled up frame upon frame until the stack was full, and what was on its way through the
# kernel could be overtaken or left behind on another kernel thread.
def test_signals_at_full_speed(agree):
    agree("sig_storm")


def test_system_v_and_bsd_functions_and_masks_after_jumps(agree):
    agree("sig_old")


def test_interruption_and_restart_of_every_call(agree):
    agree("sig_rules")


def test_alarms_timers_and_children(agree):
    agree("sig_alarm")


def test_jumps_out_of_handlers(agree):
    agree("sig_jump")


def test_jumps_leave_nothing_of_a_call_behind(agree):
    agree("sig_jump_held")


def test_signalfd_finds_what_nobody_accepts(agree):
    agree("sig_fd")


# A handler that ran between the look whether one had and the wait was forgotten: sigsuspend slept on.
def test_calls_that_open_the_mask_while_they_wait(agree):
    agree("sig_atomic")


# A signal that only a thread in its handler did not block was blocked on the monitor for good: the next one came to nobody.
@pytest.mark.parametrize("when", ["", "early"])
def test_signalfd_beside_a_thread_in_its_handler(agree, when):
    agree("sig_fd_handler", *([when] if when else []))


# A handler ran on a kernel thread of libc's that held a lock of the runtime, which the handler wanted as well.
def test_handlers_on_a_thread_of_libcs_own(agree):
    agree("sig_kernel_thread")


def test_handler_that_resets_runs_once(agree):
    agree("sig_once")
