"""What the measurements share: configurations in Firecracker's shape, running a monitor until its guest says something,
and the memory that a monitor uses besides its guest's. Everything runs in the folder that `prepare` made."""
import json
import os
import re
import select
import signal
import subprocess
import sys
import time

OURS, FIRECRACKER, QEMU = "swiftlet-vmm", "Firecracker 1.12.1", "QEMU microvm"
PROGRAMS = {OURS: "./swiftlet-vmm", FIRECRACKER: "./firecracker"}
ARGUMENTS = "console=ttyS0 reboot=k panic=-1 quiet"
MARK = b"HELLO-FROM-GUEST"
GUEST_MIB = 128
TAP, TAP_ADDRESS, GUEST_ADDRESS = "bench0", "10.91.0.1", "10.91.0.2"
VSOCK = "vsock"


def configuration(kernel="kernel", initrd="initrd", memory=GUEST_MIB, drives=(), tap=False, others=False):
    """A machine with one processor; `others` are vsock, entropy and balloon."""
    machine = {
        "boot-source": {"kernel_image_path": kernel, "boot_args": ARGUMENTS},
        "machine-config": {"vcpu_count": 1, "mem_size_mib": memory},
        "drives": [
            {"drive_id": f"d{number}", "path_on_host": path, "is_root_device": False, "is_read_only": read_only}
            for number, (path, read_only) in enumerate(drives)],
    }
    if initrd:
        machine["boot-source"]["initrd_path"] = initrd
    if tap:
        machine["network-interfaces"] = [{"iface_id": "n", "host_dev_name": TAP}]
    if others:
        machine["vsock"] = {"guest_cid": 3, "uds_path": VSOCK}
        machine["entropy"] = {}
        machine["balloon"] = {"amount_mib": 0, "deflate_on_oom": True}
    return machine


def command(monitor, machine, name):
    """The monitor's command line for a machine, whose configuration file is made."""
    with open(f"{name}.json", "w") as file:
        json.dump(machine, file)
    return [PROGRAMS[monitor], "--no-api", "--config-file", f"{name}.json"]


def qemu_command(kernel="kernel", initrd="initrd"):
    return ["qemu-system-x86_64", "-M", "microvm,acpi=off,rtc=on", "-enable-kvm", "-cpu", "host", "-m", str(GUEST_MIB),
            "-smp", "1", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-kernel", kernel, "-initrd", initrd, "-append", ARGUMENTS]


def make_tap():
    subprocess.run(["ip", "tuntap", "add", TAP, "mode", "tap"], check=True)
    subprocess.run(["ip", "address", "add", f"{TAP_ADDRESS}/24", "dev", TAP], check=True)
    subprocess.run(["ip", "link", "set", TAP, "up"], check=True)


class Run:
    """A started process whose output is watched. As a context it is gone at the end, with all that it started."""

    def __init__(self, arguments, environment=None):
        if os.path.exists(VSOCK):
            os.unlink(VSOCK)
        self.arguments = arguments
        self.output = b""
        self.start = time.time()
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdout.close()

    def wait_for(self, mark, seconds=600):
        """Milliseconds from the start until the output has the mark."""
        searched = 0
        while self.output.find(mark, max(0, searched - len(mark))) < 0:
            searched = len(self.output)
            ready, _, _ = select.select([self.process.stdout], [], [], seconds)
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                said = self.output[-2000:].decode(errors="replace")
                sys.exit(f"bench: {self.arguments[0]} {'ended' if ready else 'was silent'} before {mark}; it said:\n{said}")
            self.output += chunk
        return (time.time() - self.start) * 1000

    def text_after(self, mark):
        return self.output.split(mark, 1)[1].decode(errors="replace")


def resident(pid, guest_mib=GUEST_MIB):
    """KiB besides the guest's, and the guest's: the file of guest memory, of the kernel and of the initial file system
    mapped over it, and any mapping of exactly the guest's size."""
    besides = guest = 0
    is_guest = False
    for line in open(f"/proc/{pid}/smaps"):
        head = re.match(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)$", line)
        if head:
            is_guest = "guest-memory" in head.group(1) or re.search(r"/(kernel|initrd)\b", head.group(1)) is not None
        elif line.startswith("Size:"):
            is_guest = is_guest or int(line.split()[1]) == guest_mib * 1024
        elif line.startswith("Rss:"):
            if is_guest:
                guest += int(line.split()[1])
            else:
                besides += int(line.split()[1])
    if guest < 8 * 1024:
        sys.exit(f"bench: cannot tell the guest's memory in /proc/{pid}/smaps: only {guest} KiB look like it")
    return besides, guest


def result(figure, goal, ours, peer, is_reached):
    """One line of the table at the end; `is_reached` is None where there is no goal."""
    verdict = "" if is_reached is None else "reached" if is_reached else "MISSED"
    with open(os.environ["BENCH_RESULTS"], "a") as file:
        file.write("\t".join([figure, goal, ours, peer, verdict]) + "\n")


def read_all(folder):
    """Reads every file once, so that no run waits for one."""
    for path, _, names in os.walk(folder):
        for name in names:
            if os.path.isfile(os.path.join(path, name)):
                with open(os.path.join(path, name), "rb") as file:
                    while file.read(1 << 20):
                        pass
