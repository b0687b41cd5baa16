#!/usr/bin/env python3
"""Clients of the API that hold back what they send, take no answers, or never end: what the monitor keeps for them, and that others are served.
Usage: hostile-clients.py MONITOR KERNEL FOLDER     (KERNEL: any guest that goes on for ever)"""
import http.client, json, os, re, signal, socket, subprocess, sys, threading, time
monitor, kernel, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
os.chdir(folder)
limit_kib, wrong, most = 1024, [], {}


class Client(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(600)
        self.sock.connect("api.sock")


def ask(method, path, **body):
    client = Client("localhost")
    client.request(method, path, json.dumps(body) if method != "GET" else None)
    answer = client.getresponse()
    return answer.status, answer.read()


def hostile(text=b""):
    client = socket.socket(socket.AF_UNIX)
    client.connect("api.sock")
    client.setblocking(False)
    try: client.send(text)
    except BlockingIOError: pass
    return client


def resident():
    """In KiB, besides the guest's memory."""
    total = 0
    for mapping in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", open(f"/proc/{process.pid}/smaps").read()):
        if mapping and "guest-memory" not in mapping: total += int(re.search(r"(?m)^Rss:\s+(\d+)", mapping)[1])
    return total


def watch(what, seconds=0.5):
    """The most that there is for a while, beginning when what was sent has been read."""
    time.sleep(0.3)
    end, high = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        high = max(high, resident())
        time.sleep(0.02)
    most[what] = high
    if high > limit_kib: wrong.append(f"{what}: {high} KiB")


class Stopwatch:
    """Seconds that went by, without those in which this computer had no time for this process."""
    lost = 0.0

    @classmethod
    def watch(cls):
        while True:
            begin = time.monotonic()
            time.sleep(0.05)
            cls.lost += max(0, time.monotonic() - begin - 0.1)

    def __init__(self): self.begin, self.before = time.monotonic(), Stopwatch.lost
    def all(self): return time.monotonic() - self.begin
    def own(self):
        # What has just been lost is known when the watch has looked again.
        time.sleep(0.2)
        return self.all() - 0.2 - (Stopwatch.lost - self.before)


threading.Thread(target=Stopwatch.watch, daemon=True).start()


def served(what):
    """Somebody has gone, and another is answered at once."""
    time.sleep(0.1)
    clock = Stopwatch()
    try: status, _ = ask("GET", "/version")
    except OSError as error: status = error
    taken = clock.own()
    if status != 200 or taken > 3: wrong.append(f"{what}: {status} after {taken:.1f} s")


process = subprocess.Popen([monitor, "--api-sock", "api.sock", "--log-path", "/dev/null"], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL)
while not os.path.exists("api.sock"): time.sleep(0.02)
for name in ("one", "two"):
    with open(name, "w") as file: file.truncate(1 << 20)
    ask("PUT", f"/drives/{name}", drive_id=name, path_on_host=name, is_root_device=False)
ask("PUT", "/machine-config", vcpu_count=1, mem_size_mib=32)
ask("PUT", "/boot-source", kernel_image_path=kernel)
ask("PUT", "/balloon", amount_mib=1, deflate_on_oom=True, stats_polling_interval_s=1)
ask("PUT", "/entropy")
ask("PUT", "/vsock", guest_cid=3, uds_path="vsock.sock")
if ask("PUT", "/actions", action_type="InstanceStart")[0] != 204: wrong.append("the guest did not start")
for number in range(230): ask("GET", ("/", "/vm/config", "/balloon", "/nowhere")[number % 4])
watch("none")
head = b"PUT /mmds HTTP/1.1\r\nContent-Length: 50000\r\n\r\n"
clients = [hostile(head + b'{"a":"' + b"x" * 25000) for _ in range(10)]
watch("half bodies")
clients.pop().close()
served("half bodies")
for client in clients: client.close()
clients = [hostile(b"PUT /mmds HTTP/1.1\r\n" + b"X-%04d: y\r\n" % 1 * 1400) for _ in range(10)]
watch("endless heads")
for client in clients: client.close()
time.sleep(0.2)
served("endless heads")
ask("PUT", "/mmds", a="x" * 50000)
clients = [hostile(b"GET /mmds HTTP/1.1\r\n\r\n" * 100) for _ in range(10)]
watch("answers not taken")
clients.pop().close()
served("answers not taken")
for client in clients: client.close()
# As many values as fit, which take more than their text when they are read.
if ask("PUT", "/mmds", a=[1] * 16500, b={})[0] != 204 or ask("PATCH", "/mmds", b={"c": 1})[0] != 204: wrong.append("many values: refused")
watch("many values")
ask("PUT", "/mmds", a=1)
time.sleep(0.2)
# One that sends too slowly is given up for the next that has as much to send.
clock = Stopwatch()
slow = hostile(head + b'{"a":"' + b"x" * 25000)
time.sleep(0.2)
status, _ = ask("PUT", "/mmds", a="y" * 40000)
if status != 204 or not 3 < clock.all() or clock.own() > 20: wrong.append(f"behind a slow one: {status} after {clock.all():.1f} s")
process.send_signal(signal.SIGTERM)
if (status := process.wait(300)) != 0: wrong.append(f"ended with {status}")
for line in wrong: print(line)
print(", ".join(f"{what}: {high} KiB" for what, high in most.items()) + f"; {len(wrong)} wrong")
