"""Snapshots on this machine, natively, with bare guests: restores, clones, forks, rates; Firecracker beside them where it runs.

Environment: MONITOR, FIRECRACKER (programs), BENCH_SCRATCH; REPEATS (100) restores, CLONES (100), FORK_MIB (1024) in use, MOST
(1000) machines at once, CHART (a file for the curve), ONLY (a part's name: restores, clones, rates, ahead, fork).
The guests are a few instructions each. Both monitors are driven by the same client through Firecracker's API."""
import http.client
import json
import math
import os
import resource
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

REPEATS, CLONES = int(os.environ.get("REPEATS", 100)), int(os.environ.get("CLONES", 100))
FORK_MIB = int(os.environ.get("FORK_MIB", 1024))
MOST, ONLY = int(os.environ.get("MOST", 1000)), os.environ.get("ONLY")
CHART = os.environ.get("CHART") and os.path.realpath(os.environ["CHART"])
TOUCHED_MIB, MIB, START = 32, 1 << 20, 32 << 20
# No text of a monitor has these bytes.
BEAT, READY, DONE = b"\x01", b"\x02", b"\x03"
OURS, FIRECRACKER = "swiftlet-vmm", "Firecracker 1.12.1"
PROGRAMS = {OURS: os.path.realpath(os.environ["MONITOR"])}
if os.environ.get("FIRECRACKER"):
    PROGRAMS[FIRECRACKER] = os.path.realpath(os.environ["FIRECRACKER"])
scratch = os.path.join(os.environ.get("BENCH_SCRATCH", "build/bench"), "snapshots")
shutil.rmtree(scratch, ignore_errors=True)
os.makedirs(scratch)
os.chdir(scratch)


def kernel(name, code):
    """An ELF file with one page of 64-bit code at 16 MiB. Source: System V ABI, ELF-64 object file format."""
    address = 16 << 20
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, address, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0x1000, address, address, len(code), len(code), 0x1000)
    with open(name, "wb") as file:
        file.write((header + segment).ljust(0x1000, b"\0") + code)


def each_page(action, mebibytes):
    """mov edi, start; action on [rdi]; add edi, 4096; cmp edi, end; jb to action"""
    back = struct.pack("b", -(len(action) + 14))
    end = struct.pack("<I", START + mebibytes * MIB)
    return b"\xbf" + struct.pack("<I", START) + action + b"\x81\xc7\x00\x10\x00\x00\x81\xff" + end + b"\x72" + back


def say(letter):
    return b"\x66\xba\xf8\x03\xb0" + letter + b"\xee"


# mov dx, 0x3fd; in al, dx; test al, 1; jz to the first; mov dx, 0x3f8; in al, dx
WAIT = b"\x66\xba\xfd\x03\xec\xa8\x01\x74\xf7\x66\xba\xf8\x03\xec"
FILL, READ, COUNT = b"\xc6\x07\x07", b"\x8a\x07", b"\xff\x07"
# Says so every twenty instructions, for ever.
kernel("beat", b"\x66\xba\xf8\x03\xb0\x01\xee\xb9\x14\x00\x00\x00\xff\xc9\x75\xfc\xeb\xf4")
touch = WAIT + each_page(READ, TOUCHED_MIB) + say(DONE)
kernel("touch", each_page(FILL, TOUCHED_MIB) + say(READY) + touch + b"\xe9" + struct.pack("<i", -(len(touch) + 5)))
write = each_page(COUNT, FORK_MIB)
kernel("write", each_page(FILL, FORK_MIB) + say(READY) + write + b"\xe9" + struct.pack("<i", -(len(write) + 5)))


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(self.path)


