"""iperf3 and request-response between a guest and its host through a TAP device, ours and Firecracker."""
import contextlib
import itertools
import os

from monitors import *

REPEATS = int(os.environ.get("REPEATS", 2))
MEBIBYTES = int(os.environ.get("MEBIBYTES", 64))
ATTEMPTS = 3
# A load takes less than two seconds by the guest's clock; one that is silent for longer stands still. With the
# deterministic clock, and only with it, a guest of either monitor may spin for ever at a lock that nobody holds.
PATIENCE_SECONDS = 2.5
DONE = b"TRAFFIC-DONE"
# Of sockperf, another one for each run: one whose transfer stands still is not free for a while.
PORTS = itertools.count(11111)
SET_UP = f"$bb ip link set lo up; $bb ip link set eth0 up; $bb ip address add {GUEST_ADDRESS}/24 dev eth0"
IPERF = f"$bb chroot /root iperf3 -c {TAP_ADDRESS} -n {MEBIBYTES}M -f m"
# What is measured, its unit, the command, what to look for in its answer. Answers are single lines, so that the console's
# share of the time is small.
LOADS = [
    ("iperf3 from the guest", "Mbit/s", f"{IPERF} | $bb grep receiver", r"([0-9.]+) Mbits/sec", float),
    ("iperf3 to the guest", "Mbit/s", f"{IPERF} -R | $bb grep receiver", r"([0-9.]+) Mbits/sec", float),
    # One way of a round trip, in microseconds; two thousand of them.
    ("request and response of 64 bytes", "/s",
     f"$bb chroot /root sockperf ping-pong -i {TAP_ADDRESS} -p $port --tcp -m 64 -t 1 --mps=2000 2>&1 | $bb grep -e Latency -e ERROR",
     r"Latency is ([0-9.]+) usec", lambda text: 1e6 / (2 * float(text))),
]


def mount_tools():
    os.makedirs("tools", exist_ok=True)
    subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", TOOLS[0], "tools"], check=True)
    # iperf3 wants a place for its buffers.
    subprocess.run(["mount", "-t", "tmpfs", "tmp", "tools/tmp"], check=True)


@contextlib.contextmanager
def servers(port):
    """On the host's side, from the same packages as in the guest. For one run: iperf3 serves nobody while a transfer that
    stands still is open."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [
        subprocess.Popen(["chroot", "tools", "iperf3", "-s"], **quiet),
        subprocess.Popen(["chroot", "tools", "sockperf", "server", "-i", TAP_ADDRESS, "--tcp", "-p", f"{port}"], **quiet),
    ]
    # Until they listen.
    time.sleep(0.5)
    try:
        yield
    finally:
        for server in started:
            server.kill()
            server.wait()


def figure(monitor, load):
    """The best of some runs, each in a machine of its own; None when none came to its end."""
    _, unit, job, answer, value = load
    found = []
    for _ in range(REPEATS + ATTEMPTS - 1):
        port = next(PORTS)
        initrd = initial_files("initrd-job", f"port={port}\n{SET_UP}\n{job}\necho {DONE.decode()}\n")
        machine = configuration(initrd=initrd, memory=TOOLS_GUEST_MIB, drives=[TOOLS], tap=True)
        try:
            with servers(port), Run(command(monitor, machine, "network")) as run:
                run.wait_for(DONE, PATIENCE_SECONDS)
                found.append(value(re.search(answer, run.lines_with("/sec" if unit == "Mbit/s" else "Latency")[0])[1]))
        except Unfinished as reason:
            print(reason, file=sys.stderr)
        if len(found) == REPEATS:
            break
    return max(found, default=None)


def shown(figure, unit):
    return "never finished" if figure is None else f"{figure:,.0f} {unit}"


make_tap()
mount_tools()
failed = False
for load in LOADS:
    name, unit, *_ = load
    ours, theirs = figure(OURS, load), figure(FIRECRACKER, load)
    failed |= ours is None
    result(f"network: {name}", "at least Firecracker's", shown(ours, unit), shown(theirs, unit),
           ours is not None and ours >= (theirs or 0))
sys.exit(failed)
