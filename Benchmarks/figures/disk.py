"""fio in a guest on a disk in the host's memory, ours and Firecracker: requests a second by the guest's clock."""
import os
from pathlib import Path

from monitors import *

REPEATS = int(os.environ.get("REPEATS", 1))
# A guest that has said nothing for so long stands still (Documentation/emulated-host.md); the longest load takes
# a fifth of a second.
PATIENCE_SECONDS = 2
TRIES = 8
# Name, fio's kind of load, bytes of a request, how many at once, how many in all.
LOADS = [
    ("random 4 KiB reads, 1 at once", "randread", 4096, 1, 2000),
    ("random 4 KiB reads, 16 at once", "randread", 4096, 16, 4000),
    ("random 4 KiB writes, 1 at once", "randwrite", 4096, 1, 2000),
    ("random 4 KiB writes, 16 at once", "randwrite", 4096, 16, 4000),
    ("128 KiB read stream, 4 at once", "read", 131072, 4, 800),
    ("128 KiB write stream, 4 at once", "write", 131072, 4, 800),
]
DONE = b"LOAD-DONE"
Path("disk").write_bytes(os.urandom(64 << 20))


def rate(monitor, load):
    """Requests a second."""
    _, kind, size, depth, count = load
    job = fio(("load", kind, size, count, f"--iodepth={depth}")) + f"echo {DONE.decode()}\n"
    machine = configuration(
        initrd=initial_files("initrd-job", job), memory=TOOLS_GUEST_MIB, drives=[TOOLS, ("disk", False)])
    with Run(command(monitor, machine, "disk")) as run:
        run.wait_for(DONE, PATIENCE_SECONDS)
        return fio_figures(run, "load")[1]


def rate_of_a_whole_run(monitor, load):
    """The same, of the first run that does not stand still."""
    for left in reversed(range(TRIES)):
        try:
            return rate(monitor, load)
        except Unfinished:
            if not left:
                raise
            print(f"  {load[0]}: a guest of {monitor} stood still; once more", flush=True)


for load in LOADS:
    ours, theirs = (
        max(rate_of_a_whole_run(monitor, load) for _ in range(REPEATS)) for monitor in (OURS, FIRECRACKER))
    result(f"disk: {load[0]}", "at least Firecracker's", f"{ours:,.0f}/s", f"{theirs:,.0f}/s", ours >= theirs)
