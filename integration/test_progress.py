"""Whatever gets on with kernel threads gets on here, even with a single worker: a thread stuck in
the kernel, spinning or computing never stops the others."""


def test_inline_system_call_blocks_only_its_thread(agree):
    agree("progress_inline", workers=(1, 2))


def test_spinning_thread_does_not_stop_the_one_it_waits_for(agree):
    agree("progress_spin", workers=(1, 2))


def test_computing_thread_does_not_stop_a_thousand_others(agree):
    native = agree("progress_compute", workers=(1,))
    assert "progress yes" in native.out and "timers yes" in native.out


def test_kernel_threads_end_when_nobody_needs_them(agree):
    # So few that there are none for the second round if those that ended are still counted.
    native = agree("thread_shrink", workers=(1, 2, 8), env={"GREENHOOK_IDLE_MS": "50", "GREENHOOK_MAX_WORKERS": "64"})
    assert "round 2: few are left: yes" in native.out


def test_the_last_kernel_thread_is_for_one_that_computed(agree):
    """Below the cap some are held back from those that compute; all others waited for one of these."""
    agree("progress_last_worker", env={"GREENHOOK_MAX_WORKERS": "16"})
