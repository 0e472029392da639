"""Thread identity and thread-local storage: among them the six ways in which a thread control
block that is not quite glibc's gives itself away. Each has a test with its name."""
import shutil

import pytest


def test_thread_local_values_survive_blocking(agree):
    agree("tls_values")


def test_dlopen_dynamic_tls(agree, build_library):
    agree("tls_dlopen", build_library("tls_dynamic.c"))


def test_defect_child_of_fork_crashes(agree):
    agree("fork_thread")


def test_defect_setuid_never_returns(agree):
    agree("tls_setuid")


def test_rights_are_given_up_by_all_threads_without_proc(agree):
    """The kernel threads were looked up in /proc only: after a chroot, or with no descriptor free,
    setuid left the others as root and said nothing."""
    agree("proc_chroot")


def test_defect_dlopened_initial_exec_tls_reads_zero(agree, build_library):
    agree("tls_dlopen", build_library("tls_static.c"))


def test_defect_recursive_mutex_granted_twice(agree):
    agree("tls_recursive")


def test_defect_sched_getcpu_always_zero(agree):
    agree("tls_cpu")


def test_defect_getattr_np_reports_the_main_stack(agree):
    agree("thread_getattr")


@pytest.mark.parametrize("model", ["global-dynamic", "initial-exec"])
def test_library_loaded_among_thousands_of_threads(agree, build_library, tmp_path, model):
    """Parked, pooled and later ones, also in a fork's child; unloaded and loaded again."""
    library = build_library("tls_both.cc", f"-ftls-model={model}", "-Wl,--no-as-needed",
                            "-lstdc++")
    again = shutil.copy(library, tmp_path / "again.so")
    agree("tls_threads", library, again)


def test_recycled_blocks_show_and_leak_nothing(agree):
    agree("tls_recycled", 20000)


def test_monitor_needs_no_lock_of_the_loader(agree, build_library):
    """It made workers' thread blocks, and waited for a lock whose holder had no worker left."""
    agree("tls_loader_lock", build_library("tls_dynamic.c"))


def test_keys_and_thread_exit_functions(agree):
    agree("tls_keys")
