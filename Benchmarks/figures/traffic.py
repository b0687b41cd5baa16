"""Traffic between a guest and its host through a TAP device, each load in machines of its own, ours and Firecracker's."""
import contextlib
import itertools
import os

from monitors import *

ATTEMPTS = 3
DONE = b"TRAFFIC-DONE"
# Of sockperf, another one for each run: one whose transfer stands still is not free for a while.
PORTS = itertools.count(11111)
SET_UP = f"$bb ip link set lo up; $bb ip link set eth0 up; $bb ip address add {GUEST_ADDRESS}/24 dev eth0"


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


def figure(monitor, job, answer, patience):
    """What one run answered, after some attempts where runs do not come to their end; None when none does."""
    for _ in range(ATTEMPTS):
        port = next(PORTS)
        initrd = initial_files("initrd-job", f"port={port}\n{SET_UP}\n{job}\necho {DONE.decode()}\n")
        machine = configuration(initrd=initrd, memory=TOOLS_GUEST_MIB, drives=[TOOLS], tap=True)
        try:
            with servers(port), Run(command(monitor, machine, "network")) as run:
                run.wait_for(DONE, patience)
                text = run.output.decode(errors="replace")
                if found := re.search(answer, text):
                    return float(found[1])
                print(f"bench: {run.arguments[0]} did not answer as {answer}; it said:\n{text}", file=sys.stderr)
        except Unfinished as reason:
            print(reason, file=sys.stderr)
    return None


def compare(name, unit, job, answer, value=float, repeats=2, patience=10):
    """The best of some runs of each monitor, by turns. A peer that never finishes is told; that we do is asked for.

    - answer: what to look for in the job's output, which should be short: the console has its share of the time.
    - value: makes the number found into a figure, of which more is better.
    - patience: seconds of silence after which a run stands still.
    """
    best = {OURS: None, FIRECRACKER: None}
    for _ in range(repeats):
        for monitor in best:
            found = figure(monitor, job, answer, patience)
            if found is not None:
                best[monitor] = max(best[monitor] or 0, value(found))
    ours, theirs = best.values()
    shown = ["never finished" if figure is None else f"{figure:,.0f} {unit}" for figure in (ours, theirs)]
    result(f"network: {name}", "at least Firecracker's", *shown, ours is not None and ours >= (theirs or 0))
    return ours is not None


make_tap()
os.makedirs("tools", exist_ok=True)
subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", TOOLS[0], "tools"], check=True)
# iperf3 wants a place for its buffers.
subprocess.run(["mount", "-t", "tmpfs", "tmp", "tools/tmp"], check=True)
