#!/usr/bin/env python3
"""Makes system calls as each thread of a real monitor would if a guest had taken it over, and tells what became of them.

A debugger's means are used: a thread is stopped, given the call in its registers, and let go at a `syscall` of its own code.
Its filters and everything else that the jail has taken from it hold as ever.
Usage: compromised.py MONITOR KERNEL FOLDER [all]     (KERNEL: any guest that goes on for ever)
Each call is tried by the devices' thread, and by one of the others in turn; with `all` by each."""
import ctypes, json, os, re, signal, struct, subprocess, sys, time
monitor, kernel, folder = sys.argv[1:4]
tries_all = "all" in sys.argv[4:]
os.makedirs(folder + "/shared", exist_ok=True)
os.makedirs(folder + "/sockets", exist_ok=True)
os.chdir(folder)
with open("disk", "w") as file: file.truncate(1 << 20)
with open("secret", "w") as file: file.write("secret")

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
GETREGS, SETREGS, ATTACH, STEP, SYSCALL, SETOPTIONS = 12, 13, 16, 9, 24, 0x4200
WALL = 0x40000000
# struct user_regs_struct
NAMES = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()


def ptrace(request, thread, data=0):
    if libc.ptrace(request, thread, None, data) == -1: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


with open("/proc/sys/kernel/pid_max") as file: last = int(file.read())


class Monitor:
    def __init__(self, extra=()):
        for name in ("sockets/vsock", "api.sock"):
            if os.path.exists(name): os.unlink(name)
        with open("machine.json", "w") as file:
            machine = {
                "boot-source": {"kernel_image_path": kernel}, "machine-config": {"vcpu_count": 1, "mem_size_mib": 16},
                "drives": [{"drive_id": "d", "path_on_host": "disk", "is_root_device": False}],
                "vsock": {"guest_cid": 3, "uds_path": "sockets/vsock"}, "entropy": {}}
            if not extra: machine["shared-folders"] = [{"tag": "f", "path_on_host": "shared"}]
            json.dump(machine, file)
        self.log = open("log", "w+")
        self.process = subprocess.Popen(
            [monitor, "--config-file", "machine.json", *(extra or ["--no-api"])], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=self.log)
        self.pid = self.process.pid
        end = time.monotonic() + 300
        while time.monotonic() < end and self.process.poll() is None:
            threads = {int(number): open(f"/proc/{self.pid}/task/{number}/status").read()
                       for number in os.listdir(f"/proc/{self.pid}/task")}
            # The kernel has threads of its own in a process that runs guests.
            numbers = [number for number, status in threads.items() if not status.startswith("Name:\tkvm-")]
            # As they were started: after the highest number the kernel begins with low ones again.
            numbers.sort(key=lambda number: (number - self.pid) % last)
            if len(numbers) == 4 and all("Seccomp:\t2" in threads[number] for number in numbers): break
            time.sleep(0.002)
        roles = ["devices", "api", "drive", "processor"] if extra else ["devices", "drive", "folder", "processor"]
        # Main first, then as they are started.
        self.threads = dict(zip(roles, numbers))
        if len(numbers) != len(roles):
            self.process.kill()
            sys.exit(f"threads: {numbers}, not {roles}")

    def call(self, role, number, arguments):
        """Returns what the call gave, or how the monitor ended and what it said."""
        thread = self.threads[role]
        ptrace(ATTACH, thread)
        os.waitpid(thread, WALL)
        ptrace(SETOPTIONS, thread, 1)
        registers = (ctypes.c_uint64 * len(NAMES))()
        ptrace(GETREGS, thread, ctypes.addressof(registers))
        values = dict(zip(NAMES, registers))
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            room = values["rsp"] - 8192 & ~15
            for index, argument in enumerate(arguments):
                if isinstance(argument, bytes):
                    memory.seek(room)
                    memory.write(argument + bytes(8))
                    arguments = (*arguments[:index], room, *arguments[index + 1:])
                    room += len(argument) + 16 & ~15
            values["rip"] = self.instruction(memory)
        values.update(rax=number, orig_rax=2 ** 64 - 1)
        for name, argument in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), (*arguments, 0, 0, 0, 0, 0, 0)):
            values[name] = argument % 2 ** 64
        registers[:] = [values[name] for name in NAMES]
        ptrace(SETREGS, thread, ctypes.addressof(registers))
        stops, pending, result = 0, 0, None
        while True:
            # Behind the call, one step: a refused one is followed by its signal, any other by the next instruction.
            ptrace(SYSCALL if result is None else STEP, thread, pending)
            _, status = os.waitpid(thread, WALL)
            if not os.WIFSTOPPED(status): break
            pending = os.WSTOPSIG(status)
            if pending == signal.SIGTRAP | 0x80:
                pending, stops = 0, stops + 1
                if stops == 2:
                    ptrace(GETREGS, thread, ctypes.addressof(registers))
                    result = ctypes.c_int64(registers[NAMES.index("rax")]).value
            elif pending == signal.SIGSYS: stops, result = -1 << 20, None
            elif pending == signal.SIGTRAP and result is not None: return result
            elif pending in (signal.SIGSTOP, signal.SIGUSR1, signal.SIGTRAP): pending = 0
        if thread != self.pid: _, status = os.waitpid(self.pid, 0)
        self.log.seek(0)
        said = re.search(r"its thread of (\w+) made system call \d+ ?(?:\((\w+)\))?", self.log.read())
        ending = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        return f"{ending} {said[1] if said else 'silently'}"

    def descriptor(self, name):
        folder = f"/proc/{self.pid}/fd"
        return next(int(number) for number in os.listdir(folder) if name in os.readlink(f"{folder}/{number}"))

    def code(self):
        with open(f"/proc/{self.pid}/maps") as maps: return int(next(line for line in maps if " r-xp " in line).split("-")[0], 16)

    def instruction(self, memory):
        for line in open(f"/proc/{self.pid}/maps"):
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if "x" not in line.split()[1] or "[v" in line: continue
            memory.seek(start)
            place = memory.read(end - start).find(b"\x0f\x05")
            if place >= 0: return start + place
        sys.exit("the monitor has no system call")

    def end(self):
        if os.path.exists(f"/proc/{self.pid}"):
            os.kill(self.pid, signal.SIGKILL)
            # A thread that is traced is waited for before its process.
            try:
                while os.waitpid(-1, WALL)[0] != self.pid: pass
            except ChildProcessError: pass
        self.process.returncode = 0


