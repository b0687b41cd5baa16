"""Restores of a machine with Linux, 128 MiB, both monitors driven by the same client through Firecracker's API: from the request to
load until the guest's first output, and until the first byte of what a web server in it answers, with the number of page faults;
ours with the pages of an earlier clone ahead and with checked memory too; and a whole clone of the command line."""
import http.client
import os
import shutil
import socket

from monitors import *

REPEATS = int(os.environ.get("REPEATS", 5))
MAC = "06:00:0a:5b:00:02"
BEAT = b"beat"


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=300)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(300)
        self.sock.connect(self.path)


def start(monitor, *arguments):
    if os.path.exists("api"):
        os.unlink("api")
    run = Run([PROGRAMS[monitor], "--api-sock", "api", *arguments])
    while not os.path.exists("api"):
        pass
    return run


def ask(method, path, **body):
    while True:
        try:
            connection = Connection("api")
            connection.request(method, path, json.dumps(body))
            break
        except ConnectionRefusedError:
            continue
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status >= 300:
        raise Unfinished(f"bench: {method} {path}: {text}")


def save(monitor, name, machine):
    """A snapshot of a machine whose guest has said that it is there; the file's name."""
    name = f"{monitor[:4]}-{name}"
    with open(f"{name}.json", "w") as file:
        json.dump(machine, file)
    with start(monitor, "--config-file", f"{name}.json") as run:
        run.wait_for(MARK)
        if tap := machine.get("network-interfaces"):
            first_byte(time.time())
        ask("PATCH", "/vm", state="Paused")
        ask("PUT", "/snapshot/create", snapshot_path=f"{name}.state", mem_file_path=f"{name}.memory")
    return name


def load(name, root=None):
    body = {"snapshot_path": f"{name}.state", "resume_vm": True,
            "mem_backend": {"backend_type": "File", "backend_path": f"{name}.memory"}}
    if root:
        ask("PUT", "/swiftlet/checked-load", mem_tree_path=f"{name}.tree", mem_root=root, **body)
    else:
        ask("PUT", "/snapshot/load", **body)


def first_byte(begin):
    """Milliseconds from `begin` until a web server in the guest has answered with a byte."""
    while True:
        try:
            with socket.create_connection((GUEST_ADDRESS, 80), timeout=60) as door:
                door.sendall(b"GET /number HTTP/1.0\r\n\r\n")
                if door.recv(1) != b"H":
                    raise Unfinished("bench: the web server in the guest answers nothing")
                return (time.time() - begin) * 1000
        except ConnectionRefusedError:
            time.sleep(0.01)


def faults(run):
    with open(f"/proc/{run.process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[7]) + int(fields[9])


def restored(monitor, name, until, root=None, keep=False):
    """Milliseconds from the request, from the start of the process, and page faults of the process by then; of the quickest."""
    figures = []
    for number in range(REPEATS):
        with start(monitor) as run:
            begin = time.time()
            load(name, root)
            asked = (begin - run.start) * 1000
            took = until(run, begin)
            figures.append((took, took + asked, faults(run)))
            if keep and number == REPEATS - 1:
                ask("PUT", "/swiftlet/working-set", mem_file_path=f"{name}.memory")
    return min(figures)


def output(run, begin):
    run.wait_for(BEAT)
    return (time.time() - begin) * 1000


def web(run, begin):
    return first_byte(begin)


def say(figures):
    return f"{figures[0]:.2f} ms, {figures[2]} page faults"


make_tap()
subprocess.run(["ip", "neigh", "replace", GUEST_ADDRESS, "lladdr", MAC, "dev", TAP, "nud", "permanent"], check=True)
first, page = {}, {}
for monitor in OURS, FIRECRACKER:
    beat = save(monitor, "beat", configuration(initrd="initrd-beat"))
    first[monitor] = restored(monitor, beat, output)
    machine = configuration(initrd="initrd-web", tap=True)
    machine["network-interfaces"][0]["guest_mac"] = MAC
    machine["boot-source"]["boot_args"] += f" machine=1 address={GUEST_ADDRESS}"
    name = save(monitor, "web", machine)
    page[monitor] = restored(monitor, name, web, keep=monitor == OURS)
    if monitor == OURS:
        beats, webs = beat, name
        os.rename(f"{name}.memory.pages", "pages")
ours, theirs = first[OURS], first[FIRECRACKER]
result("restore of Linux, request to first output", "a third of Firecracker",
       f"{ours[0]:.2f} ms; {ours[1]:.2f} from the process's start", f"{theirs[0]:.2f} ms; {theirs[1]:.2f}",
       ours[1] <= theirs[1] / 3)
result("restore of Linux, request to first byte of HTTP", "below Firecracker", say(page[OURS]), say(page[FIRECRACKER]),
       page[OURS][0] < page[FIRECRACKER][0])
os.rename("pages", f"{webs}.memory.pages")
ahead = restored(OURS, webs, web)
result("the same with the pages of an earlier clone ahead", "half of without", say(ahead), "", ahead[0] <= page[OURS][0] / 2)
os.unlink(f"{webs}.memory.pages")
roots = {}
for name in beats, webs:
    roots[name] = subprocess.run([PROGRAMS[OURS], "snapshot", "tree", f"{name}.memory", f"{name}.tree"],
                                 stdout=subprocess.PIPE, check=True).stdout.decode().strip()
checked = restored(OURS, beats, output, roots[beats])
result("first output with checked memory", "", say(checked), f"not checked {say(ours)}", None)
checked = restored(OURS, webs, web, roots[webs])
result("first byte of HTTP with checked memory", "", say(checked), f"not checked {say(page[OURS])}", None)

shutil.copy("stamper", "libexec/swiftlet-vmm")
environment = swiftlet_environment(None)


def swiftlet(*words):
    subprocess.run(["./swiftlet", *words], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


swiftlet("run", "--detach", "--name", "first", "--memory", f"{GUEST_MIB}M", "busybox", "sleep", "100000")
swiftlet("snapshot", "create", "first", "saved")
times = []
for number in range(REPEATS):
    begin = time.time()
    swiftlet("clone", "saved", "--name", f"clone{number}")
    end = time.time()
    times.append(((end - stamp()) * 1000, (end - begin) * 1000))
    swiftlet("rm", "--force", f"clone{number}")
whole = min(times)
result("clone of the command line, monitor's start to the agent's last answer", "",
       f"{whole[0]:.1f} ms, {whole[1]:.1f} with the command line", "", None)
swiftlet("rm", "--force", "first")
