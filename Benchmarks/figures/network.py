"""iperf3 and request-response between a guest and its host through a TAP device, ours and Firecracker."""
import json
import os

from monitors import *

REPEATS = int(os.environ.get("REPEATS", 2))
MEBIBYTES = int(os.environ.get("MEBIBYTES", 64))
DONE = b"TRAFFIC-DONE"
# The tools' answers are single lines, so that the console's share of the time is small. A transfer that does not end in
# ten seconds of the guest's is given up, and with it the measurement.
JOB = f"""
$bb ip link set lo up
$bb ip link set eth0 up
$bb ip address add {GUEST_ADDRESS}/24 dev eth0
$bb timeout -s KILL 10 $bb chroot /root iperf3 -c {TAP_ADDRESS} -n {MEBIBYTES}M -f m | $bb grep receiver
$bb timeout -s KILL 10 $bb chroot /root iperf3 -c {TAP_ADDRESS} -n {MEBIBYTES}M -f m -R | $bb grep receiver
$bb chroot /root sockperf ping-pong -i {TAP_ADDRESS} --tcp -m 64 -t 1 2>&1 | $bb grep -i -e summary -e error
echo {DONE.decode()}
"""


def start_servers():
    """On the host's side, from the same packages as in the guest."""
    os.makedirs("tools", exist_ok=True)
    subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", TOOLS[0], "tools"], check=True)
    # iperf3 wants a place for its buffers.
    subprocess.run(["mount", "-t", "tmpfs", "tmp", "tools/tmp"], check=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return [
        subprocess.Popen(["chroot", "tools", "iperf3", "-s"], **quiet),
        subprocess.Popen(["chroot", "tools", "sockperf", "server", "-i", TAP_ADDRESS, "--tcp"], **quiet),
    ]


def figures(monitor):
    """Megabits a second from the guest and to it, requests and responses a second."""
    machine = configuration(
        initrd=initial_files("initrd-job", JOB), memory=TOOLS_GUEST_MIB, drives=[TOOLS], tap=True)
    with Run(command(monitor, machine, "network")) as run:
        run.wait_for(DONE)
        sent, received = [float(re.search(r"([0-9.]+) Mbits/sec", line)[1]) for line in run.lines_with("receiver")]
        # One way of a round trip, in microseconds.
        latency = float(re.search(r"Latency is ([0-9.]+) usec", run.lines_with("Latency is")[0])[1])
        return sent, received, 1e6 / (2 * latency)


def best(monitor):
    return [max(found) for found in zip(*(figures(monitor) for _ in range(REPEATS)))]


make_tap()
servers = start_servers()
ours, theirs = best(OURS), best(FIRECRACKER)
for server in servers:
    server.kill()
names = [("iperf3 from the guest", "Mbit/s"), ("iperf3 to the guest", "Mbit/s"), ("request and response of 64 bytes", "/s")]
for (name, unit), our, their in zip(names, ours, theirs):
    result(f"network: {name}", "at least Firecracker's", f"{our:,.0f} {unit}", f"{their:,.0f} {unit}", our >= their)
