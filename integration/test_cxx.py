"""Unwinding and the C++ library: exceptions across hooks and threads, C++20, plug-ins, contexts."""


def test_exceptions(agree):
    agree("cxx_except")


def test_jthread_and_the_rest_of_20(agree):
    agree("cxx_20")


def test_plug_in_of_a_c_program(agree, build_library):
    agree("cxx_plugin", build_library("plugin.cc", "-Wl,--no-as-needed", "-lstdc++"))


def test_makecontext_and_swapcontext(agree):
    agree("tls_ucontext")
