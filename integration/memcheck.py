#!/usr/bin/python3
"""Every differential program that runs by itself under valgrind's memcheck, natively and green.

    integration/memcheck.py                 all of them, about half an hour
    integration/memcheck.py -k sem          those whose name contains "sem"
    integration/memcheck.py -w 1 -j 4       one worker; four at once

What memcheck reports of a native run is the program's own doing; what it reports of a green one beyond that is held
against the library. Ends with 1 then. EXPECTED has those that cannot be clean, and why.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build" / "programs"
LIBRARY = pathlib.Path(os.environ.get("GREENHOOK_LIB", ROOT / "build" / "libgreenhook.so"))
# Without the last, a child that ends by _exit (the start-up test is one) flushes what its parent wrote.
VALGRIND = ["valgrind", "-q", "--error-exitcode=0", "--num-callers=20", "--run-libc-freeres=no"]
# memcheck takes what lies beyond the stack pointer for dead; a handler's frame is moved there.
MOVES_FRAMES = "handlers on an alternate stack, or of faults"
EXPECTED = {
    "cxx_except": MOVES_FRAMES, "posix_named": MOVES_FRAMES, "sig_frame": MOVES_FRAMES,
    "sig_kernel_thread": "300,000 handlers last too long",
    "posix_aio": "libc's aio_misc.c, of its own list of requests",
}
ERROR = re.compile(r"^==\d+== (Invalid |Conditional jump|Use of uninit|Syscall param|Mismatched|Source and dest)", re.M)


def run(command, limit, env=None):
    """Status, output, messages; status None: it did not end."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, **(env or {})}, start_new_session=True, text=True, errors="replace")
    try:
        out, err = process.communicate(timeout=limit)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        out, err = process.communicate()
        return None, out, err


def judge(name, workers, limit):
    """(word, details): ok, unfit (cannot be compared), expected, or what is wrong."""
    program = str(PROGRAMS / name)
    plain = run([program], 30)
    if plain[0] != 0:
        return "unfit", "needs arguments"
    native = run([*VALGRIND, program], limit)
    if native[0] != 0 or native[1] != plain[1]:
        return "unfit", f"under valgrind it ends natively with {native[0]}, or says other things"
    green = run([*VALGRIND, program], limit * 2,
                {"LD_PRELOAD": str(LIBRARY), "GREENHOOK_WORKERS": str(workers)})
    more = len(ERROR.findall(green[2])) - len(ERROR.findall(native[2]))
    if green[0] == 0 and green[1] == native[1] and more <= 0:
        return "ok", ""
    details = "did not end" if green[0] is None else f"status {green[0]}, {more} more errors\n{green[2][:1500]}"
    return ("expected" if name in EXPECTED else "WRONG"), EXPECTED.get(name, details)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", default="", help="part of the name")
    parser.add_argument("-w", type=int, default=2, help="workers")
    parser.add_argument("-j", type=int, default=2, help="programs at once")
    parser.add_argument("--limit", type=int, default=90, help="seconds for a native run; a green one has twice that")
    options = parser.parse_args()
    names = sorted(path.stem for path in (ROOT / "integration" / "programs").glob("*.c*")
                   if options.k in path.stem and path.stem != "oracle")
    counts = {}
    with concurrent.futures.ThreadPoolExecutor(options.j) as pool:
        for name, (word, details) in zip(names, pool.map(lambda n: judge(n, options.w, options.limit), names)):
            counts[word] = counts.get(word, 0) + 1
            if word != "ok":
                print(f"{name}: {word}: {details}", flush=True)
    print("memcheck: " + ", ".join(f"{n} {word}" for word, n in sorted(counts.items())))
    return 1 if counts.get("WRONG") or not counts.get("ok") else 0


if __name__ == "__main__":
    sys.exit(main())
