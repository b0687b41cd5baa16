#!/usr/bin/env python3
"""Asks the metadata services of two monitors the same, from guests, and tells where they answer otherwise than each other.
Usage: firecracker-metadata.py KERNEL DISK FOLDER MONITOR PEER     (DISK: a file system with busybox)"""
import base64, http.client, json, os, re, socket, subprocess, sys, time
kernel, disk, folder, *monitors = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
os.chdir(folder)
contents = {"latest": {"meta-data": {"text": "some text", "quotes": "a \"b\" \\ c", "lines": "a\nb", "empty": "", "letters": "äß€",
                                     "number": 42, "negative": -1, "fraction": 1.5, "true": True, "none": None, "list": ["a", 1],
                                     "nothing": {}, "deep": {"er": {"est": "x"}}, "a b": "space", "a%20b": "escaped"},
                       "list": [], "user": {"name": "n"}}, "first": {"id": 1}}
paths = ["/", "/latest", "/latest/", "/latest/meta-data", "//latest///meta-data//", "/latest/list", "/latest/user/name/",
         "/latest/meta-data/deep/er", "/latest/meta-data/deep/er/est/x", "/nowhere", "/Latest", "/latest/meta-data?x=1", "/latest/api/token",
         "/latest/meta-data/list/0", "/latest/meta-data/a%20b", "/latest/..", "/latest~1meta-data"] + [
             f"/latest/meta-data/{name}" for name in contents["latest"]["meta-data"] if " " not in name and "%" not in name]


def get(path, *headers, method="GET", version="HTTP/1.1"):
    return "\r\n".join([f"{method} {path} {version}", *headers, "", ""])


def questions(with_token):
    """Each is what is sent on a connection of its own."""
    token = ["X-metadata-token: $token"] if with_token else []
    result = [get(path, *token) for path in paths] + [get(path, *token, "Accept: application/json") for path in paths]
    result += [get("/latest/user", *token, f"Accept: {kind}") for kind in ("text/plain", "*/*", "APPLICATION/JSON")]
    result += [get("http://169.254.169.254/latest/user", *token), get("/latest/user", *token, version="HTTP/1.0"),
               get("/latest/user", *token, version="HTTP/2.0"), get("/latest", *token, method="get"),
               get("/latest", *token, method="POST"), get("/latest", *token, method="DELETE"), get("/latest", *token, method="PATCH"),
               get("latest", *token), get("", *token), "nonsense\r\n\r\n", get("/latest", *token, "no colon"),
               get("/latest/user/name", *token, "Content-Length: x"), get("/latest/user/name", *token, "Transfer-Encoding: chunked"),
               get("/latest/user/name", *token) + get("/first/id", *token), get("/first/id", "x-METADATA-token: $token"),
               get("/first/id", "X-metadata-token: "), get("/first/id", "X-metadata-token: no token"), get("/first/id")]
    for headers in ([], ["X-metadata-token-ttl-seconds: 60"], ["X-metadata-token-ttl-seconds: 0"], ["X-metadata-token-ttl-seconds: 21600"],
                    ["X-metadata-token-ttl-seconds: 21601"], ["X-metadata-token-ttl-seconds: -1"], ["X-metadata-token-ttl-seconds: a"],
                    ["X-metadata-token-ttl-seconds: 60", "X-Forwarded-For: 1.2.3.4"]):
        result += [get("/latest/api/token", *headers, method="PUT"), get("/latest/user", *headers, method="PUT")]
    return result