class Monitor:
    number, running = 0, set()

    def __init__(self, name):
        Monitor.number += 1
        Monitor.running.add(self)
        self.socket = f"api{Monitor.number}"
        self.begin = time.monotonic()
        self.process = subprocess.Popen(
            [PROGRAMS[name], "--api-sock", self.socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, bufsize=0)

    def ask(self, path, method="PUT", **body):
        while not os.path.exists(self.socket):
            if self.process.poll() is not None:
                raise RuntimeError("the monitor ended")
        for _ in range(1000):
            try:
                connection = Connection(self.socket)
                connection.request(method, path, json.dumps(body))
                break
            except (ConnectionRefusedError, FileNotFoundError):
                continue
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {text.decode()}")
        return json.loads(text) if text else None

    def boot(self, name, mebibytes):
        self.ask("/machine-config", vcpu_count=1, mem_size_mib=mebibytes)
        self.ask("/boot-source", kernel_image_path=name, boot_args="console=ttyS0")
        self.ask("/actions", action_type="InstanceStart")
        return self

    def load(self, name, root=None):
        body = {"mem_tree_path": f"{name}.tree", "mem_root": root} if root else {}
        self.ask("/swiftlet/checked-load" if root else "/snapshot/load", **body, snapshot_path=f"{name}.state", resume_vm=True,
                 mem_backend={"backend_type": "File", "backend_path": f"{name}.memory"})
        return self

    def save(self, name):
        self.ask("/vm", "PATCH", state="Paused")
        self.ask("/snapshot/create", snapshot_path=f"{name}.state", mem_file_path=f"{name}.memory")

    def wait(self, letter, seconds=120):
        end = time.monotonic() + seconds
        # Not select(), whose descriptors end at 1023.
        ready = select.poll()
        ready.register(self.process.stdout, select.POLLIN)
        while time.monotonic() < end:
            if ready.poll(500):
                text = os.read(self.process.stdout.fileno(), 4096)
                if letter in text:
                    return time.monotonic()
                if not text:
                    break
        raise RuntimeError("the guest says nothing")

    def faults(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            return int(file.read().rsplit(")", 1)[1].split()[7])

    def private_kib(self):
        with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Private"))

    def end(self):
        Monitor.running.discard(self)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        if os.path.exists(self.socket):
            os.unlink(self.socket)


def result(figure, goal, ours, peer="", met=None):
    verdict = "" if met is None else "reached" if met else "MISSED"
    print(f"{figure}: {ours} (goal: {goal or 'none'}; Firecracker: {peer or 'not measured'}) {verdict}", flush=True)
    if os.environ.get("BENCH_RESULTS"):
        with open(os.environ["BENCH_RESULTS"], "a") as file:
            file.write("\t".join([figure, goal, ours, peer, verdict]) + "\n")


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def prepare(name, guest, mebibytes, letter):
    """A snapshot `guest` of a machine; None where the monitor cannot make it on this machine."""
    monitor = Monitor(name)
    try:
        monitor.boot(guest, mebibytes).wait(letter)
        monitor.save(f"{name[:5]}-{guest}")
        return f"{name[:5]}-{guest}"
    except Exception as problem:
        print(f"bench: {name} cannot take part with \"{guest}\": {problem}", flush=True)
        return None
    finally:
        monitor.end()


def restores(name, snapshot, root=None):
    """Milliseconds from the start of the process, and from the request, to the guest's first byte."""
    whole, asked = [], []
    for _ in range(REPEATS):
        monitor = Monitor(name)
        while not os.path.exists(monitor.socket):
            pass
        begin = time.monotonic()
        end = monitor.load(snapshot, root).wait(BEAT)
        whole.append((end - monitor.begin) * 1000)
        asked.append((end - begin) * 1000)
        monitor.end()
    return whole, asked


def clones(name, snapshot, count):
    """Seconds until all say something, KiB of each that are its own, seconds until all are gone."""
    begin = time.monotonic()
    monitors = [Monitor(name) for _ in range(count)]
    for monitor in monitors:
        monitor.load(snapshot)
    for monitor in monitors:
        monitor.wait(BEAT)
    ready = time.monotonic() - begin
    # Stopped, so that the others' memory can be looked at in peace.
    private = [monitor.private_kib() for monitor in monitors]
    begin = time.monotonic()
    for monitor in monitors:
        monitor.process.send_signal(signal.SIGKILL)
    for monitor in monitors:
        monitor.end()
    return ready, private, time.monotonic() - begin


def room():
    """MiB that the host can still give."""
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable")) >> 10


def rates(name, snapshot):
    """One machine after the other, each until its guest says something, and paused then; then one after the other is ended.
    Returns (machines by then, machines a second) of each stretch, made and ended, and how many there were."""
    monitors, made, ended = [], [], []
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    stretches = sorted({end for end in (1, 3, 10, 32, 100, 316, 1000, 3162) if end < MOST} | {MOST})
    for end in stretches:
        begin, count = time.monotonic(), len(monitors)
        while len(monitors) < end and room() > 2048:
            monitor = Monitor(name).load(snapshot)
            monitors.append(monitor)
            monitor.wait(BEAT)
            monitor.ask("/vm", "PATCH", state="Paused")
        if len(monitors) > count:
            made.append((len(monitors), (len(monitors) - count) / (time.monotonic() - begin)))
    most = len(monitors)
    for below in reversed([0, *stretches[:-1]]):
        begin, count = time.monotonic(), len(monitors)
        while len(monitors) > below:
            monitors.pop().end()
        if count > len(monitors):
            ended.append((count, (count - len(monitors)) / (time.monotonic() - begin)))
    return made, list(reversed(ended)), most


def draw(curves):
    """The curves (label, colour, dashes, points) as a picture, both axes logarithmic."""
    width, height, left, top = 640, 360, 60, 20
    points = [point for *_, curve in curves for point in curve]
    across = max(1, max(math.log10(x) for x, _ in points))
    low, high = (fit(math.log10(pick(y for _, y in points))) for fit, pick in ((math.floor, min), (math.ceil, max)))
    high += low == high

    def place(x, y):
        return (left + math.log10(x) / across * width, top + (high - math.log10(y)) / (high - low) * height)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 260} {height + 70}" font-family="sans-serif" '
             'font-size="12"><rect width="100%" height="100%" fill="white"/>']
    for power in range(low, high + 1):
        _, y = place(1, 10 ** power)
        parts.append(f'<path d="M{left} {y:.0f}h{width}" stroke="#ddd"/>'
                     f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{10 ** power:g}</text>')
    for power in range(math.floor(across) + 1):
        x, _ = place(10 ** power, 10 ** low)
        parts.append(f'<path d="M{x:.0f} {top}v{height}" stroke="#ddd"/>'
                     f'<text x="{x:.0f}" y="{top + height + 16}" text-anchor="middle">{10 ** power}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">machines at once</text>'
                 f'<text x="{left}" y="{top - 6}">a second</text>')
    for number, (label, colour, dashes, curve) in enumerate(curves):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve))
        y = top + 14 + 18 * number
        stroke = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"'
        parts.append(f'<polyline points="{line}" {stroke}/><path d="M{left + width + 12} {y - 4}h28" {stroke}/>'
                     f'<text x="{left + width + 46}" y="{y}">{label}</text>')
    with open(CHART, "w") as file:
        file.write("\n".join(parts) + "\n</svg>\n")


