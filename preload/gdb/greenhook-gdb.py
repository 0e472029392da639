"""gdb: the green threads of a process or a core file.

    info greenthreads              every green thread: state, what it waits for, how it was started
    greenthread N bt               its backtrace
    greenthread N COMMAND          COMMAND with its innermost frame selected: up, frame apply all ..., info locals
    greenthread apply all COMMAND  the same of each

N is the id that `info greenthreads` shows. gdb loads this by itself when it is installed where gdb looks
(docs/man/greenhook.7); else `source` it. All that it needs of the library is the exported symbol
GREENHOOK_debug_layout (src/debug_layout.h), no debug information.

It writes nothing: not to registers, not to memory. A green thread that does not run has its registers on its
stack. An unwinder takes the newest frame of the selected kernel thread and says that its caller is the green
thread; from there on gdb unwinds as it always does. After each command it is taken back.
"""
import re
import struct

import gdb
import gdb.unwinder

SYMBOL = "GREENHOOK_debug_layout"
FIELDS = ("g_next g_id g_tid g_name g_flags g_life g_wake g_reason g_waits_for g_start g_sp g_switches g_bytes "
          "w_next w_current w_tid f_rip f_rbp f_rbx f_r12 f_r13 f_r14 f_r15 f_size nreasons").split()
REGISTERS = "rip rbp rbx r12 r13 r14 r15".split()
NATIVE, ALIVE, EXITING, PARKED, WAKE_MASK = 2, 1, 2, 2, 3


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def word(address):
    return struct.unpack("<Q", read(address, 8))[0]


def text(address, limit=64):
    return read(address, limit).split(b"\0")[0].decode(errors="replace")


def printable(name):
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in name)  # whatever the terminal is


def place(address):
    """The function at an address, by any symbol that gdb has."""
    try:
        said = gdb.execute(f"info symbol {address:#x}", to_string=True)
    except gdb.error:
        return f"{address:#x}"
    return f"{address:#x}" if said.startswith("No symbol") else said.split(" in section ")[0]


class Layout:
    def __init__(self):
        try:
            at = int(gdb.parse_and_eval(f"(unsigned long)&{SYMBOL}"))
            version, size = struct.unpack("<II", read(at, 8))
        except gdb.error:
            raise gdb.GdbError("This program does not run under greenhook, or has not been started.")
        if version != 1 or size < 40 + 4 * len(FIELDS):
            raise gdb.GdbError("This libgreenhook.so is of another version than greenhook-gdb.py.")
        self.all, self.main, self.workers, self.reasons = struct.unpack("<4Q", read(at + 8, 32))
        self.__dict__.update(zip(FIELDS, struct.unpack(f"<{len(FIELDS)}I", read(at + 40, 4 * len(FIELDS)))))

    def reason(self, number):
        return text(word(self.reasons + 8 * number)) if number < self.nreasons else str(number)


class Greenthread:
    """One of them, as it is in memory."""
    def __init__(self, layout, address, runs):
        bytes_of = read(address, layout.g_bytes)

        def field(form, offset):
            return struct.unpack_from(form, bytes_of, offset)[0]
        self.layout = layout
        self.next = field("<Q", layout.g_next)
        self.id = field("<Q", layout.g_id)
        self.tid = field("<i", layout.g_tid)
        self.name = bytes_of[layout.g_name:layout.g_name + 16].split(b"\0")[0].decode(errors="replace")
        self.native = bool(field("<I", layout.g_flags) & NATIVE)
        self.alive = field("<I", layout.g_life) in (ALIVE, EXITING)
        self.start = field("<Q", layout.g_start)
        self.sp = field("<Q", layout.g_sp)
        self.worker = runs.get(address)
        self.parked = (field("<I", layout.g_wake) & WAKE_MASK) == PARKED
        self.reason = layout.reason(field("<I", layout.g_reason))
        self.waits_for = field("<Q", layout.g_waits_for)
        self.switches = field("<I", layout.g_switches)

    def state(self):
        if self.worker:
            return f"running on LWP {self.worker}"
        if self.parked:
            return f"parked in {self.reason}" + (f" {self.waits_for:#x}" if self.waits_for else "")
        return "runnable" if self.switches else "new"

    def registers(self):
        base = self.sp
        values = {name: word(base + getattr(self.layout, "f_" + name)) for name in REGISTERS}
        values["rsp"] = base + self.layout.f_size
        return values


