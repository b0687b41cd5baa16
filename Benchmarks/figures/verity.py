"""What the check of an image's disk costs: start of swiftlet-vmm to the first output of a program on it, with a hash tree and
without; and the kernel's memory in the guest.

Usage: verity.py VMM KERNEL AGENT-CPIO DISK TREE DATA-BLOCKS ROOT-HASH PROGRAM [ARGUMENT ...]     (where monitors can run)
"""
import json
import os
import socket
import struct
import subprocess
import sys
import time

REPEATS = int(os.environ.get("REPEATS", 5))
vmm, kernel, agent, disk, tree, blocks, root_hash, *program = sys.argv[1:]


def text(value):
    return struct.pack("<I", len(value)) + value.encode()


def frame(number, identifier, payload):
    return struct.pack("<IHHI", len(payload), number, 0, identifier) + payload


def configure(is_verified):
    verity = b"\1" + struct.pack("<Q", int(blocks)) + bytes.fromhex(root_hash) if is_verified else b"\0"
    root = b"\1" + text("/dev/vda") + text("erofs") + text("") + b"\1\0" + verity + b"\1" + struct.pack("<Q", 0)
    nothing = struct.pack("<I", 0)
    return frame(1, 1, text("bench") + root + struct.pack("<I", 0x3f) + nothing * 2 + b"\1" + nothing * 3
                 + struct.pack("<Q", 0) + nothing * 2 + nothing)


def start(arguments):
    nothing = struct.pack("<I", 0)
    return frame(2, 2, struct.pack("<I", len(arguments)) + b"".join(map(text, arguments)) + nothing + text("") + nothing
                 + text("") + b"\2" + b"\0" + bytes(16) + b"\0")


def run(is_verified, arguments):
    """Milliseconds to the program's first output, and all of it."""
    drive = {"drive_id": "root", "is_read_only": True}
    drive |= {"segments": [disk, tree]} if is_verified else {"path_on_host": disk}
    machine = {
        "boot-source": {"kernel_image_path": kernel, "initrd_paths": [agent],
                        "boot_args": "console=ttyS0 reboot=k panic=-1 quiet"},
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}, "drives": [drive],
        "vsock": {"guest_cid": 3, "uds_path": "vsock"}, "entropy": {},
        "balloon": {"amount_mib": 0, "deflate_on_oom": True, "free_page_reporting": True},
        "console": {"input_descriptor": -1}, "lifeline": {"descriptor": 0}}
    with open("machine.json", "w") as file:
        json.dump(machine, file)
    for path in ("vsock", "vsock_1024"):
        if os.path.exists(path):
            os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("vsock_1024")
    listener.listen(8)
    begin = time.monotonic()
    process = subprocess.Popen([vmm, "--config-file", "machine.json", "--no-api"], stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        control, _ = listener.accept()
        control.sendall(configure(is_verified) + start(arguments))
        stream, _ = listener.accept()
        assert stream.recv(64, socket.MSG_WAITALL)[7] == 1
        output = stream.recv(1 << 16)
        took = (time.monotonic() - begin) * 1000
        while more := stream.recv(1 << 16):
            output += more
        if not output:
            control.setblocking(False)
            raise SystemExit(f"the program wrote nothing; the agent said {control.recv(4096)}")
        return took, output.decode()
    finally:
        process.stdin.close()
        process.kill()
        process.wait()


for is_verified in (False, True):
    times = sorted(run(is_verified, program)[0] for _ in range(REPEATS))
    memory = run(is_verified, ["/bin/sh", "-c", "cat /proc/meminfo"])[1]
    figures = {line.split(":")[0]: int(line.split()[1]) for line in memory.splitlines()}
    kernel_kib = figures["Slab"] + figures["KernelStack"] + figures["PageTables"] + figures["Percpu"]
    print(f"{'with' if is_verified else 'without'} its tree: first output least {times[0]:.1f} ms, median "
          f"{times[len(times) // 2]:.1f}; guest: free {figures['MemFree']} KiB, of the kernel {kernel_kib} KiB, "
          f"slab {figures['Slab']} KiB", flush=True)
