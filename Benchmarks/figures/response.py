"""Requests and responses of a guest and its host, one after the other, for a second.

By the emulated host's own clock: with the deterministic one a guest of either monitor stands still after half a second of
this (Documentation/emulated-host.md).
"""
from traffic import *

finished = compare(
    "request and response of 64 bytes", "/s",
    f"$bb chroot /root sockperf ping-pong -i {TAP_ADDRESS} -p $port --tcp -m 64 -t 1 2>&1 | $bb grep -e Latency -e ERROR",
    # One way of a round trip, in microseconds.
    r"Latency is ([0-9.]+) usec", lambda latency: 1e6 / (2 * latency), repeats=10, patience=60)
sys.exit(not finished)
