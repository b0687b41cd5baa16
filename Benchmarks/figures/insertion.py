"""What a change of a running wire costs, and what appliances in it cost, with namespaces in the place of machines and appliances (each
appliance a bridge of the kernel): beside the same bridges in line without a fabric.

Everything lies in network namespaces that go with this process.
"""
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from monitors import result

FABRIC = os.environ["FABRIC"]
STEPS = int(os.environ.get("STEPS", 20))
PACKETS_PER_SECOND = 8000
SECONDS = float(os.environ.get("SECONDS", 4))
ROUNDS = int(os.environ.get("ROUNDS", 3))
# After a change, before the next.
PAUSE = 0.05
GOAL_MS = 5
FLOW = os.path.join(os.path.dirname(os.path.abspath(__file__)), "numbered_flow.py")
PEER = "bridges alone"

missing = [tool for tool in ("iperf3", "ping", "ip", "nft", "dnsmasq", "unshare", "nsenter") if not shutil.which(tool)]
if missing or os.geteuid():
    sys.exit("bench: insertion takes " + ", ".join(["root"] * (os.geteuid() != 0) + missing))
if "INSERTION_INSIDE" not in os.environ:
    os.environ["INSERTION_INSIDE"] = "yes"
    os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, os.path.abspath(__file__)])

stack = contextlib.ExitStack()
folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-fabric"))


def run(*arguments, **options):
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode:
        sys.exit(f"bench: {' '.join(arguments)}: {done.stderr}{done.stdout}")
    return done.stdout


def started(*arguments, **options):
    process = subprocess.Popen(arguments, **options)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


class Namespace:
    """A network namespace, for as long as this process runs."""

    def __init__(self):
        self.process = started("unshare", "--net", "sleep", "100000")
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.process.pid}/ns/net") == own:
            time.sleep(0.001)
        self.entrance = ["nsenter", "--target", str(self.process.pid), "--net"]
        self.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *arguments):
        return run(*self.entrance, *arguments)

    def bridge(self):
        self.run("ip", "link", "add", "br0", "type", "bridge")
        self.run("ip", "link", "set", "br0", "up")
        for file in ["iptables", "ip6tables", "arptables"]:
            # Only where bridges can be filtered so.
            subprocess.run([*self.entrance, "sysctl", "-qw", f"net.bridge.bridge-nf-call-{file}=0"], stderr=subprocess.DEVNULL)

    def join(self, link):
        self.run("ip", "link", "set", link, "up", "master", "br0")

    def address(self, address, station=None, link="eth0"):
        if station:
            self.run("ip", "link", "set", link, "address", station)
        self.run("ip", "link", "set", link, "up")
        self.run("ip", "address", "add", address, "dev", link)


def pair(one, link, other, other_link):
    one.run("ip", "link", "add", link, "type", "veth", "peer", "name", other_link, "netns", str(other.process.pid))


class Fabric:
    """What `swiftlet-fabric` serves: two machines in a network, and the ends of three appliances."""

    def __init__(self):
        self.ask({"change": self.change([], ports=[])}, starts=True)
        self.sender, self.receiver = Namespace(), Namespace()
        self.appliances = [Namespace() for _ in range(3)]
        self.plug("t1", self.sender, "eth0")
        self.plug("t2", self.receiver, "eth0")
        for number, machine in enumerate([self.sender, self.receiver], 1):
            machine.address(f"10.91.0.{number + 1}/24", f"02:00:00:00:00:{number:02x}")
        for number, appliance in enumerate(self.appliances, 1):
            appliance.bridge()
            for place in range(2):
                self.plug(f"t{number}{place + 1}", appliance, f"eth{place}")
                appliance.join(f"eth{place}")
        self.set([])

    def plug(self, tap, machine, link):
        """Pairs in the place of TAP devices: what the fabric finds it does not make."""
        run("nsenter", f"--net={folder}/netns", "ip", "link", "add", tap, "type", "veth", "peer", "name", link,
            "netns", str(machine.process.pid))

    def ask(self, request, starts=False):
        file = f"{folder}/request"
        with open(file, "w") as text:
            json.dump(request, text)
        if starts:
            run(FABRIC, "start", folder)
        return json.loads(run(FABRIC, "ask", folder, file) or "{}")

    def change(self, line, ports=None, bypassed=()):
        network = {"name": "lan", "number": 1, "prefixes": ["10.91.0.0/24"], "mtu": 1500, "reaches_outside": False,
                   "reachable_networks": [], "private": False, "name_servers": []}

        def end(number):
            return {"number": number, "mac": "02:00:00:00:00:00"}

        def machine(number, line=()):
            return {"number": number, "network": "lan", "mac": f"02:00:00:00:00:{number:02x}",
                    "addresses": [f"10.91.0.{number + 1}"], "names": [f"m{number}"], "line": list(line)}

        appliances = [{"name": f"a{number}", "inside": number * 10 + 1, "outside": number * 10 + 2, "fails_open": True,
                       "bypassed": number in bypassed, "patience_ms": 1000} for number in line]
        if ports is None:
            ports = [end(number) for number in (11, 12, 21, 22, 31, 32)] + [machine(1, appliances), machine(2)]
        return {"networks": [network], "ports": ports, "removed_networks": [], "removed_ports": [], "whole": False}

    def set(self, line, bypassed=()):
        """Seconds that the change takes."""
        begin = time.monotonic()
        self.ask({"change": self.change(line, bypassed=bypassed)})
        return time.monotonic() - begin


