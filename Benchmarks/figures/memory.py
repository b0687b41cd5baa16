"""Resident memory besides the guest's with every device active: at the first line, and after a million requests."""
import os
import time

from monitors import *

REQUESTS = int(os.environ.get("REQUESTS", 1_000_000))
DONE = b"REQUESTS-DONE"
# Many at a time, so that the million takes minutes; net and entropy do something before it.
BATCHES = "--iodepth=64 --iodepth_batch=32 --iodepth_batch_complete_min=16 --iodepth_batch_complete_max=64"
JOB = f"""
echo {MARK.decode()}
$bb ip link set eth0 up
$bb ip address add {GUEST_ADDRESS}/24 dev eth0
$bb ping -c 100 -A -q {TAP_ADDRESS}
$bb dd if=/dev/hwrng of=/dev/null bs=1k count=64 2> /dev/null
{fio(("requests", "randrw", 512, REQUESTS, BATCHES))}
echo {DONE.decode()}
"""


def measure(monitor, requests):
    """(KiB besides the guest's at the first line, the same after the requests or None, how many there were)."""
    machine = configuration(
        initrd=initial_files("initrd-job", JOB), memory=TOOLS_GUEST_MIB, drives=[TOOLS, ("disk", False)],
        tap=True, others=True)
    with Run(command(monitor, machine, "full")) as run:
        run.wait_for(MARK)
        # Let it settle: the first line comes from a pipe's other end.
        time.sleep(0.2)
        first, _ = resident(run.process.pid, TOOLS_GUEST_MIB)
        if not requests:
            return first, None, 0
        run.wait_for(DONE, seconds=1500)
        time.sleep(0.2)
        return first, resident(run.process.pid, TOOLS_GUEST_MIB)[0], fio_figures(run, "requests")[0] * 2


make_tap()
size = os.path.getsize("swiftlet-vmm")
ours, after, requests = measure(OURS, True)
theirs, _, _ = measure(FIRECRACKER, False)
print(f"\nresident KiB besides the guest's, block, net, vsock, entropy and balloon active")
print(f"  swiftlet-vmm: {ours} at the first line, {after} after {requests} requests; Firecracker: {theirs} at the first line")
if requests < REQUESTS:
    sys.exit(f"bench: only {requests} of {REQUESTS} requests were made")
result("resident besides the guest's, first line", "at most 1024 KiB", f"{ours} KiB", f"{theirs} KiB", ours <= 1024)
result(f"the same after {requests} requests", "at most 1024 KiB", f"{after} KiB", "", after <= 1024)
result("size of swiftlet-vmm", "at most 900 KB", f"{size / 1000:.0f} KB",
       f"{os.path.getsize('firecracker') / 1000:.0f} KB", size <= 900_000)
