"""Process start to a guest's first user-space line, and to its first instruction: ours, Firecracker, QEMU microvm."""
import os
import sys

from monitors import *
from first_instruction import INSTRUCTION_MARK, replace_first_instruction, write_tiny_kernel

REPEATS = int(os.environ.get("REPEATS", 5))


def best(arguments, mark):
    times = []
    for _ in range(REPEATS):
        with Run(arguments) as run:
            times.append(run.wait_for(mark))
    return min(times), sorted(times)[len(times) // 2]


def measure(title, mark, rows):
    """Prints a table; returns the least time of each row."""
    print(f"\n{title:52}{'least ms':>10}{'median':>9}{'ratio':>7}")
    base, least = None, {}
    for name, arguments in rows:
        least[name], median = best(arguments, mark)
        base = base or least[name]
        print(f"  {name:50}{least[name]:10.1f}{median:9.1f}{least[name] / base:7.2f}", flush=True)
    return least


def first_line():
    bare = configuration()
    full = configuration(drives=[("disk", False)], tap=True, others=True)
    least = measure("process start to first user-space line", MARK, [
        (OURS, command(OURS, bare, "bare")),
        (FIRECRACKER, command(FIRECRACKER, bare, "bare")),
        (QEMU, qemu_command()),
        (OURS + ", all devices", command(OURS, full, "full")),
        (FIRECRACKER + ", all devices", command(FIRECRACKER, full, "full")),
    ])
    ours, theirs = least[OURS], least[FIRECRACKER]
    result("first user-space line, bare", "not above Firecracker", f"{ours:.1f} ms", f"{theirs:.1f} ms", ours <= theirs)
    ours, theirs = least[OURS + ", all devices"], least[FIRECRACKER + ", all devices"]
    result("first user-space line, all devices", "not above Firecracker", f"{ours:.1f} ms", f"{theirs:.1f} ms",
           ours <= theirs)
    ours, theirs = least[OURS], least[QEMU]
    result("first user-space line, QEMU microvm", "at most 0.6 of QEMU", f"{ours:.1f} ms",
           f"{theirs:.1f} ms (ratio {ours / theirs:.2f})", ours <= 0.6 * theirs)


def reference_kernel(path):
    """The same with another kernel, when one is given."""
    machine = configuration(kernel=path)
    least = measure("the same with the reference kernel", MARK, [
        (OURS, command(OURS, machine, "reference")),
        (FIRECRACKER, command(FIRECRACKER, machine, "reference")),
    ])
    ours, theirs = least[OURS], least[FIRECRACKER]
    result("first user-space line, reference kernel", "not above Firecracker", f"{ours:.1f} ms", f"{theirs:.1f} ms",
           ours <= theirs)


def first_instruction():
    write_tiny_kernel("tiny-kernel")
    replace_first_instruction("kernel", "stopped-kernel")
    for what, file, initrd in [("a kernel of one page", "tiny-kernel", None), ("the whole kernel", "stopped-kernel", "initrd")]:
        machine = configuration(kernel=file, initrd=initrd)
        least = measure(f"process start to first instruction, {what}", INSTRUCTION_MARK, [
            (OURS, command(OURS, machine, file)), (FIRECRACKER, command(FIRECRACKER, machine, file))])
        result(f"first guest instruction, {what}", "at most 3 ms", f"{least[OURS]:.2f} ms",
               f"{least[FIRECRACKER]:.2f} ms", least[OURS] <= 3)


make_tap()
first_line()
if os.path.exists("reference-kernel"):
    reference_kernel("reference-kernel")
first_instruction()
