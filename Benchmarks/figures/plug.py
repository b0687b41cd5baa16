"""How long the fabric's engine takes to plug a machine in, with its links, rules, names and wires: one after the other, the first as the
five-hundredth, from the request on its socket to its answer. What is measured is the program that ships.

Everything lies in namespaces that go with this process.
"""
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from monitors import result

FABRIC = os.environ["FABRIC"]
MACHINES = int(os.environ.get("MACHINES", 500))
GOAL_MS = 5
# Of so many each, at the beginning and at the end, the median is told.
SHOWN = 50

missing = [tool for tool in ("nft", "dnsmasq", "unshare") if not shutil.which(tool)]
if missing or os.geteuid():
    sys.exit("bench: plug takes " + ", ".join(["root"] * (os.geteuid() != 0) + missing))
if "PLUG_INSIDE" not in os.environ:
    os.environ["PLUG_INSIDE"] = "yes"
    os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, os.path.abspath(__file__)])


def ask(folder, request):
    """Milliseconds until it is answered."""
    with socket.socket(socket.AF_UNIX) as connection:
        begin = time.monotonic()
        connection.connect(f"{folder}/socket")
        connection.sendall(json.dumps(request).encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        taken = (time.monotonic() - begin) * 1000
    if b'"error"' in answer:
        sys.exit(f"bench: plug: {answer.decode()}")
    return taken


def plugged(number):
    network = {"name": "lan", "number": 1, "prefixes": ["10.9.0.0/16"], "mtu": 1500, "reaches_outside": True,
               "reachable_networks": [], "private": False, "name_servers": []}
    high, low = divmod(number, 250)
    port = {"number": number, "network": "lan", "mac": f"02:00:00:00:{high:02x}:{low:02x}",
            "addresses": [f"10.9.{high + 1}.{low + 1}"], "names": [f"m{number}"]}
    return {"change": {"networks": [network], "ports": [port], "removed_networks": [], "removed_ports": [], "whole": False}}


with tempfile.TemporaryDirectory(prefix="bench-plug") as folder:
    # As /run is: no disk is measured.
    subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run([FABRIC, "start", folder], check=True)
    try:
        begin = os.times()
        times = [ask(folder, plugged(number)) for number in range(1, MACHINES + 1)]
        for name, some in [("first", times[1:SHOWN + 1]), ("last", times[-SHOWN:])]:
            result(f"a machine plugged in by the engine, the {name} {SHOWN} of {MACHINES}", f"<= {GOAL_MS} ms",
                   f"{statistics.median(some):.1f} ms, longest {max(some):.1f}", "", statistics.median(some) <= GOAL_MS)
        within = max((end for end in range(SHOWN, MACHINES + 1)
                      if statistics.median(times[end - SHOWN:end]) <= GOAL_MS), default=0)
        print(f"bench: the median of {SHOWN} is within {GOAL_MS} ms up to machine {within}", file=sys.stderr)
        away = ask(folder, {"change": {"networks": [], "ports": [], "removed_networks": [], "removed_ports": [MACHINES // 2],
                                       "whole": False}})
        print(f"bench: the first of all {times[0]:.1f} ms; one taken away {away:.1f} ms", file=sys.stderr)
    finally:
        ask(folder, {"end": {}})
        while os.path.exists(f"{folder}/netns"):
            time.sleep(0.01)
        subprocess.run(["umount", "--lazy", folder], check=True)
