#!/usr/bin/env python3
"""Saves a jailed machine, what was made of it, and what was made of that, by their control sockets: standing still and running. The memory of the last is
checked as it is touched.

Usage: jail-restored.py MONITOR KERNEL FOLDER [2M]     (2M: memory is of huge pages, but the last one's)"""
import hashlib, json, os, socket, subprocess, sys, time
monitor, kernel, folder, *pages = sys.argv[1:]
os.makedirs(folder, exist_ok=True)

def start(name, restored):
    place = f"{folder}/{name}"
    os.makedirs(place + "/out", exist_ok=True)
    configuration = {
        "boot-source": {"kernel_image_path": kernel}, "machine-config": {"vcpu_count": 1, "mem_size_mib": 16},
        "vsock": {"guest_cid": 3, "uds_path": place + "/vsock"}, "console": {"enabled": False},
        "control": {"socket_path": place + "/socket", "folder": place + "/out"}}
    if pages: configuration["machine-config"]["huge_pages"] = pages[0]
    if restored: configuration["restore"] = {"folder": restored, "state": "state", "memory": "memory"}
    if name == "third": configuration["restore"] |= {"tree": "tree", "root": tree(restored)}
    with open(place + "/configuration", "w") as file: json.dump(configuration, file)
    process = subprocess.Popen([monitor, "--config-file", place + "/configuration", "--no-api"])
    return process, place

def tree(folder):
    """Writes the hash tree of a memory file beside it, and returns its root."""
    with open(folder + "/memory", "rb") as file: level = file.read()[:-4096]
    levels = []
    while len(level) > 4096:
        digests = b"".join(hashlib.sha256(level[at:at + 4096]).digest() for at in range(0, len(level), 4096))
        level = digests.ljust(-(-len(digests) // 4096) * 4096, b"\0")
        levels.insert(0, level)
    with open(folder + "/tree", "wb") as file: file.write(b"".join(levels))
    return hashlib.sha256(level).hexdigest()

def ask(place, method, name, body, wanted=204):
    for _ in range(6000):
        try:
            door = socket.socket(socket.AF_UNIX); door.settimeout(600); door.connect(place + "/socket"); break
        except OSError: time.sleep(0.05)
    else: sys.exit("nobody listens in " + place)
    text = json.dumps(body)
    door.sendall(f"{method} {name} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = door.recv(65536)
        if not piece: sys.exit(f"{method} {name}: no answer")
        answer += piece
    if int(answer.split()[1]) != wanted: sys.exit(f"{place}: {method} {name}: {answer!r}")

POOL = "/proc/sys/vm/nr_hugepages"
with open(POOL) as file: pool = file.read()
if pages:
    with open(POOL, "w") as file: file.write(str(int(pool) + 20))
files = {"snapshot_path": "state", "mem_file_path": "memory"}
restored, machines = None, []
try:
    for name in ("first", "second", "third"):
        process, place = start(name, restored)
        machines.append((process, place))
        for turn in range(3): ask(place, "PUT", "/swiftlet/live-snapshot", files, 200)
        ask(place, "PUT", "/snapshot/create", files, 400)
        ask(place, "PATCH", "/vm", {"state": "Paused"})
        ask(place, "PUT", "/swiftlet/live-snapshot", files, 400)
        for turn in range(2): ask(place, "PUT", "/snapshot/create", files)
        # What changed, and what was touched, is told by files that its jail leaves out.
        # Of huge pages all are written in any case.
        is_huge = pages and name != "third"
        ask(place, "PUT", "/snapshot/create", {**files, "snapshot_type": "Diff"}, 204 if is_huge else 400)
        ask(place, "PUT", "/swiftlet/working-set", {"mem_file_path": "memory"}, 400)
        ask(place, "PATCH", "/vm", {"state": "Resumed"})
        ask(place, "PUT", "/swiftlet/live-snapshot", {**files, "snapshot_type": "Diff"}, 200 if is_huge else 400)
        found = sorted(os.listdir(place + "/out"))
        if found != ["memory", "state"]: sys.exit(f"{place}/out holds {found}")
        restored = place + "/out"
    for process, place in machines:
        process.terminate()
        print("ended", process.wait(300))
finally:
    # Also after a wrong answer: nothing of it runs on, and all are told before one is waited for.
    for process, place in machines: process.terminate()
    for process, place in machines: process.wait(300)
    if pages:
        with open(POOL, "w") as file: file.write(pool)
