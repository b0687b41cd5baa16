"""A shared folder with a git repository of many files: ours, QEMU microvm with virtiofsd, and git on the host itself, for
scale; times by the guest's clock. What each program keeps in memory for the files that the guest remembers."""
import os
import subprocess
import time

from monitors import *

FILES = int(os.environ.get("FILES", 50_000))
FILES_IN_A_FOLDER = 100
FOLDERS_IN_A_FOLDER = 20
READ_MIB = 64
NEW_FILES = 2_000
GUEST_MIB = 512
VIRTIOFSD = next(path for path in ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd") if os.path.exists(path))
# For one figure, where processors are emulated and others use them, too.
PATIENCE_SECONDS = 900
# Of each, in turn: the least counts, for with the ordinary clock whoever runs beside is in every figure.
ROUNDS = int(os.environ.get("ROUNDS", 2))
HOST_REPEATS = 4
SHARED, SOCKET, TAG = "shared", "folder.socket", "shared"
READY, KNOWN, DONE = b"READY-TO-WORK", b"FILES-ARE-KNOWN", b"WORK-DONE"
FIRST, AGAIN, LATER = "git status, the first", "git status, right after", "git status, after more than a second"
READ, NEW = f"sequential read of {READ_MIB} MiB", f"creating {NEW_FILES} small files"
# The shell's own words only, where a program would cost more than what is measured. What nothing was measured of yet is
# done once beforehand, in a small tree: programs are read from their disk then.
TIMED = """
timed() {
    name=$1 && shift
    began=$(date +%s%N)
    said=$("$@" 2>&1) || echo "FAILED $name"
    ended=$(date +%s%N)
    [ -z "$said" ] || echo "FAILED $name: $said"
    echo "FIGURE;$name;$((ended - began))"
}
create() {
    number=0
    while [ $number -lt $2 ]; do
        echo $number > $1/$number
        number=$((number + 1))
    done
}
"""
STATUS = "git -C {0} status --porcelain"
JOB = f"""
$bb mount -t virtiofs {TAG} /root/mnt
$bb chroot /root /bin/sh <<'INSIDE'
export HOME=/tmp
cd /mnt
{TIMED}
timed warm {STATUS.format("small")}
mkdir $(cat run)
timed warm create $(cat run) 10
timed warm dd if=little of=/dev/null bs=1M status=none
rm $(cat run)/*
echo {READY.decode()}
sleep 0.5
timed '{FIRST}' {STATUS.format("tree")}
timed '{AGAIN}' {STATUS.format("tree")}
sleep 1.5
timed '{LATER}' {STATUS.format("tree")}
echo {KNOWN.decode()}
sleep 1
timed '{READ}' dd if=big of=/dev/null bs=1M status=none
timed '{NEW}' create $(cat run) {NEW_FILES}
INSIDE
echo {DONE.decode()}
"""
FIGURES = (FIRST, AGAIN, LATER, READ, NEW)


def make_tree(path, count):
    """A repository with all its files committed, in folders of 100, 20 of them in one."""
    subprocess.run(["git", "init", "-q", path], check=True)
    with subprocess.Popen(["git", "-C", path, "fast-import", "--quiet"], stdin=subprocess.PIPE) as process:
        write = process.stdin.write
        write(b"commit refs/heads/main\ncommitter Bench <bench@localhost> 1700000000 +0000\ndata 4\nmade\n")
        for number in range(count):
            folder, file = divmod(number, FILES_IN_A_FOLDER)
            outer, inner = divmod(folder, FOLDERS_IN_A_FOLDER)
            content = b"This is file number %d of the tree.\n" % number * 4
            write(b"M 644 inline part-%02d/set-%02d/file-%03d.txt\ndata %d\n%s\n"
                  % (outer, inner, file, len(content), content))
    if process.returncode:
        sys.exit("bench: git fast-import failed")
    subprocess.run(["git", "-C", path, "symbolic-ref", "HEAD", "refs/heads/main"], check=True)
    subprocess.run(["git", "-C", path, "reset", "-q", "--hard"], check=True)


def make_shared():
    os.mkdir(SHARED)
    os.chdir(SHARED)
    make_tree("small", 30)
    make_tree("tree", FILES)
    for name, mebibytes in (("little", 1), ("big", READ_MIB)):
        with open(name, "wb") as file:
            file.write(os.urandom(1 << 20) * mebibytes)
    os.chdir("..")


def figures(output):
    """Milliseconds of each."""
    if "FAILED" in output:
        sys.exit(f"bench: something failed:\n{output[-2000:]}")
    found = (line.strip().split(";") for line in output.splitlines() if line.startswith("FIGURE;"))
    return {name: int(nanoseconds) / 1e6 for _, name, nanoseconds in found}


def on_the_host():
    """git alone, the least of some times: the programs come from this machine's file system, which takes time that no
    clock of the emulated host counts well."""
    script = TIMED + f"timed '{AGAIN}' {STATUS.format('tree')}\ntimed '{READ}' dd if=big of=/dev/null bs=1M status=none\n" \
        f"mkdir host\ntimed '{NEW}' create host {NEW_FILES}\nrm -r host\n"
    environment = os.environ | {"HOME": os.getcwd()}
    runs = [
        figures(subprocess.run(
            ["sh"], input=script, capture_output=True, text=True, cwd=SHARED, env=environment, check=True).stdout)
        for _ in range(HOST_REPEATS)]
    return {name: min(run[name] for run in runs) for name in runs[0]}


def process_resident(pid):
    """KiB of a process and what it started."""
    total = 0
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            total = int(line.split()[1])
    for child in open(f"/proc/{pid}/task/{pid}/children").read().split():
        total += process_resident(child)
    return total


def measured(run, memory):
    """(milliseconds of each figure, KiB before, KiB with all files remembered)"""
    run.wait_for(READY, PATIENCE_SECONDS)
    before = memory()
    run.wait_for(KNOWN, PATIENCE_SECONDS)
    after = memory()
    run.wait_for(DONE, PATIENCE_SECONDS)
    return figures(run.output.decode(errors="replace")), before, after


def ours():
    machine = configuration(initrd="initrd-job", memory=GUEST_MIB, drives=[TOOLS])
    machine["shared-folders"] = [{"tag": TAG, "path_on_host": SHARED}]
    with Run(command(OURS, machine, "folders")) as run:
        return measured(run, lambda: resident(run.process.pid, GUEST_MIB)[0])


def theirs():
    server = [VIRTIOFSD, f"--socket-path={SOCKET}", "-f", "-o", f"source={os.path.abspath(SHARED)}",
              "-o", "sandbox=chroot"]
    machine = qemu_command(initrd="initrd-job")
    machine[machine.index("-m") + 1] = str(GUEST_MIB)
    # vhost-user knows no devices of before virtio 1.0, as which this machine makes them unless told otherwise.
    machine += ["-object", f"memory-backend-memfd,id=memory,size={GUEST_MIB}M,share=on",
                "-machine", "memory-backend=memory", "-global", "virtio-mmio.force-legacy=false",
                "-drive", f"id=tools,file={TOOLS[0]},format=raw,if=none,readonly=on",
                "-device", "virtio-blk-device,drive=tools", "-chardev", f"socket,id=folder,path={SOCKET}",
                "-device", f"vhost-user-fs-device,chardev=folder,tag={TAG}"]
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
    with Run(server) as folder:
        while not os.path.exists(SOCKET):
            if folder.process.poll() is not None:
                sys.exit(f"bench: virtiofsd ended:\n{folder.process.stdout.read().decode(errors='replace')}")
            time.sleep(0.05)
        with Run(machine) as run:
            return measured(run, lambda: process_resident(folder.process.pid))


def of_all_rounds(measures):
    """By name, the least of each figure, and the least memory before and with all files remembered."""
    found = {name: [] for name in measures}
    for number in range(ROUNDS):
        for name, measure in measures.items():
            # A folder of each run's own, for the files that it makes.
            with open(f"{SHARED}/run", "w") as file:
                file.write(f"{name}-{number}")
            found[name].append(measure())
            print(f"  {name}: {found[name][-1]}", flush=True)
    return {
        name: ({figure: min(run[0][figure] for run in runs) for figure in FIGURES},
               min(after - before for _, before, after in runs))
        for name, runs in found.items()}


initial_files("initrd-job", JOB)
make_shared()
print(f"the tree of {FILES} files is made", flush=True)
host = on_the_host()
print(f"  on the host: {host}", flush=True)
least = of_all_rounds({"ours": ours, "virtiofsd": theirs})
(mine, mine_kib), (peer, peer_kib) = least["ours"], least["virtiofsd"]
for name in FIGURES:
    alone = f" (host alone {host[name]:,.0f})" if name in host else ""
    result(f"folders: {name}" + (f", {FILES} files" if "git" in name else ""), "at most virtiofsd's",
           f"{mine[name]:,.0f} ms", f"{peer[name]:,.0f} ms{alone}", mine[name] <= peer[name])
result(f"folders: memory for {FILES} files that the guest remembers", "at most virtiofsd's", f"{mine_kib:,} KiB",
       f"{peer_kib:,} KiB", mine_kib <= peer_kib)