def script(asked):
    """What the guest runs: ten connections at a time, and each answer as a line."""
    def said(text): return text.replace("\\", "\\\\").replace("%", "%%").replace("\r", "\\r").replace("\n", "\\n")
    lines = ["mount -t tmpfs t /tmp", "ip link set lo up", "ip link set eth0 up", "ip addr add 169.254.1.2/16 dev eth0",
             "send() { nc -w 1 169.254.169.254 80; }",
             "get() { printf \"PUT /latest/api/token HTTP/1.1\\r\\nX-metadata-token-ttl-seconds: 21600\\r\\n\\r\\n\" | send | tail -n 1; }",
             "token=$(get); while [ ${#token} -lt 20 ]; do token=$(get); done"]
    for number, text in enumerate(asked):
        # On a busy machine an answer may come after its client has gone.
        lines.append(f"{{ until [ -s /tmp/{number} ]; do printf \"{said(text)}\" | send > /tmp/{number}; done; }} &")
        if number % 10 == 9: lines.append("wait")
    lines += ["wait", f"for i in $(seq 0 {len(asked) - 1}); do echo answer $i $(base64 /tmp/$i | tr -d '\\n'); done", "echo all done", "sleep 1000"]
    text = "\n".join(lines) + "\n"
    return text + "\n" * (-len(text) % 4096)


class Client(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        # The name is there a little before somebody listens.
        for _ in range(500):
            try: return self.sock.connect(self.host)
            except ConnectionRefusedError: time.sleep(0.02)


def start(number, monitor, version):
    name = f"{version}{number}{os.getpid() % 10000}"
    open(f"{name}.log", "w").close()
    process = subprocess.Popen([monitor, "--api-sock", name, "--log-path", f"{name}.log"], stdin=subprocess.DEVNULL,
                               stdout=open(f"{name}.out", "wb"), stderr=subprocess.STDOUT)
    while not os.path.exists(name) and process.poll() is None: time.sleep(0.02)

    def put(path, **body):
        client = Client(name)
        client.request("PUT", path, json.dumps(body))
        answer = client.getresponse()
        if answer.status != 204: print(monitor, path, answer.status, answer.read().decode())

    put("/machine-config", vcpu_count=1, mem_size_mib=128)
    put("/boot-source", kernel_image_path=kernel, boot_args="console=ttyS0 reboot=k panic=-1 quiet pci=off root=/dev/vda "
        "rootfstype=erofs init=/bin/sh -- -c \"mount -t devtmpfs d /dev; mount -t proc p /proc; mount -t sysfs s /sys; . /dev/vdb\"")
    put("/drives/disk", drive_id="disk", path_on_host=disk, is_root_device=False, is_read_only=True)
    put("/drives/script", drive_id="script", path_on_host=f"{version}.script", is_root_device=False, is_read_only=True)
    put("/network-interfaces/eth0", iface_id="eth0", host_dev_name=f"md{name}", guest_mac="02:00:00:00:00:01")
    put("/mmds/config", network_interfaces=["eth0"], version=version)
    put("/mmds", **contents)
    put("/actions", action_type="InstanceStart")
    return process, f"{name}.out"


def answers(process, path):
    end = time.monotonic() + 150
    while time.monotonic() < end and process.poll() is None and b"all done" not in open(path, "rb").read(): time.sleep(0.1)
    return {int(number): base64.b64decode(text) for number, text in
            re.findall(r"(?m)^answer (\d+) ?([A-Za-z0-9+/=]*)\r?$", open(path, errors="replace").read())}


# What is known and meant: connections end where the client says so or sends what is no request; a body in chunks is refused.
def comparable(answer):
    answer = re.sub(rb"Content-Length: \d+(\r\n\r\n)[A-Za-z0-9+/=]{32,}$", rb"\1TOKEN", answer)
    return re.sub(rb"Connection: \S+", b"Connection: any", answer)


for version in ("V1", "V2"):
    asked = questions(version == "V2")
    with open(f"{version}.script", "w") as file: file.write(script(asked))
    machines = []
    try:
        for number, monitor in enumerate(monitors): machines.append(start(number, monitor, version))
        ours, theirs = [answers(*machine) for machine in machines]
    finally:
        for process, _ in machines: process.kill(), process.wait()
    same = 0
    for number, text in enumerate(asked):
        here, there = [comparable(each.get(number, b"none")) for each in (ours, theirs)]
        if here == there != b"none" or "chunked" in text and b"Transfer-Encoding" in here: same += 1
        else: print(version, repr(text), "here", repr(here), "there", repr(there))
    print(version, "asked", len(asked), "answered alike", same)
