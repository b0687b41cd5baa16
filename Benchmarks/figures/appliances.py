"""Start of the appliances that ship, until they are healthy, beside the first output of a plain run; and what they take of
their memory. Each of their interfaces is a TAP device with nobody at its other end."""
import json
import os
import shutil
import subprocess
import time

from monitors import *

REPEATS = int(os.environ.get("REPEATS", 3))
# As many times as long as a plain run to its first output.
GOAL = 2
APPLIANCES = {
    "firewall": (3, {"outside": {"address": "192.0.2.5/24", "gateway": "192.0.2.1"}, "inside": {"address": "10.0.1.1/24"},
                     "dmz": {"address": "10.0.2.1/24"}}),
    "sniffer": (2, {"stream": {"address": "10.9.1.2/24"}}),
}
environment = swiftlet_environment(None)


def swiftlet(*arguments):
    run = subprocess.run(["./swiftlet", *arguments], env=environment, capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"swiftlet {' '.join(arguments)}: status {run.returncode}: {run.stderr}")
    return run.stdout


def first_output():
    begin = time.monotonic()
    with subprocess.Popen(["./swiftlet", "run", "--rm", "--memory", "64M", "busybox", "echo", MARK.decode()], env=environment,
                          stdout=subprocess.PIPE) as run:
        assert MARK in run.stdout.readline()
        return time.monotonic() - begin


def healthy(name, interfaces):
    """Seconds until the appliance is healthy, and its memory."""
    begin = time.monotonic()
    swiftlet("appliance", "run", "-d", "--name", name, *["--network", "tap,address=none"] * interfaces, f"{name}:1.0")
    swiftlet("wait", "--healthy", "--timeout", "60s", name)
    took = time.monotonic() - begin
    memory = json.loads(swiftlet("inspect", name))[0]["memory"]
    swiftlet("rm", "--force", name)
    return took, memory


shutil.copy("swiftlet-vmm", "libexec/swiftlet-vmm")
first_output()
plain = min(first_output() for _ in range(REPEATS))
print(f"\nplain run to its first output: least {plain * 1000:.0f} ms, the command line included")
for name, (interfaces, settings) in APPLIANCES.items():
    with open(f"{name}.json", "w") as file:
        json.dump(settings, file)
    swiftlet("settings", "create", name, "--schema", f"appliances/{name}/schema.json", "--from", f"{name}.json")
    runs = [healthy(name, interfaces) for _ in range(REPEATS)]
    took, memory = min(runs, key=lambda run: run[0])
    print(f"{name}: to healthy least {took * 1000:.0f} ms; memory {memory}")
    result(f"{name}, start to healthy", f"at most {GOAL} plain runs", f"{took / plain:.2f} ({took * 1000:.0f} ms)",
           f"{plain * 1000:.0f} ms", took <= GOAL * plain)
    used = memory["usedBytes"] / (1 << 20)
    result(f"{name}, in use of 64 MiB", "at most 64 MiB", f"{used:.1f} MiB", "", memory["givenBytes"] <= 64 << 20)
