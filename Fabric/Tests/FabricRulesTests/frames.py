"""Sends frames into two ports of a bridge with a fabric's rules, and looks at which come out of a third and which are
counted.

Usage: unshare -n python3 frames.py RULES. Port q1 belongs to 02:00:00:00:00:11 with 10.190.1.5, 10.190.1.6, fd00:1::5
and fd00:1::6; q2 to 02:00:00:00:00:22 without an address. q4 leads out of its network, 02:00:00:00:00:44 with 10.190.1.1
and fd00:1::1; q5, 02:00:00:00:00:55 with 10.190.1.5 and fd00:1::1, for IPv6 alone.
"""
import ipaddress
import json
import select
import socket
import struct
import subprocess
import sys
import time

OWN, BARE, OTHER, LEADER, HALF = (bytes([2, 0, 0, 0, 0, last]) for last in (0x11, 0x22, 0x33, 0x44, 0x55))
STATIONS = {1: OWN, 2: BARE, 4: LEADER, 5: HALF}
ALL = b"\xff" * 6


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def checksum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(kind, payload, source=OWN, tags=()):
    head = ALL + source
    for tag in tags:
        head += struct.pack("!HH", *tag)
    return head + struct.pack("!H", kind) + payload


def ipv4(source, payload, protocol=17):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0,
                       ipaddress.ip_address(source).packed, b"\xff" * 4)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(source, target):
    return struct.pack("!HHHH", source, target, 12, 0) + b"data"


def ipv6(source, payload, protocol=17):
    head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 255)
    return head + ipaddress.ip_address(source).packed + ipaddress.ip_address("ff02::1").packed + payload


def icmp6(kind, rest):
    return struct.pack("!BBH", kind, 0, 0) + rest


def advertisement(target, kind=136):
    return icmp6(kind, struct.pack("!I", 0x20000000) + ipaddress.ip_address(target).packed)


def arp(operation, station, address):
    return struct.pack("!HHBBH", 1, 0x800, 6, 4, operation) + station + ipaddress.ip_address(address).packed \
        + b"\0" * 6 + ipaddress.ip_address("10.190.1.9").packed