def touching(snapshot, root=None):
    """Milliseconds and page faults while a clone reads what it has not touched yet."""
    monitor = Monitor(OURS).load(snapshot, root)
    time.sleep(0.3)
    faults, begin = monitor.faults(), time.monotonic()
    monitor.process.stdin.write(b"x")
    end = monitor.wait(DONE)
    return monitor, (end - begin) * 1000, monitor.faults() - faults


snapshots = {name: prepare(name, "beat", 128, BEAT) for name in PROGRAMS} if ONLY not in ("ahead", "fork") else {}


def restoring():
    """From the start of a monitor to the first instruction."""
    texts, least = {}, {}
    for name, snapshot in snapshots.items():
        if snapshot:
            whole, asked = restores(name, snapshot)
            texts[name] = (f"p50 {statistics.median(whole):.2f} ms, p99 {percentile(whole, 0.99):.2f} ms, "
                           f"least {min(whole):.2f} ms; from the request p50 {statistics.median(asked):.2f}, least {min(asked):.2f} ms")
            least[name] = (statistics.median(whole), percentile(whole, 0.99))
    result("restore of 128 MiB, process start to first guest instruction", "p50 1 ms, p99 3 ms", texts[OURS],
           texts.get(FIRECRACKER, ""), least[OURS][0] <= 1 and least[OURS][1] <= 3)
    name = snapshots[OURS]
    root = subprocess.run([PROGRAMS[OURS], "snapshot", "tree", f"{name}.memory", f"{name}.tree"],
                          stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    whole, asked = restores(OURS, name, root)
    result("the same with checked memory", "", f"p50 {statistics.median(whole):.2f} ms, least {min(whole):.2f} ms; from the "
           f"request p50 {statistics.median(asked):.2f}, least {min(asked):.2f} ms")


def cloning():
    """Many at the same time."""
    for count in sorted({1, 10, CLONES}):
        texts = {}
        for name, snapshot in snapshots.items():
            if snapshot:
                ready, private, gone = clones(name, snapshot, count)
                texts[name] = f"{count / ready:.0f} made, {count / gone:.0f} ended a second"
                if name == OURS:
                    own = private
                    ours_ready = ready
        result(f"{count} clones of one snapshot", "", texts[OURS], texts.get(FIRECRACKER, ""))
    result(f"{CLONES} clones, time each", "", f"{ours_ready / CLONES * 1000:.2f} ms")
    result(f"{CLONES} clones, memory of their own each", "at most 1024 KiB",
           f"median {statistics.median(own):.0f} KiB, most {max(own)} KiB", "", max(own) <= 1024)


def counting():
    """Rates by how many there are."""
    curves, texts = [], {}
    for name, colour in (OURS, "#0072b2"), (FIRECRACKER, "#d55e00"):
        if snapshots.get(name):
            made, ended, most = rates(name, snapshots[name])
            curves += [(f"{name}, made", colour, "none", made), (f"{name}, ended", colour, "4 3", ended)]
            texts[name] = ("made " + ", ".join(f"{rate:.0f} a second up to {count}" for count, rate in made) + "; ended "
                           + ", ".join(f"{rate:.0f} from {count}" for count, rate in ended)
                           + f"; {most} at once")
    result("clones one after the other, all kept", "", texts[OURS], texts.get(FIRECRACKER, ""))
    if CHART:
        draw(curves)


def prefetching():
    """Pages that are there ahead."""
    if snapshot := prepare(OURS, "touch", 128, READY):
        plain = []
        for _ in range(5):
            monitor, *figures = touching(snapshot)
            plain.append(figures)
            if len(plain) == 5:
                monitor.ask("/swiftlet/working-set", mem_file_path=f"{snapshot}.memory")
            monitor.end()
        ahead = []
        for _ in range(5):
            monitor, *figures = touching(snapshot)
            ahead.append(figures)
            monitor.end()
        os.unlink(f"{snapshot}.memory.pages")
        root = subprocess.run([PROGRAMS[OURS], "snapshot", "tree", f"{snapshot}.memory", f"{snapshot}.tree"],
                              stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        checked = []
        for _ in range(5):
            monitor, *figures = touching(snapshot, root)
            checked.append(figures)
            monitor.end()
        plain, ahead, checked = min(plain), min(ahead), min(checked)
        result(f"reading {TOUCHED_MIB} MiB in a clone", "", f"{plain[0]:.0f} ms, {plain[1]} page faults")
        result("the same with the working set of an earlier one", "at most half",
               f"{ahead[0]:.0f} ms, {ahead[1]} page faults", "", ahead[0] <= plain[0] / 2)
        result("the same with checked memory", "",
               f"{checked[0]:.0f} ms", f"not checked {plain[0]:.0f} ms")


def forking():
    """Snapshots of a machine that runs."""
    monitor = Monitor(OURS).boot("write", FORK_MIB + 64)
    try:
        monitor.wait(READY, 600)
        pauses = []
        for number in range(5):
            begin = time.monotonic()
            answer = monitor.ask("/swiftlet/live-snapshot", snapshot_path=f"fork{number}.state",
                                 mem_file_path=f"fork{number}.memory")
            pauses.append((answer["pause_us"] / 1000, time.monotonic() - begin))
            os.unlink(f"fork{number}.memory")
        result(f"live snapshot of {FORK_MIB} MiB in use and written, pause", "at most 10 ms",
               f"{pauses[0][0]:.1f} ms (written in {pauses[0][1]:.1f} s)", "", pauses[0][0] <= 10)
        later = min(pauses[1:])[0]
        result("a further one of the same machine, pause, the least of 4", "at most 10 ms", f"{later:.1f} ms", "", later <= 10)
    finally:
        monitor.end()


try:
    for part, measure in (
            ("restores", restoring), ("clones", cloning), ("rates", counting), ("ahead", prefetching), ("fork", forking)):
        if ONLY in (None, part):
            measure()
finally:
    for monitor in list(Monitor.running):
        monitor.end()
os.chdir("..")
shutil.rmtree("snapshots", ignore_errors=True)
