"""From a layer to a disk, and from a registry to a disk, beside skopeo, umoci and mkfs.erofs, on this machine."""
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from monitors import result

SWIFTLET = os.environ["SWIFTLET"]
TAR = os.environ["IMAGE_TAR"]
REPEATS = 3


def run(*command, environment=None):
    """Wall seconds and processor seconds of a command, and the most memory it had, in MiB."""
    start = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, error = process.communicate()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed: {error.decode(errors='replace')[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - start, used


def least(measure):
    """The least of each of several measures, over some runs."""
    return [min(values) for values in zip(*(measure() for _ in range(REPEATS)))]


class Registry:
    """Debian's registry on loopback, with its storage in a folder."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        with open(f"{folder}/registry.yml", "w") as file:
            file.write(
                f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
                f'http: {{addr: "{self.address}"}}\n')
        self.process = subprocess.Popen(
            ["docker-registry", "serve", f"{folder}/registry.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        sys.exit("the registry does not start")

    def end(self):
        self.process.terminate()
        self.process.wait()


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    return path


def ours(folder, *command):
    return run(SWIFTLET, *command, environment={"SWIFTLET_HOME": fresh(f"{folder}/home")})


def unpack_and_write(folder, layout):
    """What others do: unpack the layers, then write the file system."""
    wall, used = run("umoci", "unpack", "--image", f"{layout}:image", fresh(f"{folder}/bundle"))
    disk = f"{folder}/disk"
    if os.path.exists(disk):
        os.remove(disk)
    more_wall, more_used = run("mkfs.erofs", "-zlz4hc", disk, f"{folder}/bundle/rootfs")
    return wall + more_wall, used + more_used


def peak_memory(folder, *command):
    """The most memory that one command has, in MiB."""
    program = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, " \
        "stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    return float(subprocess.run(
        [sys.executable, "-c", program, SWIFTLET, *command], check=True, stdout=subprocess.PIPE,
        env={**os.environ, "SWIFTLET_HOME": fresh(f"{folder}/home")}).stdout)


def noise_layout(folder, mebibytes):
    """A layout of one layer with files of noise, 16 MiB each."""
    os.makedirs(fresh(f"{folder}/noise"))
    for number in range(mebibytes // 16):
        with open(f"{folder}/noise/{number}", "wb") as file:
            file.write(os.urandom(16 << 20))
    layout = fresh(f"{folder}/noise-{mebibytes}")
    run("tar", "-C", f"{folder}/noise", "-cf", f"{folder}/noise.tar", ".")
    make_layout(layout, f"{folder}/noise.tar")
    return layout


def make_layout(layout, tar):
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:image")
    run("umoci", "raw", "add-layer", "--image", f"{layout}:image", tar)


def measure(folder):
    layout = f"{folder}/layout"
    make_layout(layout, TAR)

    wall, used = least(lambda: ours(folder, "image", "import", "bench", layout))
    image = json.loads(subprocess.run(
        [SWIFTLET, "image", "inspect", "bench"], check=True, stdout=subprocess.PIPE,
        env={**os.environ, "SWIFTLET_HOME": f"{folder}/home"}).stdout)[0]
    peer_wall, peer_used = least(lambda: unpack_and_write(folder, layout))
    result("layer to disk, processor time", "at most umoci unpack and mkfs.erofs -zlz4hc", f"{used:.2f} s",
           f"{peer_used:.2f} s", used <= peer_used)
    result("layer to disk, elapsed", "the same", f"{wall:.2f} s", f"{peer_wall:.2f} s", wall <= peer_wall)
    size = os.path.getsize(f"{folder}/disk")
    result("size of the disk, hash tree included", "at most mkfs.erofs -zlz4hc", f"{image['sizeBytes'] / 1e6:.1f} MB",
           f"{size / 1e6:.1f} MB", image["sizeBytes"] <= size)

    registry = Registry(folder)
    try:
        source = f"{registry.address}/bench:1"
        run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{layout}:image", f"docker://{source}")
        wall, _ = least(lambda: ours(folder, "pull", source))

        def skopeo():
            return run("skopeo", "copy", "--src-tls-verify=false", f"docker://{source}", f"oci:{fresh(folder + '/copy')}:image")

        copied, _ = least(skopeo)
    finally:
        registry.end()
    result("pull to runnable, elapsed", "at most 1.2 of skopeo, umoci and mkfs.erofs", f"{wall:.2f} s",
           f"{copied + peer_wall:.2f} s", wall <= 1.2 * (copied + peer_wall))
    result("the same beside skopeo's copy alone, which can not be run", "at most 1.2 of it", f"{wall:.2f} s", f"{copied:.2f} s",
           wall <= 1.2 * copied)

    small, large = (peak_memory(folder, "image", "import", "noise", noise_layout(folder, size)) for size in (16, 512))
    result("memory of an import, a layer of 512 MiB beside one of 16 MiB", "at most 1.5 of it", f"{large:.0f} MiB", f"{small:.0f} MiB",
           large <= 1.5 * small)


with tempfile.TemporaryDirectory(dir=os.environ["BENCH_SCRATCH"]) as scratch:
    measure(scratch)
