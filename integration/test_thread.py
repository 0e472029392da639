"""Threads: life cycle, attributes, identity, per-thread state, C11 and C++ on top."""


def test_create_join_results_and_errors(agree):
    agree("thread_basic")


def test_detached_threads_run_and_cannot_be_joined(agree):
    agree("thread_detach")


def test_tryjoin_timedjoin_clockjoin(agree):
    agree("thread_timedjoin")


def test_main_leaves_by_pthread_exit(agree):
    agree("thread_main_exit")


def test_attributes(agree):
    agree("thread_attr")


def test_attributes_of_gnu(agree):
    agree("thread_attr_np")


def test_names(agree):
    agree("thread_name")


def test_ten_thousand_threads(agree):
    agree("thread_many")


def test_specific_data(agree):
    agree("thread_tsd")


def test_cleanup_handlers(agree):
    agree("thread_cleanup")


def test_cxx_destructors_at_thread_end(agree):
    agree("thread_cleanup_cxx")


def test_cancellation(agree):
    agree("thread_cancel")


def test_once(agree):
    agree("thread_once")


def test_c11_threads(agree):
    agree("thread_c11")


def test_cxx_standard_library(agree):
    agree("thread_cxx")


def test_gettid_is_unique_and_stable(agree):
    agree("thread_gettid")


def test_a_program_with_wrappers_named_like_libc_functions(agree):
    """syscall(SYS_gettid) called the program's own gettid(), which called syscall(): endless recursion."""
    agree("own_names")


def test_a_program_that_looks_names_up_by_version(agree):
    """dlvsym found libc's conditions, whose waiters then slept on a mutex that nobody else knew by futex:
    programs built with -fsanitize=thread hung."""
    agree("own_versions")


def test_scheduling_parameters_belong_to_the_thread(agree):
    """glib's thread pools set them by gettid() and abort if the kernel does not know the thread."""
    agree("thread_priority")


def test_stack_use(agree):
    agree("thread_stack")


def test_libc_state_per_thread(agree):
    agree("thread_libc")


def test_five_hundred_threads_need_few_kernel_threads(run):
    """Not differential: proves that a green run is green at all."""
    assert int(run("threads_kernel").out) == 501
    for workers in (1, 2):
        green = run("threads_kernel", mode="green", workers=workers)
        # Main and the workers, the monitor, the offload pool: a handful, never one per pthread.
        assert green.status == 0 and int(green.out) < 40, green


def test_attributes_that_are_inherited_or_named(agree):
    agree("attr_inherited")


def test_an_allocator_that_calls_hooks(agree):
    """Finding libc's functions allocated, the allocator (jemalloc) read the clock, and so on without end."""
    agree("own_malloc")