MAC, ARP, DHCP = "another machine's hardware address", "an ARP answer for others", "a DHCP server's answer"
ROUTER, ADDRESS, NEIGHBOUR = "a router's announcement", "another machine's address", "an announcement for others"
LINK, CLAIM = "another machine's address of the link", "a claim on an address of others"
TAG = "a frame with a tag"
# What the two machines and the gateway make of their hardware addresses, and one that a machine has drawn.
LINK_OWN, LINK_BARE, LINK_GATEWAY = "fe80::ff:fe00:11", "fe80::ff:fe00:22", "fe80::53:77ff:fe00:1"
LINK_DRAWN = "fe80::8d3a:12ff:cd1e:7701"
IP4, IP6, ARPS = 0x800, 0x86DD, 0x806
ZERO = (0x8100, 0)
NAMED = [
    # What is sent, by port q1 or q2, as what frame, and why it is dropped; None: it passes.
    ("another station", 1, ethernet(IP4, ipv4("10.190.1.5", udp(5, 6)), OTHER), MAC),
    ("the neighbour's station", 1, ethernet(ARPS, arp(1, BARE, "10.190.1.5"), BARE), MAC),
    ("own IPv4", 1, ethernet(IP4, ipv4("10.190.1.5", udp(5, 6))), None),
    ("own second IPv4", 1, ethernet(IP4, ipv4("10.190.1.6", udp(5, 6))), None),
    ("another IPv4", 1, ethernet(IP4, ipv4("10.190.1.7", udp(5, 6))), ADDRESS),
    ("the gateway's IPv4", 1, ethernet(IP4, ipv4("10.190.1.1", b"data", 1)), ADDRESS),
    ("no IPv4 yet", 1, ethernet(IP4, ipv4("0.0.0.0", udp(5, 6))), ADDRESS),
    ("own ARP answer", 1, ethernet(ARPS, arp(2, OWN, "10.190.1.5")), None),
    ("own ARP question", 1, ethernet(ARPS, arp(1, OWN, "10.190.1.6")), None),
    ("ARP probe", 1, ethernet(ARPS, arp(1, OWN, "0.0.0.0")), None),
    ("ARP answer for another address", 1, ethernet(ARPS, arp(2, OWN, "10.190.1.1")), ARP),
    ("ARP question with another address", 1, ethernet(ARPS, arp(1, OWN, "10.190.1.1")), ARP),
    ("ARP answer with another station", 1, ethernet(ARPS, arp(2, OTHER, "10.190.1.5")), ARP),
    ("DHCP question without an address", 1, ethernet(IP4, ipv4("0.0.0.0", udp(68, 67))), None),
    ("DHCP question with the address", 1, ethernet(IP4, ipv4("10.190.1.5", udp(68, 67))), None),
    ("DHCP answer", 1, ethernet(IP4, ipv4("10.190.1.5", udp(67, 68))), DHCP),
    ("DHCPv6 question", 1, ethernet(IP6, ipv6("fe80::11", udp(546, 547))), None),
    ("DHCPv6 answer", 1, ethernet(IP6, ipv6("fe80::11", udp(547, 546))), DHCP),
    ("own IPv6", 1, ethernet(IP6, ipv6("fd00:1::6", udp(5, 6))), None),
    ("IPv6 of the link", 1, ethernet(IP6, ipv6("fe80::11", udp(5, 6))), None),
    ("IPv6 question whether it is taken", 1, ethernet(IP6, ipv6("::", advertisement("fd00:1::5", 135), 58)), None),
    ("another IPv6", 1, ethernet(IP6, ipv6("fd00:1::7", udp(5, 6))), ADDRESS),
    ("router advertisement", 1, ethernet(IP6, ipv6("fe80::11", icmp6(134, b"\0" * 12), 58)), ROUTER),
    ("router solicitation", 1, ethernet(IP6, ipv6("fe80::11", icmp6(133, b"\0" * 4), 58)), None),
    ("redirect", 1, ethernet(IP6, ipv6("fe80::11", icmp6(137, b"\0" * 36), 58)), ROUTER),
    ("own advertisement", 1, ethernet(IP6, ipv6("fd00:1::5", advertisement("fd00:1::5"), 58)), None),
    ("own second advertisement", 1, ethernet(IP6, ipv6("fe80::11", advertisement("fd00:1::6"), 58)), None),
    ("advertisement of the link", 1, ethernet(IP6, ipv6("fe80::11", advertisement("fe80::11"), 58)), None),
    ("own IPv6 of the link", 1, ethernet(IP6, ipv6(LINK_OWN, udp(5, 6))), None),
    ("IPv6 of the link that is drawn", 1, ethernet(IP6, ipv6(LINK_DRAWN, udp(5, 6))), None),
    ("another machine's IPv6 of the link", 1, ethernet(IP6, ipv6(LINK_BARE, udp(5, 6))), LINK),
    ("the gateway's IPv6 of the link", 1, ethernet(IP6, ipv6(LINK_GATEWAY, udp(5, 6))), LINK),
    ("question as the gateway", 1, ethernet(IP6, ipv6(LINK_GATEWAY, advertisement("fd00:1::7", 135), 58)), LINK),
    ("own advertisement of the link", 1, ethernet(IP6, ipv6(LINK_OWN, advertisement(LINK_OWN), 58)), None),
    ("advertisement of what is drawn", 1, ethernet(IP6, ipv6(LINK_DRAWN, advertisement(LINK_DRAWN), 58)), None),
    ("advertisement as the gateway", 1, ethernet(IP6, ipv6(LINK_OWN, advertisement(LINK_GATEWAY), 58)), NEIGHBOUR),
    ("advertisement as the neighbour", 1, ethernet(IP6, ipv6("fd00:1::5", advertisement(LINK_BARE), 58)), NEIGHBOUR),
    ("claim on the own address of the link", 1, ethernet(IP6, ipv6("::", advertisement(LINK_OWN, 135), 58)), None),
    ("claim on what is drawn", 1, ethernet(IP6, ipv6("::", advertisement(LINK_DRAWN, 135), 58)), None),
    ("claim on the gateway's", 1, ethernet(IP6, ipv6("::", advertisement(LINK_GATEWAY, 135), 58)), CLAIM),
    ("claim on another's", 1, ethernet(IP6, ipv6("::", advertisement("fd00:1::7", 135), 58)), CLAIM),
    ("question for another's", 1, ethernet(IP6, ipv6("fd00:1::5", advertisement("fd00:1::7", 135), 58)), None),
    ("question for the gateway", 1, ethernet(IP6, ipv6(LINK_OWN, advertisement(LINK_GATEWAY, 135), 58)), None),
    ("claim of who has nothing", 2, ethernet(IP6, ipv6("::", advertisement("fd00:1::5", 135), 58), BARE), CLAIM),
    ("own claim of who has nothing", 2, ethernet(IP6, ipv6("::", advertisement(LINK_BARE, 135), 58), BARE), None),
    ("advertisement for another", 1, ethernet(IP6, ipv6("fd00:1::5", advertisement("fd00:1::7"), 58)), NEIGHBOUR),
    ("advertisement behind options", 1,
     ethernet(IP6, ipv6("fe80::11", b"\x3a\0\1\4\0\0\0\0" + advertisement("fd00:1::7"), 60)), NEIGHBOUR),
    # Priority tags: Linux takes such a frame as if it had none.
    ("another IPv4 behind a tag", 1, ethernet(IP4, ipv4("10.190.1.7", udp(5, 6)), tags=[ZERO]), TAG),
    ("ARP for another behind a tag", 1, ethernet(ARPS, arp(2, OWN, "10.190.1.1"), tags=[ZERO]), TAG),
    ("ARP for another behind a provider's tag", 1, ethernet(ARPS, arp(2, OWN, "10.190.1.1"), tags=[(0x88A8, 0)]), TAG),
    ("ARP for another behind two tags", 1, ethernet(ARPS, arp(2, OWN, "10.190.1.1"), tags=[ZERO, ZERO]), TAG),
    ("router advertisement behind a tag", 1,
     ethernet(IP6, ipv6("fe80::11", icmp6(134, b"\0" * 12), 58), tags=[ZERO]), TAG),
    ("DHCP question of who has nothing", 2, ethernet(IP4, ipv4("0.0.0.0", udp(68, 67)), BARE), None),
    ("IPv4 of who has nothing", 2, ethernet(IP4, ipv4("10.190.1.7", udp(5, 6)), BARE), ADDRESS),
    ("IPv6 of who has nothing", 2, ethernet(IP6, ipv6("fd00:1::7", udp(5, 6)), BARE), ADDRESS),
    ("ARP answer of who has nothing", 2, ethernet(ARPS, arp(2, BARE, "10.190.1.7"), BARE), ARP),
    ("advertisement of who has nothing", 2,
     ethernet(IP6, ipv6("fe80::22", advertisement("fd00:1::7"), 58), BARE), NEIGHBOUR),
    ("what the gateway hands on", 4, ethernet(IP4, ipv4("198.51.100.7", udp(5, 6)), LEADER), None),
    ("the gateway's own", 4, ethernet(IP4, ipv4("10.190.1.1", udp(5, 6)), LEADER), None),
    ("a machine's, by the gateway", 4, ethernet(IP4, ipv4("10.190.1.7", udp(5, 6)), LEADER), ADDRESS),
    ("another station, by the gateway", 4, ethernet(IP4, ipv4("198.51.100.7", udp(5, 6)), OTHER), MAC),
    ("the gateway's ARP answer", 4, ethernet(ARPS, arp(2, LEADER, "10.190.1.1"), LEADER), None),
    ("its ARP answer for a machine", 4, ethernet(ARPS, arp(2, LEADER, "10.190.1.7"), LEADER), ARP),
    ("its ARP answer for elsewhere", 4, ethernet(ARPS, arp(2, LEADER, "198.51.100.7"), LEADER), ARP),
    ("the gateway's DHCP answer", 4, ethernet(IP4, ipv4("10.190.1.1", udp(67, 68)), LEADER), None),
    ("the gateway's DHCPv6 answer", 4, ethernet(IP6, ipv6("fd00:1::1", udp(547, 546)), LEADER), None),
    ("what the gateway hands on of IPv6", 4, ethernet(IP6, ipv6("2001:db8::7", udp(5, 6)), LEADER), None),
    ("a machine's of IPv6, by the gateway", 4, ethernet(IP6, ipv6("fd00:1::7", udp(5, 6)), LEADER), ADDRESS),
    ("the gateway's router advertisement", 4,
     ethernet(IP6, ipv6("fe80::ff:fe00:44", icmp6(134, b"\0" * 12), 58), LEADER), None),
    ("its redirect", 4, ethernet(IP6, ipv6("fe80::ff:fe00:44", icmp6(137, b"\0" * 36), 58), LEADER), ROUTER),
    ("its advertisement for a machine", 4,
     ethernet(IP6, ipv6("fd00:1::1", advertisement("fd00:1::7"), 58), LEADER), NEIGHBOUR),
    ("another IPv4 of a gateway of IPv6", 5, ethernet(IP4, ipv4("198.51.100.7", udp(5, 6)), HALF), ADDRESS),
    ("DHCP answer of a gateway of IPv6", 5, ethernet(IP4, ipv4("10.190.1.5", udp(67, 68)), HALF), DHCP),
    ("what a gateway of IPv6 hands on", 5, ethernet(IP6, ipv6("2001:db8::7", udp(5, 6)), HALF), None),
]


