"""Makes clones of one machine by the monitor's REST API and the guest agent's protocol (Documentation/agent-protocol.md).

Usage: drive.py KERNEL AGENT FOLDER CLONES PROBE    (FOLDER has `firecracker`, the monitor, and `disk`, the image)

What the program of each machine prints is then in FOLDER/first/program and FOLDER/clone-N/program.
"""
import http.client, json, os, socket, struct, subprocess, sys, threading, time

kernel, agent, folder, clones, probe = sys.argv[1:]
os.chdir(folder)
PROCESS = 7


def text(value): return struct.pack("<I", len(value.encode())) + value.encode()
def listing(*elements): return struct.pack("<I", len(elements)) + b"".join(elements)


class Agent:
    """A control connection to the agent behind a monitor's vsock."""

    def __init__(self, path):
        self.path = path
        for attempt in range(60):
            self.socket, self.pending = self.open(1), b""
            # One that was made a moment before the guest's kernel heard of the transport's reset is lost.
            self.socket.settimeout(5)
            try: hello = self.receive()
            except (TimeoutError, ConnectionError): continue
            self.socket.settimeout(600)
            assert hello[0] == 129
            return
        raise TimeoutError("the agent does not answer")

    def open(self, kind, stream=0, token=bytes(16)):
        end = time.monotonic() + 600
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(600)
            try:
                connection.connect(self.path)
                connection.sendall(b"CONNECT 1024\n")
                line = b""
                while not line.endswith(b"\n"):
                    byte = connection.recv(1)
                    if not byte: raise ConnectionError("the guest does not listen")
                    line += byte
                connection.sendall(struct.pack(
                    "<4sHBBII16s32s", b"SWLT", 1, kind, stream, PROCESS if kind == 2 else 0, 0, token, bytes(32)))
                return connection
            except OSError:
                connection.close()
                if time.monotonic() > end: raise
                time.sleep(0.05)

    def send(self, number, payload=b"", id=1):
        self.socket.sendall(struct.pack("<IHHI", len(payload), number, 0, id) + payload)

    def receive(self):
        while len(self.pending) < 12 or len(self.pending) < 12 + struct.unpack_from("<I", self.pending)[0]:
            more = self.socket.recv(65536)
            if not more: raise ConnectionError("the agent is gone")
            self.pending += more
        size, number, _, id = struct.unpack_from("<IHHI", self.pending)
        payload, self.pending = self.pending[12:12 + size], self.pending[12 + size:]
        return number, id, payload

    def expect(self, wanted, id):
        while True:
            number, its, payload = self.receive()
            if its != id: continue
            assert number == wanted, f"message {number} in the place of {wanted}: {payload}"
            return payload

    def follow(self, token, path):
        """Writes the program's output to a file, from now on."""
        output, self.errors = self.open(2, 1, token), self.open(2, 2, token)
        output.settimeout(None)

        def copy():
            with open(path, "wb", buffering=0) as file:
                while more := output.recv(65536): file.write(more)
        threading.Thread(target=copy, daemon=True).start()


class Monitor:
    """A process of the monitor in a folder of its own."""

    def __init__(self, name):
        os.mkdir(name)
        self.name, self.vsock = name, f"{name}/vsock.sock"
        self.process = subprocess.Popen(
            ["../firecracker", "--api-sock", "api.sock", "--log-path", "/dev/null"], stdin=subprocess.DEVNULL,
            stdout=open(f"{name}/console", "wb"), stderr=subprocess.STDOUT, cwd=name)
        end = time.monotonic() + 600
        while not os.path.exists(f"{name}/api.sock") and time.monotonic() < end: time.sleep(0.02)

    def ask(self, method, path, **body):
        client = http.client.HTTPConnection("localhost", timeout=600)
        client.sock = socket.socket(socket.AF_UNIX)
        client.sock.settimeout(600)
        for attempt in range(3000):
            try: client.sock.connect(f"{self.name}/api.sock")
            except ConnectionRefusedError:
                # It is there a moment before anybody listens.
                if attempt == 2999: raise
                time.sleep(0.02)
            else: break
        client.request(method, path, json.dumps(body))
        answer = client.getresponse()
        said = answer.read().decode()
        assert answer.status == 204, f"{method} {path}: {answer.status} {said}"

    def lines(self):
        try: return open(f"{self.name}/program", "rb").read().count(b"\n")
        except FileNotFoundError: return 0

    def wait(self, count):
        end = time.monotonic() + 600
        while self.lines() < count and self.process.poll() is None:
            assert time.monotonic() < end, f"{self.name}: {self.lines()} lines of {count}"
            time.sleep(0.1)

    def end(self):
        self.process.terminate()
        return self.process.wait(300)