here = -100
secret = os.path.abspath("secret").encode() + b"\0"
unix = lambda path: struct.pack("<H", 1) + path
# What would take more than the machine: each is to end the monitor.
deadly = {
    "open": (2, secret, 0), "openat to write": (257, here, secret, 0o2000001), "creat": (85, secret, 0o644),
    "execve": (59, b"/bin/sh\0", 0, 0), "execveat": (322, here, b"/bin/sh\0", 0, 0, 0), "fork": (57,), "vfork": (58,),
    "clone with a namespace": (56, 0x10000011, 0, 0, 0, 0), "clone3": (435, 0, 88), "kill": (62, os.getpid(), 9), "kill all": (62, -1, 9),
    "tkill": (200, os.getpid(), 9), "tgkill": (234, os.getpid(), os.getpid(), 9), "pidfd_open": (434, os.getpid(), 0),
    "rt_sigqueueinfo": (129, os.getpid(), 9, 0), "ptrace": (101, 16, os.getpid(), 0, 0),
    "process_vm_readv": (310, os.getpid(), 0, 0, 0, 0, 0), "process_vm_writev": (311, os.getpid(), 0, 0, 0, 0, 0),
    "TCP socket": (41, 2, 1, 0), "IPv6 socket": (41, 10, 2, 0), "netlink socket": (41, 16, 3, 0), "packet socket": (41, 17, 3, 0),
    "Unix datagrams": (41, 1, 2, 0), "vsock socket": (41, 40, 1, 0), "bind": (49, 0, 0, 0), "listen": (50, 0, 1),
    "socketpair": (53, 1, 1, 0, 0), "mount": (165, b"proc\0", b"/\0", b"proc\0", 0, 0), "umount2": (166, b"/\0", 2),
    "open_tree": (428, here, b"/\0", 0), "fsopen": (430, b"proc\0", 0), "pivot_root": (155, b".\0", b".\0"), "chroot": (161, b"/\0"),
    "setns": (308, 0, 0), "unshare": (272, 0x10000000), "init_module": (175, 0, 0, 0), "finit_module": (313, 0, 0, 0),
    "kexec_load": (246, 0, 0, 0, 0), "bpf": (321, 0, 0, 0), "perf_event_open": (298, 0, 0, -1, -1, 0), "userfaultfd": (323, 0),
    "keyctl": (250, 0, 0, 0), "io_uring_setup": (425, 8, 0), "io_uring_register": (427, 0, 0, 0, 0),
    "KVM_CREATE_VM": (16, 0, 0xae01, 0), "TUNSETIFF": (16, 0, 0x400454ca, 0), "TIOCSTI": (16, 0, 0x5412, 0),
    "executable memory": (9, 0, 4096, 7, 0x22, -1, 0), "executable file": (9, 0, 4096, 5, 2, 0, 0),
    "mprotect to execute": (10, 0x1000, 4096, 5), "memfd_create": (319, b"m\0", 0), "prctl": (157, 4, 1, 0, 0, 0),
    "rt_sigaction": (13, 31, 0, 0, 8), "seccomp": (317, 0, 0, 0), "setuid": (105, 0), "setresuid": (117, 0, 0, 0),
    "capset": (126, 0, 0), "prlimit64": (302, 0, 7, 0, 0), "iopl": (172, 3), "reboot": (169, 0, 0, 0, 0),
    "link": (86, secret, b"x\0"), "chmod": (90, secret, 0o777), "ioperm": (173, 0, 1, 1), "sethostname": (170, b"x", 1),
    "x32 read": (0x40000000, 0, 0, 0),
}
silent = {"x32 read"}
# What a role may ask for, and does not get.
refused = {
    ("folder", "openat2 of the host's file"): ((437, here, secret, struct.pack("<QQQ", 0, 0, 0), 24), -2),
    ("folder", "openat to write"): ((257, here, secret, 0o2000001), -2),
    ("folder", "openat2 of the root"): ((437, here, b"/proc\0", struct.pack("<QQQ", 0, 0, 0), 24), -2),
    ("folder", "linkat"): ((265, here, secret, here, b"x\0", 0), -2),
    ("folder", "unlinkat"): ((263, here, secret, 0), -30),
    ("devices", "unlinkat"): ((263, here, secret, 0), -30),
    # The guest has 16 MiB, and one shared folder.
    ("devices", "four gigabytes of memory"): ((9, 0, 1 << 32, 3, 0x22, -1, 0), -12),
    ("drive", "four gigabytes of memory"): ((9, 0, 1 << 32, 3, 0x22, -1, 0), -12),
    ("drive", "a gigabyte behind the guest's memory"): (
        (328, lambda one: one.descriptor("guest-memory"), lambda one: struct.pack("<QQ", one.code(), 1), 1, 1 << 30, 0, 0), -1),
}
wrong = total = 0


def judge(role, name, found, expected):
    global wrong, total
    total += 1
    if found != expected:
        wrong += 1
        print(f"{role}: {name}: {found} (wanted {expected})")


sets = [((), ["devices", "drive", "folder", "processor"]), (("--api-sock", "api.sock"), ["api"])]
begin = time.monotonic()
turns = ["drive", "folder", "processor", "api"]
for extra, roles in sets:
    for role in roles:
        for index, (name, (number, *arguments)) in enumerate(deadly.items()):
            if (role, name) in refused: continue
            if not tries_all and role != "devices" and turns[index % 4] != role: continue
            one = Monitor(extra)
            judge(role, name, one.call(role, number, tuple(arguments)), "SIGSYS " + ("silently" if name in silent else role))
            one.end()
for (role, name), ((number, *arguments), expected) in refused.items():
    one = Monitor()
    arguments = tuple(each(one) if callable(each) else each for each in arguments)
    judge(role, name, one.call(role, number, arguments), expected)
    one.end()
print(f"{total} calls, {wrong} wrong", flush=True)