def numbered_flow(fabric):
    """Steps of surgery under a steady flow: for each kind its gaps and times, and what became of the packets."""
    with tempfile.NamedTemporaryFile() as received:
        receiver = started(*fabric.receiver.entrance, sys.executable, FLOW, "receive", received.name, stdout=subprocess.PIPE)
        receiver.stdout.readline()
        sender = started(*fabric.sender.entrance, sys.executable, FLOW, "send", "10.91.0.3", str(PACKETS_PER_SECOND),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        steps = []

        def step(name, line, bypassed=()):
            begin = time.time_ns()
            took = fabric.set(line, bypassed) if line is not None else 0
            time.sleep(PAUSE)
            steps.append((name, begin, time.time_ns(), took))

        for _ in range(STEPS):
            step("no change", None)
            step("insert", [1])
            step("no change, one in line", None)
            step("bypass on", [1], [1])
            step("bypass off", [1])
            step("swap", [2])
            step("remove", [])
            # Its ends hand over for a second.
            time.sleep(0.02)
        time.sleep(1.5)
        sent = int(sender.communicate("end")[0])
        receiver.wait()
        # (number, nanoseconds of its arrival by the kernel, nanoseconds under way)
        packets = [tuple(map(int, line.split())) for line in open(received.name)]
    numbers = [number for number, _, _ in packets]
    figures = {}
    for name, begin, end, took in steps:
        arrivals = [arrival for _, arrival, _ in packets if begin <= arrival <= end]
        gap = max(later - earlier for earlier, later in zip(arrivals, arrivals[1:])) / 1e6
        delay = max(way for _, arrival, way in packets if begin <= arrival <= end) / 1e6
        figures.setdefault(name, []).append((gap, delay, took * 1000))
    return figures, sent, sent - len(set(numbers)), len(numbers) - len(set(numbers))


def median(values):
    return sorted(values)[len(values) // 2]


def surgery(fabric):
    figures, sent, lost, doubled = numbered_flow(fabric)
    print(f"\n{sent} packets, {PACKETS_PER_SECOND} a second; {lost} lost, {doubled} doubled")
    for name, values in figures.items():
        gaps, delays, times = zip(*values)
        print(f"{name:24} {len(gaps)} times: gap median {median(gaps):.2f} ms, longest {max(gaps):.2f}; a packet is under way at "
              f"most {max(delays):.2f} ms" + (f"; the change takes {median(times):.1f} ms" if max(times) else ""))
    idle = [gap for name in figures if name.startswith("no change") for gap, _, _ in figures[name]]
    result("surgery: packets lost", "none", f"{lost} of {sent:,}", "", lost == 0)
    for name, values in figures.items():
        if name.startswith("no change"):
            continue
        gaps = [gap for gap, _, _ in values]
        result(f"surgery: longest gap at {name}", f"at most {GOAL_MS} ms", f"{max(gaps):.1f} ms, median {median(gaps):.1f}",
               f"{max(idle):.1f} ms, median {median(idle):.1f} without a change", max(gaps) <= GOAL_MS)


class Plain:
    """The peer: the same bridges in line between a machine and its network's bridge, for each number of them."""

    def __init__(self):
        self.network, self.receiver = Namespace(), Namespace()
        self.network.bridge()
        pair(self.network, "sink", self.receiver, "eth0")
        self.network.join("sink")
        self.senders = []
        for count in range(4):
            sender = Namespace()
            last, link = sender, "eth0"
            for number in range(count):
                appliance = Namespace()
                appliance.bridge()
                pair(last, link, appliance, "inside")
                appliance.join("inside")
                if last is not sender:
                    last.join(link)
                last, link = appliance, "outside"
            pair(last, link, self.network, f"port{count}")
            if last is not sender:
                last.join(link)
            self.network.join(f"port{count}")
            sender.address(f"10.92.{count}.2/24")
            self.receiver.address(f"10.92.{count}.1/24")
            self.senders.append(sender)


def throughput(sender, target):
    """Gbit/s of one connection."""
    answer = json.loads(sender.run("iperf3", "-c", target, "-t", str(SECONDS), "-J"))
    return answer["end"]["sum_received"]["bits_per_second"] / 1e9


def delay(sender, target):
    """Microseconds to and fro, the average of many."""
    said = sender.run("ping", "-q", "-c", "1000", "-i", "0.001", target)
    return float(re.search(r"= [0-9.]+/([0-9.]+)/", said)[1]) * 1000


def in_line(fabric):
    plain = Plain()
    for machine in (fabric.receiver, plain.receiver):
        started(*machine.entrance, "iperf3", "-s", stdout=subprocess.DEVNULL)
    time.sleep(1)
    for count in range(4):
        fabric.set(list(range(1, count + 1)))
        ways = [(fabric.sender, "10.91.0.3"), (plain.senders[count], f"10.92.{count}.1")]
        # By turns, the best of each.
        rates = [max(values) for values in zip(*([throughput(*way) for way in ways] for _ in range(ROUNDS)))]
        delays = [min(values) for values in zip(*([delay(*way) for way in ways] for _ in range(ROUNDS)))]
        print(f"{count} in line: {rates[0]:.1f} Gbit/s, {delays[0]:.0f} us; {PEER} {rates[1]:.1f} Gbit/s, {delays[1]:.0f} us")
        what = f"{count} appliance{'s' if count != 1 else ''} in line"
        result(f"throughput, {what}", "", f"{rates[0]:.1f} Gbit/s", f"{rates[1]:.1f} Gbit/s ({PEER})", None)
        result(f"to and fro, {what}", "", f"{delays[0]:.0f} us", f"{delays[1]:.0f} us ({PEER})", None)


with stack:
    # Its namespace is a mount in the folder, which is to be gone before that.
    stack.callback(subprocess.run, ["umount", "--lazy", f"{folder}/netns"], stderr=subprocess.DEVNULL)
    fabric = Fabric()
    stack.callback(fabric.ask, {"end": {}})
    surgery(fabric)
    in_line(fabric)
