#!/usr/bin/env python3
"""Controls a machine that runs by its socket, in every way that its monitor serves, and in some that it does not.

Usage: jail-control.py SOCKET FOLDER DRIVE INTERFACE"""
import json, os, socket, sys, time
path, folder, drive, interface = sys.argv[1:]

def connect():
    for _ in range(6000):
        try:
            door = socket.socket(socket.AF_UNIX); door.settimeout(600); door.connect(path); return door
        except OSError: time.sleep(0.05)
    sys.exit("nobody listens at " + path)

def ask(method, name, body=None, wanted=204):
    door = connect()
    text = json.dumps(body) if body is not None else ""
    door.sendall(f"{method} {name} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = door.recv(65536)
        if not piece: sys.exit(f"{method} {name}: no answer")
        answer += piece
    status = int(answer.split()[1])
    if status != wanted: sys.exit(f"{method} {name}: {answer!r}")

ask("GET", "/", wanted=200)
# Who vanishes in the middle, sends what is no request, or comes too often, disturbs nobody.
connect().sendall(b"PATCH /vm HTTP/1.1\r\nContent-Length: 500\r\n\r\n{")
door = connect(); door.sendall(b"\0\xff garbage\r\n\r\n"); door.recv(100)
waiting = [connect() for _ in range(12)]
del waiting; time.sleep(0.2)
for turn in range(3):
    ask("PATCH", "/vm", {"state": "Paused"})
    ask("PUT", "/snapshot/create", {"snapshot_path": "state", "mem_file_path": "memory"})
    ask("PUT", "/snapshot/create", {"snapshot_path": "../state", "mem_file_path": "memory"}, 400)
    ask("PATCH", "/vm", {"state": "Resumed"})
ask("PUT", "/snapshot/create", {"snapshot_path": "state", "mem_file_path": "memory"}, 400)
ask("PUT", "/actions", {"action_type": "InstanceStart"}, 400)
for name in ("/mmds", "//mmds"): ask("PUT", name, {}, 400)
files = {"snapshot_path": "state", "mem_file_path": "memory"}
for turn in range(3): ask("PUT", "/swiftlet/live-snapshot", files, 200)
ask("PUT", "/swiftlet/live-snapshot", {**files, "snapshot_type": "Diff"}, 400)
for name in ("/swiftlet/working-set", "//swiftlet//working-set"): ask("PUT", name, {"mem_file_path": "memory"}, 400)
ask("GET", "/vm/config", wanted=200)
ask("GET", "/swiftlet/counters", wanted=200)
limits = {"bandwidth": {"size": 1 << 30, "refill_time": 100}}
ask("PATCH", "/drives/" + drive, {"drive_id": drive, "rate_limiter": limits})
ask("PATCH", "/drives/" + drive, {"drive_id": drive, "path_on_host": "/etc/passwd"}, 400)
ask("PATCH", "/network-interfaces/" + interface, {"iface_id": interface, "rx_rate_limiter": limits})
found = sorted(set(os.listdir(folder)) - {"lock"})
if found != ["memory", "state"]: sys.exit(f"the folder holds {found}")
print("controlled")
