#!/usr/bin/env python3
"""What `snapshot check` has left of the host when it has read files that may hold anything: looked at in the instant in which it ends.
Usage: jail-check.py MONITOR STATE MEMORY"""
import ctypes, os, re, sys
monitor, state, memory = sys.argv[1:4]
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
TRACEME, CONTINUE, SETOPTIONS, TRACE_EXIT, EXITING = 0, 7, 0x4200, 0x40, 5 | 6 << 8

pid = os.fork()
if pid == 0:
    libc.ptrace(TRACEME, 0, None, None)
    os.execv(monitor, [monitor, "snapshot", "check", state, memory])
os.waitpid(pid, 0)
libc.ptrace(SETOPTIONS, pid, None, TRACE_EXIT)
while True:
    libc.ptrace(CONTINUE, pid, None, None)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSTOPPED(status): sys.exit("it ended unseen")
    if status >> 8 == EXITING: break
with open(f"/proc/{pid}/status") as file: said = file.read()
words = [re.search(rf"^{name}:\s*(\w+)", said, re.M)[1].lstrip("0") or "0" for name in ("CapEff", "CapPrm", "NoNewPrivs")]
print(f"capabilities {words[0]} {words[1]}, no new privileges {words[2]}, files {os.listdir(f'/proc/{pid}/root')}")
libc.ptrace(CONTINUE, pid, None, None)
os.waitpid(pid, 0)
