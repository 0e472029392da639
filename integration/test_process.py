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
