"""fio in a guest on a disk in the host's memory, ours and Firecracker: requests a second by the guest's clock."""
import os

from monitors import *

REPEATS = int(os.environ.get("REPEATS", 1))
# A guest that has said nothing for so long stands still (Documentation/emulated-host.md); all loads together take one.
PATIENCE_SECONDS = 2
TRIES = 5
# Name, fio's kind of load, bytes of a request, how many at once, how many in all.
LOADS = [
    ("random 4 KiB reads, 1 at once", "randread", 4096, 1, 2000),
    ("random 4 KiB reads, 16 at once", "randread", 4096, 16, 4000),
    ("random 4 KiB writes, 1 at once", "randwrite", 4096, 1, 2000),
    ("random 4 KiB writes, 16 at once", "randwrite", 4096, 16, 4000),
    ("128 KiB read stream, 4 at once", "read", 131072, 4, 400),
    ("128 KiB write stream, 4 at once", "write", 131072, 4, 400),
]
DONE = b"LOADS-DONE"
JOB = fio(*[
    (f"load{number}", kind, size, count, f"--iodepth={depth}")
    for number, (_, kind, size, depth, count) in enumerate(LOADS)]) + f"echo {DONE.decode()}\n"


def rates(monitor):
    """Requests a second of each load."""
    machine = configuration(
        initrd=initial_files("initrd-job", JOB), memory=TOOLS_GUEST_MIB, drives=[TOOLS, ("disk", False)])
    with Run(command(monitor, machine, "disk")) as run:
        run.wait_for(DONE, PATIENCE_SECONDS)
        return [fio_figures(run, f"load{number}")[1] for number in range(len(LOADS))]


def rates_of_a_whole_run(monitor):
    """The same, of the first run that does not stand still."""
    for left in reversed(range(TRIES)):
        try:
            return rates(monitor)
        except Unfinished:
            if not left:
                raise
            print(f"  a guest of {os.path.basename(monitor)} stood still; once more", flush=True)


def best(monitor):
    return [max(found) for found in zip(*(rates_of_a_whole_run(monitor) for _ in range(REPEATS)))]


with open("disk", "wb") as file:
    file.write(os.urandom(64 << 20))
ours, theirs = best(OURS), best(FIRECRACKER)
for (name, *_), our, their in zip(LOADS, ours, theirs):
    result(f"disk: {name}", "at least Firecracker's", f"{our:,.0f}/s", f"{their:,.0f}/s", our >= their)
