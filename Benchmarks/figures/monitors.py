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
# The libraries of fio want more than the small guest has.
GUEST_MIB, TOOLS_GUEST_MIB = 128, 256
TOOLS = ("tools.erofs", True)
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


def initial_files(name, job):
    """An initial file system that runs a job of the shell beside the image with the measuring tools (its first drive)."""
    with open("job", "w") as file:
        file.write(job)
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=b"job\n", stdout=subprocess.PIPE, check=True)
    with open("initrd-tools", "rb") as base, open(name, "wb") as file:
        file.write(base.read() + archive.stdout)
    return name


def fio(*loads):
    """A line of a job: fio on the second drive, one load (name, kind, bytes of a request, count, further options) after the
    other; what `fio_figures` wants of its answer is written to the console."""
    sections = " ".join(
        f"--name={name} --stonewall --rw={kind} --bs={size} --io_size={size * count} {options}"
        for name, kind, size, count, options in loads)
    # Source: fio(1), terse output version 3: the name, the error; KiB and requests a second, read and written.
    return (f"$bb chroot /root fio --minimal --filename=/dev/vdb --size=64m --direct=1 --ioengine=libaio --norandommap "
            f"{sections} | $bb cut -d';' -f3,5,6,8,47,49\n")


def fio_figures(run, name):
    """KiB moved and requests a second, read and written together."""
    fields = next(line.split(";") for line in run.lines_with(f"{name};") if line.startswith(f"{name};"))
    if fields[1] != "0":
        sys.exit(f"bench: {name}: fio ended with error {fields[1]} under {run.arguments[0]}")
    return int(fields[2]) + int(fields[4]), float(fields[3]) + float(fields[5])


def qemu_command(kernel="kernel", initrd="initrd"):
    return ["qemu-system-x86_64", "-M", "microvm,acpi=off,rtc=on", "-enable-kvm", "-cpu", "host", "-m", str(GUEST_MIB),
            "-smp", "1", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-kernel", kernel, "-initrd", initrd, "-append", ARGUMENTS]


def make_tap():
    subprocess.run(["ip", "tuntap", "add", TAP, "mode", "tap"], check=True)
    subprocess.run(["ip", "address", "add", f"{TAP_ADDRESS}/24", "dev", TAP], check=True)
    subprocess.run(["ip", "link", "set", TAP, "up"], check=True)


class Unfinished(SystemExit):
    """A run that did not come to its mark; ends the measurement unless it is caught."""


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
                raise Unfinished(
                    f"bench: {self.arguments[0]} {'ended' if ready else 'was silent'} before {mark}; it said:\n{said}")
            self.output += chunk
            if os.environ.get("VERBOSE"):
                sys.stderr.buffer.write(chunk)
                sys.stderr.flush()
        return (time.time() - self.start) * 1000

    def lines_with(self, text):
        """The lines of the output that have the text; there must be one."""
        lines = [line for line in self.output.decode(errors="replace").splitlines() if text in line]
        if not lines:
            said = self.output[-2000:].decode(errors="replace")
            raise Unfinished(f"bench: {self.arguments[0]} wrote no line with {text}; it said:\n{said}")
        return lines


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


def swiftlet_environment(monitors):
    """For the command line: the store that `prepare` made; `monitors` says where monitors run, None lets it be found out."""
    folder = os.getcwd()
    environment = os.environ | {
        "SWIFTLET_HOME": f"{folder}/home", "SWIFTLET_RUNTIME": f"{folder}/runtime", "SWIFTLET_LIBEXEC": f"{folder}/libexec"}
    environment.pop("SWIFTLET_MONITORS", None)
    return environment | ({"SWIFTLET_MONITORS": monitors} if monitors else {})


STAMP = "monitor-started"


def replace_monitors():
    """Puts a shell in the place of the command line's swiftlet-vmm, which notes the time and ends; see also stamper.c."""
    path, folder = "libexec/swiftlet-vmm", os.getcwd()
    with open(path, "w") as file:
        file.write(f'#!/bin/bash\necho $EPOCHREALTIME > "{folder}/{STAMP}"\n')
    os.chmod(path, 0o755)


def stamp():
    """When the monitor was last started, in seconds since 1970."""
    with open(STAMP) as file:
        return float(file.read())
