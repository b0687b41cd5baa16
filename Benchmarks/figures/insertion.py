"""What a change of a running wire costs, and what appliances in it cost, with namespaces in the place of machines and appliances (bridges
of the kernel, and between two networks routers): beside the same bridges in line without a fabric.

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
# How long appliances that hang are waited for, and what may be held up then in all.
PATIENCE_MS, HELD_UP_MS = 150, 200
HANGS = int(os.environ.get("HANGS", 5))
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


def network(name, number, prefix, reachable=()):
    return {"name": name, "number": number, "prefixes": [prefix], "mtu": 1500, "reaches_outside": False,
            "reachable_networks": list(reachable), "private": False, "name_servers": []}


def end(number):
    return {"number": number, "mac": "02:00:00:00:00:00"}


def station(number):
    return f"02:00:00:00:00:{number:02x}"


class Fabric:
    """What `swiftlet-fabric` serves: two machines in a network, and the ends of three bridges that come before the first one."""

    name = "surgery"
    patience_ms = 1000
    networks = [network("lan", 1, "10.91.0.0/24")]
    # (network, address) of who sends, and of who receives.
    machines = [("lan", "10.91.0.2"), ("lan", "10.91.0.3")]

    def __init__(self):
        self.folder = tempfile.mkdtemp(dir=folder)
        self.ask({"change": self.change([], ports=[])}, starts=True)
        # Its namespace is a mount in the folder, which is to be gone before that.
        stack.callback(subprocess.run, ["umount", "--lazy", f"{self.folder}/netns"], stderr=subprocess.DEVNULL)
        stack.callback(self.ask, {"end": {}})
        self.sender, self.receiver = Namespace(), Namespace()
        self.target = self.machines[1][1]
        self.appliances = [Namespace() for _ in range(3)]
        for number, machine in enumerate([self.sender, self.receiver], 1):
            self.plug(f"t{number}", machine, "eth0")
            machine.address(f"{self.machines[number - 1][1]}/24", station(number))
        for number, appliance in enumerate(self.appliances, 1):
            for place in range(2):
                self.plug(f"t{number}{place + 1}", appliance, f"eth{place}")
            self.prepare(number, appliance)
        self.set([])

    def prepare(self, number, appliance):
        appliance.bridge()
        for link in ("eth0", "eth1"):
            appliance.join(link)

    def plug(self, tap, machine, link):
        """Pairs in the place of TAP devices: what the fabric finds it does not make."""
        run("nsenter", f"--net={self.folder}/netns", "ip", "link", "add", tap, "type", "veth", "peer", "name", link,
            "netns", str(machine.process.pid))

    def ask(self, request, starts=False):
        file = f"{self.folder}/request"
        with open(file, "w") as text:
            json.dump(request, text)
        if starts:
            run(FABRIC, "start", self.folder)
        return json.loads(run(FABRIC, "ask", self.folder, file) or "{}")

    def machine(self, number, line=()):
        name, address = self.machines[number - 1]
        return {"number": number, "network": name, "mac": station(number), "addresses": [address], "names": [f"m{number}"],
                "line": list(line)}

    def ports(self, line):
        return [self.machine(1, line), self.machine(2)]

    def inline(self, number, is_bypassed):
        return {"name": f"a{number}", "inside": number * 10 + 1, "outside": number * 10 + 2, "fails_open": True,
                "bypassed": is_bypassed, "patience_ms": self.patience_ms}

    def change(self, line, ports=None, bypassed=()):
        if ports is None:
            ports = [end(number) for number in (11, 12, 21, 22, 31, 32)]
            ports += self.ports([self.inline(number, number in bypassed) for number in line])
        return {"networks": self.networks, "ports": ports, "removed_networks": [], "removed_ports": [], "whole": False}

    def carried(self):
        """What each appliance has sent by its outer end, the way that the flow goes, in packets."""
        links = [json.loads(appliance.run("ip", "-json", "-stats", "link", "show", "eth1")) for appliance in self.appliances]
        return [link[0]["stats64"]["tx"]["packets"] for link in links]

    def set(self, line, bypassed=()):
        """Seconds that the change takes."""
        begin = time.monotonic()
        self.ask({"change": self.change(line, bypassed=bypassed)})
        return time.monotonic() - begin

    def await_first(self, is_failing):
        """Until the engine has noticed it of the only appliance."""
        end = time.monotonic() + 60
        while self.ask({"report": {}})["appliances"][0]["is_failing"] != is_failing:
            if time.monotonic() > end:
                sys.exit(f"bench: an appliance is not told to be {'failing' if is_failing else 'well'} within a minute")
            time.sleep(0.01)


class FabricBetween(Fabric):
    """Two networks with a machine each, and three routers that come between them."""

    name = "between networks, routers"
    networks = [network("inner", 1, "10.91.1.0/24", reachable=["outer"]), network("outer", 2, "10.91.2.0/24")]
    machines = [("inner", "10.91.1.2"), ("outer", "10.91.2.2")]

    def __init__(self):
        super().__init__()
        for machine, gateway in ((self.sender, "10.91.1.1"), (self.receiver, "10.91.2.1")):
            machine.run("ip", "route", "add", "default", "via", gateway)

    def prepare(self, number, appliance):
        for place, (hop, subnet) in enumerate([("169.254.83", "10.91.1.0/24"), ("169.254.84", "10.91.2.0/24")]):
            appliance.address(f"{hop}.2/24", station(number * 10 + place + 1), f"eth{place}")
            appliance.run("ip", "route", "add", subnet, "via", f"{hop}.1")
        appliance.run("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def ports(self, line):
        wire = {"number": 7, "network": "outer", "joined": "inner", "mac": "02:53:77:01:00:07", "addresses": [], "names": [],
                "line": line}
        return [self.machine(1), self.machine(2), wire]

    def inline(self, number, is_bypassed):
        stations = {"inside": station(number * 10 + 1), "outside": station(number * 10 + 2)}
        return super().inline(number, is_bypassed) | {"routing": stations}


def numbered_flow(fabric, steps_of):
    """Steps under a steady flow, as `steps_of` does them with what notes each: for each kind its gaps and times, and what became of the
    packets."""
    with tempfile.NamedTemporaryFile() as received:
        receiver = started(*fabric.receiver.entrance, sys.executable, FLOW, "receive", received.name, stdout=subprocess.PIPE)
        receiver.stdout.readline()
        sender = started(*fabric.sender.entrance, sys.executable, FLOW, "send", fabric.target, str(PACKETS_PER_SECOND),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        steps = []

        def step(name, change=lambda: 0):
            begin = time.time_ns()
            took = change()
            time.sleep(PAUSE)
            steps.append((name, begin, time.time_ns(), took))

        steps_of(step)
        # The last one's ends hand over for a second.
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
    def steps(step):
        for _ in range(STEPS):
            step("no change")
            step("insert", lambda: fabric.set([1]))
            step("no change, one in line")
            step("bypass on", lambda: fabric.set([1], [1]))
            step("bypass off", lambda: fabric.set([1]))
            step("insert a second", lambda: fabric.set([1, 3]))
            step("remove the second", lambda: fabric.set([1]))
            step("swap", lambda: fabric.set([2]))
            step("remove", lambda: fabric.set([]))
            time.sleep(0.02)

    figures, sent, lost, doubled = numbered_flow(fabric, steps)
    print(f"\n{fabric.name}: {sent} packets, {PACKETS_PER_SECOND} a second; {lost} lost, {doubled} doubled")
    for name, values in figures.items():
        gaps, delays, times = zip(*values)
        print(f"{name:24} {len(gaps)} times: gap median {median(gaps):.2f} ms, longest {max(gaps):.2f}; a packet is under way at "
              f"most {max(delays):.2f} ms" + (f"; the change takes {median(times):.1f} ms" if max(times) else ""))
    idle = [gap for name in figures if name.startswith("no change") for gap, _, _ in figures[name]]
    used = fabric.carried()[:2]
    print(f"{used[0]} and {used[1]} packets went through the two that came and went")
    is_used = min(used) > STEPS * PACKETS_PER_SECOND * PAUSE
    result(f"{fabric.name}: packets lost", "none", f"{lost} of {sent:,}", "", lost == 0 and is_used)
    for name, values in figures.items():
        if name.startswith("no change"):
            continue
        gaps = [gap for gap, _, _ in values]
        result(f"{fabric.name}: longest gap at {name}", f"at most {GOAL_MS} ms", f"{max(gaps):.1f} ms, median {median(gaps):.1f}",
               f"{max(idle):.1f} ms, median {median(idle):.1f} without a change", max(gaps) <= GOAL_MS)


def hanging(fabric):
    """An appliance that lets nothing through any more, and must not stop what comes."""
    appliance = fabric.appliances[0]

    def hang():
        appliance.run("ip", "link", "set", "br0", "down")
        fabric.await_first(is_failing=True)
        # What is held up for longer than it may be is to be seen whole.
        time.sleep(1)
        return 0

    def steps(step):
        fabric.patience_ms = PATIENCE_MS
        fabric.set([1])
        time.sleep(0.2)
        for _ in range(HANGS):
            step("hang", hang)
            appliance.run("ip", "link", "set", "br0", "up")
            fabric.await_first(is_failing=False)
            time.sleep(0.2)
        fabric.set([])

    gaps = [gap for gap, _, _ in numbered_flow(fabric, steps)[0]["hang"]]
    print(f"an appliance hangs {HANGS} times, patience {PATIENCE_MS} ms: traffic is held up for {median(gaps):.0f} ms at the median, "
          f"{max(gaps):.0f} at most")
    result("surgery: held up by an appliance that hangs", f"at most {HELD_UP_MS} ms", f"{max(gaps):.0f} ms, median {median(gaps):.0f}",
           "", max(gaps) <= HELD_UP_MS)


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
        ways = [(fabric.sender, fabric.target), (plain.senders[count], f"10.92.{count}.1")]
        # By turns, the best of each.
        rates = [max(values) for values in zip(*([throughput(*way) for way in ways] for _ in range(ROUNDS)))]
        delays = [min(values) for values in zip(*([delay(*way) for way in ways] for _ in range(ROUNDS)))]
        print(f"{count} in line: {rates[0]:.1f} Gbit/s, {delays[0]:.0f} us; {PEER} {rates[1]:.1f} Gbit/s, {delays[1]:.0f} us")
        what = f"{count} appliance{'s' if count != 1 else ''} in line"
        result(f"throughput, {what}", "", f"{rates[0]:.1f} Gbit/s", f"{rates[1]:.1f} Gbit/s ({PEER})", None)
        result(f"to and fro, {what}", "", f"{delays[0]:.0f} us", f"{delays[1]:.0f} us ({PEER})", None)


with stack:
    fabric = Fabric()
    surgery(fabric)
    hanging(fabric)
    in_line(fabric)
    surgery(FabricBetween())
