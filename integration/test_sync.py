"""Mutexes, conditions, read-write locks, semaphores, barriers, spin locks, raw futexes."""


def test_mutex_kinds_and_errors(agree):
    agree("mutex_kinds")


def test_mutex_contention(agree):
    agree("mutex_contend")


def test_waiters_are_not_overtaken_for_ever(agree):
    """On one slot a thread that parked only while it held the lock never let them have it (Guile and its collector)."""
    agree("mutex_overtaken")


def test_memory_freed_right_after_unlock(agree):
    agree("mutex_free")


def test_cond_signal_and_broadcast(agree):
    agree("cond_wake")


def test_cond_timed_waits(agree):
    agree("cond_timed")


def test_producers_consumers_hash(agree):
    agree("queue_hash")


def test_rwlock(agree):
    agree("rwlock")


# A writer's release woke the next writer first: a stream of them starved readers.
def test_readers_have_their_turn_between_writers(agree):
    agree("rwlock_turns")


def test_semaphores(agree):
    agree("sem")


def test_barrier(agree):
    agree("barrier")


def test_spin_more_threads_than_cpus(agree):
    agree("spin")


def test_futex_system_call(agree):
    agree("futex")


def test_futex_without_the_private_flag(agree):
    """libstdc++'s futures and semaphores; more waiters than kernel threads never ended."""
    agree("futex_shared")


def test_process_shared(agree):
    agree("pshared")


def test_static_initialisers(agree):
    agree("static_init")


def test_robust_mutexes_outlive_their_owners(agree):
    agree("robust")


def test_condition_corner_cases(agree):
    agree("cond_corner")


def test_once_and_circular_joins_with_cancellation(agree):
    agree("once_cancel")
    agree("once_cancel_notables")


def test_signals_and_waits_that_are_libcs(agree):
    agree("sem_shared_signal")


def test_mutexes_with_a_priority_ceiling(agree):
    agree("mutex_ceiling")
