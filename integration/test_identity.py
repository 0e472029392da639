"""What a thread is and has: clocks, processors, names, attributes."""


def test_cpu_clocks_count_the_thread(agree):
    """A thread had the clock of the process, and CLOCK_THREAD_CPUTIME_ID was the kernel thread's."""
    agree("ident_cputime")


def test_affinity(agree):
    """A thread that ran kept its processors until its next switch; attributes were ignored."""
    agree("ident_affinity")


def test_attributes_and_options(agree):
    agree("ident_attr")


def test_state_of_one_thread(agree):
    """Credentials set by a system call leaked to whoever the kernel thread ran next; capset changed the whole process."""
    agree("own_state")


def test_every_thread_has_state_of_its_own(agree):
    agree("own_alone")


# getpgid, getsid, setpgid, prlimit and sigqueue said ESRCH.
def test_ids_of_threads_where_the_kernel_takes_those_of_processes(agree):
    agree("ident_ids")
