"""A steady flow of numbered packets, and when each arrived by the kernel's clock.

Usage: numbered_flow.py send ADDRESS PACKETS-PER-SECOND     until standard input says something; prints how many
       numbered_flow.py receive FILE                        until none comes for a second; a line for each: number, arrival and
                                                            nanoseconds under way; prints when it begins
"""
import os
import select
import socket
import struct
import sys
import time

PORT, BYTES = 7000, 100
# SO_RCVBUFFORCE, SO_TIMESTAMPNS
BUFFER, STAMP = 33, 35


def be_a_clock():
    """Whoever else wants the processor waits: a flow that stands still for want of it says nothing about what it goes through."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError as error:
        print(f"numbered_flow: it waits for the processor as others do: {error}", file=sys.stderr)


def send(address, rate):
    be_a_clock()
    flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flow.connect((address, PORT))
    # Until the machines know each other's addresses.
    for _ in range(20):
        flow.send(b"hello")
        time.sleep(0.02)
    rest = bytes(BYTES - 16)
    begin, number = time.monotonic(), 0
    while not select.select([sys.stdin], [], [], 0.00005)[0]:
        due = int((time.monotonic() - begin) * int(rate))
        while number < due:
            flow.send(struct.pack("<QQ", number, time.time_ns()) + rest)
            number += 1
    print(number)


def receive(file):
    flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flow.setsockopt(socket.SOL_SOCKET, BUFFER, 64 << 20)
    flow.setsockopt(socket.SOL_SOCKET, STAMP, 1)
    flow.bind(("", PORT))
    print("ready", flush=True)
    packets = []
    while True:
        if packets:
            flow.settimeout(1)
        try:
            data, ancillary, _, _ = flow.recvmsg(BYTES, 64)
        except TimeoutError:
            break
        if len(data) == BYTES:
            seconds, nanoseconds = struct.unpack("<qq", ancillary[0][2])
            packets.append((*struct.unpack_from("<QQ", data), seconds * 1_000_000_000 + nanoseconds))
    with open(file, "w") as lines:
        for number, sent, arrival in packets:
            print(number, arrival, arrival - sent, file=lines)


{"send": send, "receive": receive}[sys.argv[1]](*sys.argv[2:])
