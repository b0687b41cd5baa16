"""What the check of an image's disk costs: start of swiftlet-vmm to the first output of a program on it, with its hash tree
and without, and the memory that the guest's kernel takes. The command line always checks; so this speaks with the agent
itself (Documentation/agent-protocol.md), with the store's images and the devices that `swiftlet run` gives a machine."""
import shutil
import socket
import struct

from monitors import *

REPEATS = int(os.environ.get("REPEATS", 3))
GOAL_MS = 115
SECONDS = 300
AGENT_PORT = 1024
WITHOUT, WITH, SMALL_CLUSTER = "without", "with its tree", "with its tree, prefetch_cluster=4096"
KINDS = {WITHOUT: "", WITH: "", SMALL_CLUSTER: "dm_verity.prefetch_cluster=4096"}
NONE = struct.pack("<I", 0)


def text(value):
    return struct.pack("<I", len(value)) + value.encode()


def frame(number, identifier, payload):
    return struct.pack("<IHHI", len(payload), number, 0, identifier) + payload


def configure(image, is_verified):
    verity = b"\0"
    if is_verified:
        verity = b"\1" + struct.pack("<Q", image["dataBlockCount"]) + bytes.fromhex(image["diskDigest"].split(":")[1])
    # Read-only, the agent's root too; writes go to memory.
    root = b"\1" + text("/dev/vda") + text("erofs") + text("") + b"\1\0" + verity + b"\1" + struct.pack("<Q", 0)
    every_mount_of_a_container = struct.pack("<I", 0x3f)
    mounts, interfaces, servers, domains, hosts, seed, links, idle = [NONE] * 8
    return frame(1, 1, text("bench") + root + every_mount_of_a_container + mounts + interfaces + b"\1" + servers + domains
                 + hosts + struct.pack("<Q", 0) + seed + links + idle)


def start(arguments):
    """Standard output only, in a stream that the agent opens; as root, in the image's own environment."""
    environment, groups, token = NONE, NONE, bytes(16)
    return frame(2, 2, struct.pack("<I", len(arguments)) + b"".join(map(text, arguments)) + environment + text("") + groups
                 + text("") + b"\2" + b"\0" + token + b"\0")


def make_agent():
    """The agent's initial file system, as the command line makes it."""
    shutil.copy("libexec/swiftlet-agent", "init")
    with open("agent", "wb") as file:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=b"init\n", stdout=file, check=True)


def machine(image, kind):
    hashes = [path for path in image["diskPaths"] if path.endswith(".hashes")]
    segments = [path for path in image["diskPaths"] if kind != WITHOUT or path not in hashes]
    assert len(hashes) == 1, image["diskPaths"]
    result = configuration(initrd=None, others=True)
    result["boot-source"] |= {"initrd_paths": ["agent"], "boot_args": f"{ARGUMENTS} {KINDS[kind]}".strip()}
    result["drives"] = [{"drive_id": "root", "is_read_only": True, "segments": segments}]
    result["balloon"]["free_page_reporting"] = True
    result |= {"console": {"input_descriptor": -1}, "lifeline": {"descriptor": 0}}
    return result


def connection(listener, monitor):
    """The agent's next connection; not waited for when there is no monitor any more."""
    ready, _, _ = select.select([listener, monitor], [], [], SECONDS)
    if listener not in ready:
        raise OSError("the monitor ended" if ready else f"the agent was silent for {SECONDS} s")
    accepted, _ = listener.accept()
    accepted.settimeout(SECONDS)
    return accepted


def run(image, kind, arguments):
    """Milliseconds to the program's first output, and all of it."""
    path = f"{VSOCK}_{AGENT_PORT}"
    for each in (VSOCK, path):
        if os.path.exists(each):
            os.unlink(each)
    of_monitor = command(OURS, machine(image, kind), "verity")
    with open("said", "w+b") as said, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(8)
        begin = time.monotonic()
        process = subprocess.Popen(of_monitor, stdin=subprocess.PIPE, stdout=said, stderr=said)
        monitor = os.pidfd_open(process.pid)
        control = None
        try:
            control = connection(listener, monitor)
            control.sendall(configure(image, kind != WITHOUT) + start(arguments))
            stream = connection(listener, monitor)
            opening = stream.recv(64, socket.MSG_WAITALL)
            output = stream.recv(1 << 16)
            took = (time.monotonic() - begin) * 1000
            if len(opening) != 64 or opening[:4] != b"SWLT" or opening[7] != 1 or not output:
                raise OSError("the program wrote nothing")
            while more := stream.recv(1 << 16):
                output += more
            return took, output.decode()
        except OSError as error:
            said.seek(0)
            raise Unfinished(f"bench: {' '.join(arguments)}, {kind}: {error}; the agent said {received(control)}; the monitor "
                             f"and its guest said:\n{said.read()[-2000:].decode(errors='replace')}")
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            os.close(monitor)


def received(control):
    """What has come and was not read, for messages about what went wrong."""
    if not control:
        return "nothing"
    control.setblocking(False)
    try:
        return control.recv(4096)
    except OSError as error:
        return error


def image_of(name):
    document = subprocess.run(["./swiftlet", "image", "inspect", name], env=swiftlet_environment(None), check=True,
                              stdout=subprocess.PIPE).stdout
    return json.loads(document)[0]


def first_outputs(name, image, arguments):
    """The least for each kind; the disk is in this host's memory before, and each kind is run in turn."""
    times = {kind: [] for kind in KINDS}
    for path in image["diskPaths"]:
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass
    for _ in range(REPEATS):
        for kind in KINDS:
            times[kind].append(run(image, kind, arguments)[0])
    print(f"\n{name}, a disk of {image['sizeBytes'] / 1e6:.1f} MB: first output of `{' '.join(arguments)}`")
    for kind in KINDS:
        ordered = sorted(times[kind])
        print(f"  {kind:40} least {ordered[0]:.1f} ms, median {ordered[len(ordered) // 2]:.1f}", flush=True)
    return {kind: min(times[kind]) for kind in KINDS}


def memory(image, kind):
    """KiB of the guest's memory that its kernel takes, and that are free."""
    lines = run(image, kind, ["cat", "/proc/meminfo"])[1].splitlines()
    figures = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    taken = sum(figures[name] for name in ("Slab", "KernelStack", "PageTables", "Percpu"))
    print(f"  {kind:40} of the kernel {taken} KiB, free {figures['MemFree']} KiB", flush=True)
    return taken


make_agent()
busybox, python = image_of("busybox"), image_of("python")
least = first_outputs("busybox", busybox, ["echo", MARK.decode()])
result("first output, disk checked, busybox", f"at most {GOAL_MS} ms", f"{least[WITH]:.1f} ms",
       f"{least[WITHOUT]:.1f} ms unchecked", least[WITH] <= GOAL_MS)
least = first_outputs("python", python, ["python3", "--version"])
result("first output, disk checked, python3", "", f"{least[WITH]:.1f} ms", f"{least[WITHOUT]:.1f} ms unchecked", None)
print("\nmemory in the guest, busybox")
taken = {kind: memory(busybox, kind) for kind in KINDS}
result("memory of the guest's kernel, disk checked", "", f"{taken[WITH]} KiB", f"{taken[WITHOUT]} KiB unchecked", None)
