#!/usr/bin/env python3
"""Runs hostile guests one after the other beside a peaceful one, and watches what their monitors use.
Usage: hostile.py MONITOR FOLDER SECONDS"""
import json, os, pathlib, random, signal, subprocess, sys, threading, time
monitor, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
source = pathlib.Path(__file__).resolve().parent / "hostile-guest.c"
os.makedirs(folder + "/shared", exist_ok=True)
os.chdir(folder)
# What a monitor may use of its own, whatever its guest does.
anonymous_kib, descriptors = 2048, 400


def build(name, *options):
    subprocess.run(
        ["gcc", "-O2", "-ffreestanding", "-nostdlib", "-static", "-mno-red-zone", "-mgeneral-regs-only", "-fno-pic", "-no-pie",
         "-fno-stack-protector", "-fcf-protection=none", "-DWINDOWS_START=0xd0000000", "-Wl,-Ttext=0x100000",
         "-Wl,--build-id=none", "-Wl,-N", "-w", *options, "-o", name, source], check=True,
        stderr=subprocess.DEVNULL)


class Machine:
    def __init__(self, name, kernel, devices):
        self.name, self.said = name, 0
        machine = {"boot-source": {"kernel_image_path": kernel}, "machine-config": {"vcpu_count": 1, "mem_size_mib": 32}}
        if devices:
            for disk in ("plain", "ring"):
                with open(disk, "wb") as file: file.truncate(4 << 20)
            if os.path.exists("vsock"): os.unlink("vsock")
            machine |= {
                "drives": [{"drive_id": disk, "path_on_host": disk, "is_root_device": False, "io_engine": engine}
                           for disk, engine in (("plain", "Sync"), ("ring", "Async"))],
                "shared-folders": [{"tag": "f", "path_on_host": "shared"}], "vsock": {"guest_cid": 3, "uds_path": "vsock"},
                "entropy": {}, "balloon": {"amount_mib": 1, "deflate_on_oom": True, "stats_polling_interval_s": 1}}
            if os.geteuid() == 0 and os.path.exists("/dev/net/tun"):
                machine["network-interfaces"] = [{"iface_id": "n", "host_dev_name": f"swlh{os.getpid() % 100000}"}]
        with open(name + ".json", "w") as file: json.dump(machine, file)
        self.log = open(name + ".log", "w+")
        self.process = subprocess.Popen([monitor, "--config-file", name + ".json", "--no-api"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.log)
        self.pid = self.process.pid
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while piece := os.read(self.process.stdout.fileno(), 65536): self.said += len(piece)

    def usage(self):
        """Memory of its own in KiB, descriptors, threads, seconds of processors."""
        status = dict(line.split(":", 1) for line in open(f"/proc/{self.pid}/status"))
        times = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(status["RssAnon"].split()[0]), len(os.listdir(f"/proc/{self.pid}/fd")), int(status["Threads"]),
                (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try: return self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return f"hangs at its end, {self.process.wait()}"


def pace(machine, seconds):
    before = machine.said
    time.sleep(seconds)
    return (machine.said - before) / seconds


build("peaceful", "-DPEACEFUL")
neighbour = Machine("neighbour", "peaceful", False)
time.sleep(0.5)
alone = pace(neighbour, 1.5)
wrong, most, guests, processor, talk, spent = [], (0, 0, 0), 0, 0.0, 0, 0.0
begin, said_before = time.monotonic(), neighbour.said
# On a busy machine the first may need longer to say anything.
while (time.monotonic() - begin < seconds or not talk and time.monotonic() - begin < 300) and not wrong:
    seed = random.getrandbits(32)
    build("hostile", f"-DSEED={seed}u")
    machine = Machine("hostile", "hostile", True)
    guests += 1
    until = max(time.monotonic() + 4, min(begin + seconds, time.monotonic() + seconds / 6))
    try:
        while time.monotonic() < until and machine.process.poll() is None:
            time.sleep(0.05)
            *used, spent = machine.usage()
            most = tuple(map(max, most, used))
    except (FileNotFoundError, ProcessLookupError, KeyError): pass
    processor += spent
    talk += machine.said
    status = machine.process.poll()
    if status is None: status = machine.end()
    # Ended by us, halted, broken: those are a guest's own affairs. Everything else is ours.
    if status not in (0, 2, 3, 4):
        machine.log.seek(0)
        wrong.append(f"seed {seed}: the monitor ended with {status}: {machine.log.read()[-400:]}")
    if most[0] > anonymous_kib: wrong.append(f"seed {seed}: {most[0]} KiB of memory")
    if most[1] > descriptors: wrong.append(f"seed {seed}: {most[1]} descriptors")
beside = (neighbour.said - said_before) / (time.monotonic() - begin)
if not talk: wrong.append("no hostile guest began")
if beside < alone / 20: wrong.append(f"the neighbour came on at {beside:.0f}/s, {alone:.0f}/s alone")
ended = neighbour.end()
if ended != 0: wrong.append(f"the neighbour ended with {ended}")
for line in wrong: print(line)
print(f"{guests} guests: at most {most[0]} KiB, {most[1]} descriptors, {most[2]} threads, {processor:.1f} s of processors; "
      f"the neighbour at {100 * beside / max(alone, 1):.0f} % of its pace; {len(wrong)} wrong")
