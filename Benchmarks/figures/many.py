"""Fifty machines started together, each with a TAP device, a disk and vsock: all answer over their network, and when they
are ended nothing of them is left."""
import os
import signal
import time
import urllib.error
import urllib.request

from monitors import *

COUNT = int(os.environ.get("MACHINES", 50))
PATIENCE_SECONDS = 1200


def tap(number):
    return f"many{number}"


def address(number, end):
    return f"10.92.{number}.{end}"


def prepare(number):
    """The command line of a monitor whose guest serves its own number over HTTP."""
    subprocess.run(["ip", "tuntap", "add", tap(number), "mode", "tap"], check=True)
    subprocess.run(["ip", "address", "add", address(number, 1) + "/24", "dev", tap(number)], check=True)
    subprocess.run(["ip", "link", "set", tap(number), "up"], check=True)
    machine = configuration(initrd="initrd-web", memory=64, drives=[("disk", True)], others=True)
    machine["boot-source"]["boot_args"] += f" machine={number} address={address(number, 2)}"
    machine["network-interfaces"] = [{"iface_id": "n", "host_dev_name": tap(number)}]
    machine["vsock"]["uds_path"] = f"{VSOCK}{number}"
    open(log(number), "w").close()
    return command(OURS, machine, f"many{number}")


def log(number):
    return f"many{number}.log"


def start(number, arguments):
    with open(log(number), "wb") as output:
        return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)


def answers(number):
    """Asks a guest that says that it serves; before that, asking takes seconds."""
    with open(log(number), "rb") as said:
        if MARK not in said.read():
            return False
    try:
        with urllib.request.urlopen(f"http://{address(number, 2)}/number", timeout=5) as answer:
            return answer.read().decode().strip() == str(number)
    except (urllib.error.URLError, OSError):
        return False


def memory_in_use():
    """KiB, file caches dropped."""
    time.sleep(1)
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3\n")
    fields = dict(line.split(":") for line in open("/proc/meminfo"))
    return {name: int(fields[name].split()[0]) for name in ("MemFree", "Shmem")}


def left_over(files_before, memory_before):
    """What is not as it was, in words."""
    found = []
    running = [pid for pid in os.listdir("/proc") if pid.isdigit() and command_name(pid) == "swiftlet-vmm"]
    if running:
        found.append(f"{len(running)} processes")
    files = set(os.listdir(".")) - files_before
    if files:
        found.append(f"{len(files)} files ({', '.join(sorted(files)[:3])})")
    held = [number for number in range(COUNT) if open(f"/sys/class/net/{tap(number)}/carrier").read().strip() != "0"]
    if held:
        found.append(f"{len(held)} held TAP devices")
    after = memory_in_use()
    # The kernel keeps some memory of its own per device and process for later; guests used gigabytes.
    for name, slack, lost in [
        ("free memory", 64 << 10, memory_before["MemFree"] - after["MemFree"]),
        ("shared memory", 1 << 10, after["Shmem"] - memory_before["Shmem"])]:
        print(f"  {name} lost: {lost} KiB")
        if lost > slack:
            found.append(f"{lost} KiB of {name}")
    return found


def command_name(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


commands = [prepare(number) for number in range(COUNT)]
files_before, memory_before = set(os.listdir(".")), memory_in_use()
begin = time.monotonic()
processes = [start(number, arguments) for number, arguments in enumerate(commands)]
waiting = set(range(COUNT))
while waiting and time.monotonic() - begin < PATIENCE_SECONDS:
    waiting -= {number for number in waiting if answers(number)}
    if any(processes[number].poll() is not None for number in waiting):
        break
    if os.environ.get("VERBOSE"):
        print(f"  {COUNT - len(waiting)} answer after {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    time.sleep(1)
elapsed = time.monotonic() - begin
print(f"\n{COUNT - len(waiting)} of {COUNT} machines answered within {elapsed:.0f} s")
used = memory_before["MemFree"] - memory_in_use()["MemFree"]
print(f"  {used >> 10} MiB used by all, guests included")
for number in sorted(waiting)[:3]:
    print(f"  machine {number}: {open(log(number), errors='replace').read()[-500:]}")
for process in processes:
    process.send_signal(signal.SIGTERM)
badly = [status for status in (process.wait(timeout=60) for process in processes) if status != 0]
left = left_over(files_before, memory_before)
if badly:
    left.append(f"{len(badly)} ended badly ({badly[0]})")
result(f"{COUNT} machines started together", "all answer", f"{COUNT - len(waiting)} answer", "", not waiting)
result("what they leave behind", "nothing", ", ".join(left) or "nothing", "", not left)