def counters():
    """How many frames have been dropped, by port and by why."""
    counts = {}
    for entry in json.loads(run("/usr/sbin/nft", "-j", "list", "table", "bridge", "swiftlet"))["nftables"]:
        rule, dropped = entry.get("rule"), entry.get("set")
        if rule and "comment" in rule:
            count = next(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)
            counts[rule["comment"]] = counts.get(rule["comment"], 0) + count
        if dropped and dropped["name"] == "dropped":
            for element in dropped["elem"]:
                counts[element["elem"]["val"]] = element["elem"]["counter"]["packets"]
    return counts


def link(*words):
    run("ip", "link", *words)


def listen(name):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    end.bind((name, 0))
    return end


def arrives(marker, receiver, seconds):
    until = time.monotonic() + seconds
    while select.select([receiver], [], [], max(0, until - time.monotonic()))[0]:
        if marker in receiver.recv(4096):
            return True
    return False


def main():
    link("add", "n1", "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
    link("set", "n1", "addrgenmode", "none")
    for number in (1, 2, 3, 4, 5):
        link("add", f"p{number}", "type", "veth", "peer", "name", f"q{number}")
        for name in (f"p{number}", f"q{number}"):
            link("set", name, "addrgenmode", "none")
            link("set", name, "up")
        link("set", f"q{number}", "master", "n1")
    link("set", "n1", "up")
    run("/usr/sbin/nft", "-f", sys.argv[1])
    ends = {number: listen(f"p{number}") for number in STATIONS}
    receiver = listen("p3")
    # A port takes a moment until it forwards.
    until = time.monotonic() + 10
    while time.monotonic() < until:
        ends[1].send(ethernet(0x88B5, b"are you there".ljust(60)))
        if arrives(b"are you there", receiver, 0.1):
            break
    faults = 0
    for index, (name, port, frame, reason) in enumerate(NAMED):
        barrier = f"<after {index}>".encode()
        before = counters()
        ends[port].send(frame)
        ends[port].send(ethernet(0x88B5, barrier.rjust(60), STATIONS[port]))
        passed = False
        until = time.monotonic() + 5
        while time.monotonic() < until and select.select([receiver], [], [], 1)[0]:
            got = receiver.recv(4096)
            if barrier in got:
                break
            passed = True
        else:
            print(f"{name}: nothing passes any more")
            faults += 1
        counted = {key: count - before[key] for key, count in counters().items() if count != before[key]}
        wanted = {f"q{port}": 1, reason: 1} if reason else {}
        if passed == bool(reason) or counted != wanted:
            print(f"{name}: passed {passed}, counted {counted}, wanted {wanted}")
            faults += 1
    print(f"{len(NAMED)} frames, {faults} faults")
    sys.exit(1 if faults else 0)


main()
