"""What `swiftlet run` does on this machine before the monitor is started, by the machine's own clock."""
import os

from monitors import *

REPEATS = 30
GOAL_MS = 10


def before_the_monitor():
    """Milliseconds from the start of the command line until a stand-in for the monitor (a shell) notes the time."""
    with Run(["./swiftlet", "run", "--rm", "busybox", "true"], swiftlet_environment("native")) as run:
        run.process.wait(timeout=60)
        return (stamp() - run.start) * 1000


replace_monitors()
times = sorted(before_the_monitor() for _ in range(REPEATS))
print(f"\n`swiftlet run` before the monitor: least {times[0]:.1f} ms, median {times[len(times) // 2]:.1f} of {len(times)} runs")
result("swiftlet run before the monitor, native", f"at most {GOAL_MS} ms", f"{times[0]:.1f} ms", "", times[0] <= GOAL_MS)