def greenthreads():
    layout = Layout()
    runs = {}
    worker = word(layout.workers)
    while worker:
        tid = struct.unpack("<i", read(worker + layout.w_tid, 4))[0]
        if tid > 0:
            runs[word(worker + layout.w_current)] = tid
        worker = word(worker + layout.w_next)
    main = word(layout.main)
    if not main:
        return
    first = Greenthread(layout, main, runs)
    yield first
    at = word(layout.all)
    while at:
        g = Greenthread(layout, at, runs)
        if not g.tid:  # each had one, once it was on the list
            raise gdb.GdbError("The memory of the others is not in this core file (gcore leaves out what lies near a guard page).")
        if g.alive and not g.native and at != main:
            yield g
        at = g.next


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Unwinder(gdb.unwinder.Unwinder):
    """While a green thread is looked at: the newest frame was called by it."""
    def __init__(self):
        super().__init__("greenhook")
        self.registers = None
        self.newest = None  # rsp and rip of the selected kernel thread; what is inlined there shares them

    def __call__(self, pending):
        if self.registers is None or (int(pending.read_register("rsp")), int(pending.read_register("rip"))) != self.newest:
            return None
        r = self.registers
        # Below all frames of the green thread, as a frame that it called would be.
        info = pending.create_unwind_info(FrameId(gdb.Value(r["rsp"] - 8), gdb.Value(r["rip"])))
        for name, value in r.items():
            kind = pending.read_register(name).type
            info.add_saved_register(name, gdb.Value(value).cast(kind))
        return info


UNWINDER = Unwinder()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)


class looking_at:
    """with looking_at(registers): the selected thread's newest frame is called by them; its caller is selected."""
    def __init__(self, registers):
        self.registers = registers

    def __enter__(self):
        self.thread = gdb.selected_thread()
        if not self.thread:
            raise gdb.GdbError("No kernel thread is selected.")
        newest = gdb.newest_frame()
        UNWINDER.newest = int(newest.read_register("rsp")), int(newest.read_register("rip"))
        UNWINDER.registers = self.registers
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame()
        while frame and frame.type() == gdb.INLINE_FRAME:
            frame = frame.older()
        frame = frame and frame.older()
        if not frame:
            raise gdb.GdbError("gdb cannot unwind it.")
        frame.select()
        return frame.level()

    def __exit__(self, *what):
        UNWINDER.registers = None
        gdb.invalidate_cached_frames()
        self.thread.switch()
        gdb.newest_frame().select()


def without_newest(said, n):
    """A backtrace without its first n frames."""
    out, skip = [], True
    for line in said.splitlines():
        match = re.match(r"#(\d+)( +)", line)
        if match and int(match[1]) >= n:
            skip = False
            number = f"#{int(match[1]) - n}"
            line = number.ljust(len(match[0])) + line[len(match[0]):]
        if not skip:
            out.append(line)
    return "\n".join(out) + "\n" if out else ""


def run(g, command):
    if g.worker:
        before = gdb.selected_thread()
        for thread in gdb.selected_inferior().threads():
            if thread.ptid[1] == g.worker:
                thread.switch()
                try:
                    return gdb.execute(command, to_string=True)
                finally:
                    before.switch()
        return f"kernel thread {g.worker} is not here\n"
    with looking_at(g.registers()) as level:
        said = gdb.execute(command, to_string=True)
        return without_newest(said, level) if re.match(r"(bt|backtrace|where)\b", command) else said


class InfoGreenthreads(gdb.Command):
    """info greenthreads: the green threads of this process: id, tid, name, state, start function."""
    def __init__(self):
        super().__init__("info greenthreads", gdb.COMMAND_STATUS)

    def invoke(self, arg, from_tty):
        print("    Id        Tid  Name             State")
        for g in greenthreads():
            started = f", started as {place(g.start)}" if g.start and g.id != 1 else ""
            print(f"{g.id:6} {g.tid:10}  {printable(g.name):16} {g.state()}{started}")


class GreenthreadCommand(gdb.Command):
    """greenthread N COMMAND: runs COMMAND (bt, up, info locals, ...) on a green thread.
greenthread apply all COMMAND: on each.
Nothing is written to registers or memory."""
    def __init__(self):
        super().__init__("greenthread", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        words = arg.split(None, 1)
        if len(words) == 2 and words[0] == "apply" and words[1].split()[0] == "all":
            command = words[1].split(None, 1)[1] if len(words[1].split()) > 1 else "bt"
            for g in list(greenthreads()):
                print(f'\nGreen thread {g.id} "{printable(g.name)}" ({g.state()}):')
                self.run(g, command)
        elif words and words[0].isdigit():
            for g in greenthreads():
                if g.id == int(words[0]):
                    return self.run(g, words[1] if len(words) > 1 else "bt")
            raise gdb.GdbError(f"There is no green thread {words[0]}.")
        else:
            raise gdb.GdbError("greenthread N COMMAND, or greenthread apply all COMMAND")

    @staticmethod
    def run(g, command):
        try:
            print(run(g, command), end="")
        except gdb.error as error:
            print(error)


InfoGreenthreads()
GreenthreadCommand()
