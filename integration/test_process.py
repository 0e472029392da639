"""Processes: fork, exec, exit, children."""
import pytest


def test_fork_from_threads(agree):
    agree("fork_thread")


def test_atfork_handlers(agree):
    agree("fork_atfork")


@pytest.mark.parametrize("how, status", [
    ("exec", 44), ("exit", 45), ("_exit", 46), ("quick", 47), ("return", 48)])
def test_process_ends_while_threads_wait(agree, how, status):
    agree("exec_thread", how, status=status)


def test_children_of_many_threads(agree):
    agree("spawn_children")


def test_environment_is_inherited(agree):
    agree("env_inherit", env={"MARKER": "marked"})


def test_waiting_for_children(agree):
    agree("proc_wait")


def test_fork_in_a_handler_that_interrupts_a_call(agree):
    """The child came back into a hook whose runtime was gone, and crashed in its next wait."""
    agree("proc_fork_handler")


def test_fork_in_a_handler_that_interrupts_a_condition(agree):
    """The child's wait went on in a queue that the fork had emptied, if the handler had started the runtime."""
    agree("cond_fork_handler")


def test_fork_while_others_allocate_and_print(agree):
    agree("proc_fork_busy")


def test_vfork_child_shares_memory_and_nothing_else(agree):
    """vfork was fork: what the child wrote was not seen, and the caller did not wait."""
    agree("proc_vfork")


def test_spawn_system_popen(agree):
    agree("proc_spawn")


def test_processes_made_without_fork(agree):
    """A child of a raw clone kept a runtime whose workers were gone; comm was the worker's."""
    agree("proc_rawfork")


@pytest.mark.parametrize("who", ["thread", "main"])
def test_exec_keeps_mask_and_pending_signals(agree, who):
    """Signals queued for the caller were lost."""
    agree("proc_exec", who)


@pytest.mark.parametrize("who", ["main", "thread", "gone"])
@pytest.mark.parametrize("how, status", [
    ("exit", 21), ("quick", 22), ("_exit", 23), ("_Exit", 24), ("abort", -6), ("assert", -6)])
def test_end_of_the_process(agree, how, who, status):
    agree("proc_exit", how, *([] if who == "main" else [who]), status=status)


def test_children_live_while_the_thread_that_made_them_does(agree):
    """A kernel thread that nobody needs ends; its children would be told that their parent died."""
    agree("proc_parent_death", env={"GREENHOOK_IDLE_MS": "100"})


def test_program_that_returns_from_main_with_another_stack_pointer(agree):
    """Free Pascal's halt(): main's caller used its frame afterwards, and the program crashed at its end."""
    agree("exit_deep", status=6)
