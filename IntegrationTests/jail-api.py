#!/usr/bin/env python3
"""Asks a monitor that is started as Firecracker for everything that its API's thread does by system calls.
Usage: jail-api.py MONITOR KERNEL FOLDER     (KERNEL: any guest that goes on for ever)"""
import http.client, json, os, socket, struct, subprocess, sys, threading, time
monitor, kernel, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
os.chdir(folder)


class Client(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=600)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(600)
        # The name is there a moment before who listens.
        for _ in range(3000):
            try: return self.sock.connect(self.path)
            except ConnectionRefusedError: time.sleep(0.02)


def start(*arguments):
    process = subprocess.Popen(
        [monitor, "--api-sock", "api.sock", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 600
    while not os.path.exists("api.sock") and time.monotonic() < end: time.sleep(0.02)
    return process


def ask(method, path, expected, **body):
    client = Client("api.sock")
    client.request(method, path, json.dumps(body) if method != "GET" else None)
    answer = client.getresponse()
    text = answer.read().decode()
    if answer.status != expected: print(method, path, answer.status, text)


def end(process):
    process.terminate()
    print("ended", process.wait(300), os.path.exists("api.sock"), flush=True)


for name in ("log", "metrics", "metrics2"): open(name, "w").close()
for name in ("disk", "other"):
    with open(name, "w") as file: file.truncate(1 << 20)
open("short", "w").close()


def serve(listener):
    """A drive's backend that answers what it is asked, and serves nothing."""
    client = listener.accept()[0]
    while header := client.recv(12):
        request, flags, length = struct.unpack("<III", header)
        body = client.recv(length) if length else b""
        answers = {1: struct.pack("<Q", 1 << 32 | 1 << 30), 15: struct.pack("<Q", 1 << 9), 24: body}
        if request in answers: client.sendall(struct.pack("<III", request, 5, len(answers[request])) + answers[request])


backend = socket.socket(socket.AF_UNIX)
backend.bind("backend.sock")
backend.listen()
threading.Thread(target=serve, args=(backend,), daemon=True).start()
first = start("--log-path", "log")
ask("PUT", "/machine-config", 204, vcpu_count=2, mem_size_mib=32, track_dirty_pages=True)
ask("PUT", "/boot-source", 204, kernel_image_path=kernel)
ask("PUT", "/boot-source", 400, kernel_image_path="nowhere")
ask("PUT", "/drives/disk", 204, drive_id="disk", path_on_host="disk", is_root_device=False, is_read_only=False)
ask("PUT", "/drives/old", 204, drive_id="old", path_on_host="disk", is_root_device=False, is_read_only=True)
ask("PUT", "/balloon", 204, amount_mib=1, deflate_on_oom=True, stats_polling_interval_s=1)
ask("PUT", "/entropy", 204)
ask("PUT", "/vsock", 204, guest_cid=3, uds_path="vsock.sock")
ask("PUT", "/metrics", 204, metrics_path="metrics")
ask("PUT", "/actions", 204, action_type="InstanceStart")
for path in ("/", "/version", "/vm/config", "/balloon"): ask("GET", path, 200)
ask("PATCH", "/drives/disk", 204, drive_id="disk", path_on_host="other")
ask("PATCH", "/drives/old", 204, drive_id="old", path_on_host="other")
ask("PATCH", "/drives/old", 400, drive_id="old", path_on_host="nowhere")
ask("PATCH", "/drives/disk", 204, drive_id="disk", rate_limiter={"ops": {"size": 10, "refill_time": 100}})
ask("PATCH", "/drives/disk", 204, drive_id="disk", rate_limiter={"ops": {"size": 0, "refill_time": 0}})
ask("PATCH", "/balloon/statistics", 204, stats_polling_interval_s=2)
ask("PUT", "/actions", 204, action_type="FlushMetrics")
ask("PUT", "/actions", 204, action_type="SendCtrlAltDel")
ask("PATCH", "/vm", 204, state="Paused")
ask("PUT", "/snapshot/create", 400, snapshot_path="nowhere/state", mem_file_path="memory")
ask("PUT", "/snapshot/create", 204, snapshot_path="state", mem_file_path="memory")
ask("PUT", "/snapshot/create", 204, snapshot_type="Diff", snapshot_path="state1", mem_file_path="changes1")
ask("PATCH", "/vm", 204, state="Resumed")
ask("PUT", "/swiftlet/live-snapshot", 200, snapshot_path="state3", mem_file_path="memory3")
time.sleep(1)
end(first)
os.unlink("vsock.sock") if os.path.exists("vsock.sock") else None
second = start("--log-path", "log", "--metrics-path", "metrics2")
ask("PUT", "/snapshot/load", 400, snapshot_path="nowhere", mem_file_path="memory")
ask("PUT", "/snapshot/load", 204, snapshot_path="state", mem_file_path="memory")
ask("PATCH", "/vm", 204, state="Resumed")
ask("PATCH", "/vm", 204, state="Paused")
ask("PUT", "/swiftlet/working-set", 204, mem_file_path="memory")
ask("PUT", "/snapshot/create", 204, snapshot_type="Diff", snapshot_path="state2", mem_file_path="changes2")
end(second)
backed = start()
ask("PUT", "/machine-config", 204, vcpu_count=1, mem_size_mib=16)
ask("PUT", "/boot-source", 204, kernel_image_path=kernel)
ask("PUT", "/drives/disk", 204, drive_id="disk", socket="backend.sock", is_root_device=False)
ask("PUT", "/actions", 204, action_type="InstanceStart")
ask("PATCH", "/drives/disk", 204, drive_id="disk")
ask("PATCH", "/vm", 204, state="Paused")
ask("PUT", "/snapshot/create", 400, snapshot_path="state4", mem_file_path="memory4")
end(backed)
# Memory of huge pages, where this host gives any.
with open("/proc/sys/vm/nr_hugepages") as file: pool = file.read()
with open("/proc/sys/vm/nr_hugepages", "w") as file: file.write(str(int(pool) + 20))
huge = start()
ask("PUT", "/machine-config", 204, vcpu_count=1, mem_size_mib=16, huge_pages="2M")
ask("PUT", "/boot-source", 204, kernel_image_path=kernel)
ask("PUT", "/actions", 204, action_type="InstanceStart")
ask("PUT", "/swiftlet/live-snapshot", 200, snapshot_path="state5", mem_file_path="memory5")
end(huge)
loaded = start()
ask("PUT", "/swiftlet/huge-load", 204, snapshot_path="state5", mem_file_path="memory5", huge_pages="2M", resume_vm=True)
ask("PUT", "/swiftlet/live-snapshot", 200, snapshot_path="state6", mem_file_path="memory6")
end(loaded)
with open("/proc/sys/vm/nr_hugepages", "w") as file: file.write(pool)
third = start()
ask("PUT", "/snapshot/load", 204, snapshot_path="state", mem_file_path="memory", resume_vm=True)
end(third)