def archive(path):
    """The agent as /init. Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst."""
    def entry(name, mode, content):
        fields = [1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        head += bytes(-len(head) % 4)
        return head + content + bytes(-len(content) % 4)
    with open(path, "wb") as file:
        file.write(entry("init", 0o100755, open(agent, "rb").read()) + entry("TRAILER!!!", 0, b""))


def configuration():
    root = b"\1" + text("/dev/vda") + text("erofs") + text("") + b"\1\0\0" + b"\1" + struct.pack("<Q", 0)
    return (text("original") + root + struct.pack("<I", 0x7f) + listing() + listing() + b"\1" + listing() * 3
            + struct.pack("<Q", time.time_ns()) + struct.pack("<I", 32) + os.urandom(32) + listing() + bytes(4))


def start(token):
    command = listing(*map(text, ["/bin/sh", "-c", f"echo {'0' * 31}1 > /etc/machine-id\n" + open(probe).read(), "probe", "0.2"]))
    return command + listing() + text("") + listing() + text("") + b"\6\1" + token + b"\0"


def identity(number):
    return (text(f"clone-{number}") + os.urandom(16) + struct.pack("<I", 64) + os.urandom(64)
            + struct.pack("<Q", time.time_ns()) + listing() * 4 + os.urandom(16))


archive("agent.cpio")
first = Monitor("first")
first.ask("PUT", "/machine-config", vcpu_count=1, mem_size_mib=128)
first.ask("PUT", "/boot-source", kernel_image_path=kernel, initrd_path="../agent.cpio",
          boot_args="console=ttyS0 reboot=k panic=-1 quiet")
first.ask("PUT", "/drives/disk", drive_id="disk", path_on_host="../disk", is_root_device=False, is_read_only=True)
first.ask("PUT", "/entropy")
first.ask("PUT", "/vsock", guest_cid=3, uds_path="vsock.sock")
first.ask("PUT", "/actions", action_type="InstanceStart")
control, token = Agent(first.vsock), os.urandom(16)
control.send(1, configuration(), 1)
control.expect(130, 1)
control.send(2, start(token), PROCESS)
control.follow(token, "first/program")
control.expect(131, PROCESS)
first.wait(3)

control.send(11, struct.pack("<I", 10_000), 2)
print("held", struct.unpack("<I", control.expect(140, 2))[0])
first.ask("PATCH", "/vm", state="Paused")
first.ask("PUT", "/snapshot/create", snapshot_path="../state", mem_file_path="../memory")
first.ask("PATCH", "/vm", state="Resumed")
control.send(12, b"", 3)
control.expect(130, 3)
before = first.lines()

machines = []
refused = []
for number in range(1, int(clones) + 1):
    machine = Monitor(f"clone-{number}")
    machine.ask("PUT", "/snapshot/load", snapshot_path="../state", mem_file_path="../memory", resume_vm=True)
    machines.append(machine)
    machine.control = Agent(machine.vsock)
    # Nothing runs in it until it is somebody.
    machine.control.send(12, b"", 4)
    refused.append(machine.control.receive()[:2] == (137, 4))
    token = os.urandom(16)
    machine.control.send(13, identity(number), 5)
    machine.control.send(14, b"\6\1" + token, PROCESS)
    machine.control.send(12, b"", 6)
    machine.control.expect(130, 5)
    machine.control.expect(131, PROCESS)
    machine.control.expect(130, 6)
    machine.control.follow(token, f"clone-{number}/program")
for machine in machines: machine.wait(3)
print("clones", len(machines))
print("refused before its identity", all(refused))
first.wait(before + 2)
print("original goes on True")
print("ended", *(monitor.end() for monitor in [first] + machines))
