"""Many firewalls on one computer, each in 64 MB, with an outside that is everybody's and an inside and a DMZ of its own, all
with the same addresses: that all are healthy and lead out, how long that takes, and how much memory."""
import concurrent.futures
import json
import os
import shutil
import subprocess
import tempfile
import time

from monitors import result

COUNT = int(os.environ.get("FIREWALLS", 50))
# After so many seconds no more are started: those that run are measured.
PATIENCE_SECONDS = int(os.environ.get("PATIENCE", 1800))
# So many start at the same time.
AT_ONCE = int(os.environ.get("AT_ONCE", 1))
MEBIBYTES = 64
swiftlet = os.environ["SWIFTLET"]
appliance = os.environ["APPLIANCE"]


def run(*arguments):
    """What it prints; ends all where it fails."""
    done = subprocess.run([swiftlet, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"swiftlet {' '.join(arguments)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def outside(number):
    return f"10.100.{number // 200}.{number % 200 + 2}"


def prepare(number):
    for network in (f"inside-{number}", f"dmz-{number}"):
        subnet = "192.168.1" if network.startswith("inside") else "192.168.2"
        run("network", "create", "--subnet", f"{subnet}.0/24", "--gateway", f"{subnet}.1", network)
    settings = {"outside": {"address": f"{outside(number)}/16", "gateway": "10.100.0.1"},
                "inside": {"address": "192.168.1.1/24"}, "dmz": {"address": "192.168.2.1/24"}}
    path = os.path.join(home, f"fw-{number}.json")
    with open(path, "w") as file:
        json.dump(settings, file)
    run("settings", "create", f"fw-{number}", "--schema", f"{appliance}/schema.json", "--from", path)


def start(number, until):
    """How long it takes; None where it does not, or it is too late."""
    begin = time.monotonic()
    if begin > until:
        return None
    try:
        start_now(number)
    except RuntimeError as error:
        print(f"  {error}")
        return None
    return time.monotonic() - begin


def start_now(number):
    # Asked below; where KVM is emulated, the usual checks of many would take all of its one processor.
    run("appliance", "run", "-d", "--no-healthcheck", "--name", f"fw-{number}", "--network", f"wan,address={outside(number)}", "--network",
        f"inside-{number},address=192.168.1.1", "--network", f"dmz-{number},address=192.168.2.1", "firewall:1.0")


def healthy(number):
    """Asked by this side, and not by what was last found."""
    until = time.monotonic() + 60
    while True:
        try:
            return run("exec", f"fw-{number}", "/usr/sbin/firewall", "health").strip() == "healthy"
        except RuntimeError as error:
            if time.monotonic() > until:
                print(f"  fw-{number}: {error}")
                return False
            time.sleep(1)


def leads_out(number):
    """Whether a machine behind it, which has the same address as all others behind theirs, is let out by it."""
    try:
        run("run", "--rm", "--memory", "64M", "--network", f"inside-{number},address=192.168.1.20", "busybox", "ping", "-c", "1",
            "-W", "10", "10.100.0.1")
        return True
    except RuntimeError as error:
        print(f"  behind fw-{number}: {error}")
        return False


def free_memory():
    """MiB where the machines are, of the emulated host or of this computer: what could be had, and all."""
    is_emulated = '"running"' in run("host", "status", "--json")
    listing = subprocess.run([swiftlet, "host", "exec", "--", "cat", "/proc/meminfo"] if is_emulated else ["cat", "/proc/meminfo"],
                             env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    fields = {line.split(":")[0]: int(line.split()[1]) for line in listing.splitlines()}
    return fields["MemAvailable"] >> 10, fields["MemTotal"] >> 10


home = tempfile.mkdtemp(dir=os.environ["BENCH_SCRATCH"])
shared = os.environ["SWIFTLET_HOME"]
for part in ("images", "kernels", "host", "cache"):
    os.symlink(os.path.join(shared, part), os.path.join(home, part))
environment = os.environ | {"SWIFTLET_HOME": home}
try:
    run("run", "--rm", "busybox", "true")
    run("appliance", "build", "--description", f"{appliance}/description.json", "--schema", f"{appliance}/schema.json",
        f"{appliance}/root.tar")
    run("network", "create", "--subnet", "10.100.0.0/16", "--private", "wan")
    for number in range(COUNT):
        prepare(number)
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        times = list(pool.map(lambda number: start(number, begin + PATIENCE_SECONDS), range(COUNT)))
    started = [number for number in range(COUNT) if times[number] is not None]
    if not started:
        raise SystemExit("none was started")
    took = sorted(times[number] for number in started)[len(started) // 2]
    well = [number for number in started if healthy(number)]
    elapsed = time.monotonic() - begin
    available, total = free_memory()
    machines = json.loads(run("inspect", *[f"fw-{number}" for number in started]))
    memory = [{name: value / (1 << 20) for name, value in machine["memory"].items()} for machine in machines]
    resident, own, used = (sorted(one[name] for one in memory)[len(memory) // 2] for name in ("residentBytes", "monitorBytes", "usedBytes"))
    asked = {started[0], started[-1]}
    out = [number for number in asked if leads_out(number)]
    print(f"\n{len(well)} of {COUNT} firewalls healthy within {elapsed:.0f} s, {len(started)} started, within {took:.1f} s each "
          f"(median), {AT_ONCE} at once")
    print(f"  of one (median): {resident:.1f} MiB of its {MEBIBYTES} are in memory, {used:.1f} in use by its own word; its monitor takes "
          f"{own:.2f} MiB besides")
    print(f"  with all of them {available} of {total} MiB are available where they run")
    print(f"  let out: {len(out)} of {len(asked)} machines with the same address behind different ones")
    result(f"{COUNT} firewalls on one computer, {MEBIBYTES} MB each, with networks of the same addresses", "all healthy",
           f"{len(well)} healthy within {elapsed:.0f} s; {resident + own:.1f} MiB each", "",
           len(well) == COUNT and len(out) == len(asked))
finally:
    names = [f"fw-{number}" for number in range(COUNT)]
    subprocess.run([swiftlet, "rm", "--force", *names], env=environment, capture_output=True, check=False)
    left = json.loads(run("ps", "--all", "--json"))
    shutil.rmtree(home)
    if left:
        raise SystemExit(f"{len(left)} machines are left")
