"""What an appliance between networks, or a machine, may try that no program of theirs does by itself.

Usage: stranger.py frames LINK TARGET-MAC COUNT KIND [SOURCE TARGET]
       stranger.py hear LINK SECONDS SOURCE...      counts packets of these addresses that arrive
KINDS: datagrams   from SOURCE to TARGET, each from another port and another hardware address
       datagram    from SOURCE to TARGET, all from one port and one hardware address
       asking      ARP and neighbour solicitations, each from another address
       odd         frames of all lengths with random and broken contents, from a generator with a fixed seed
"""
import ipaddress
import random
import select
import socket
import struct
import sys
import time


def checksum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def station(text):
    return bytes(int(part, 16) for part in text.split(":"))


def packed(text):
    return ipaddress.ip_address(text).packed


def datagram(source, target, port):
    """Type of the frame, and the packet: UDP to port 9."""
    source, target = packed(source), packed(target)
    body = struct.pack("!HHHH", port, 9, 12, 0) + b"tell"
    if len(source) == 16:
        around = source + target + struct.pack("!IHBB", len(body), 0, 0, 17)
        body = body[:6] + struct.pack("!H", checksum(around + body) or 0xFFFF) + body[8:]
        return b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), 17, 64) + source + target + body
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), port, 0, 64, 17, 0, source, target)
    return b"\x08\0" + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def asking(chance):
    own = bytes([2]) + chance.randbytes(5)
    if chance.random() < 0.5:
        claimed = bytes([169, 254, 80 + chance.randrange(8), chance.randrange(256)])
        wanted = bytes([169, 254, 83 + chance.randrange(2), 1])
        kind = chance.choice([1, 2])
        return own + struct.pack("!HHHBBH", 0x806, 1, 0x800, 6, 4, kind) + own + claimed + b"\0" * 6 + wanted
    source = packed("fe80::") [:8] + chance.randbytes(8)
    target = packed("fe80::1")
    group = packed("ff02::1:ff00:1")
    body = struct.pack("!BBHI", chance.choice([133, 134, 135, 136, 137]), 0, 0, 0) + target + bytes([1, 1]) + own
    around = source + group + struct.pack("!IHBB", len(body), 0, 0, 58)
    body = body[:2] + struct.pack("!H", checksum(around + body)) + body[4:]
    return own + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + group + body


def odd(chance, source, target):
    kind, packet = b"", datagram(source, target, chance.randrange(65536))
    kind, packet = packet[:2], bytearray(packet[2:])
    deed = chance.randrange(5)
    if deed == 0:
        packet = bytearray(chance.randbytes(chance.choice([1, 2, 19, 20, 39, 40, 1400])))
    elif deed == 1:
        packet[chance.randrange(len(packet))] ^= 1 << chance.randrange(8)
    elif deed == 2:
        packet = packet[:chance.randrange(1, len(packet))]
    elif deed == 3 and len(packet) < 40:
        # A first fragment, whose others never come.
        packet[6:8] = struct.pack("!H", 0x2000)
        packet[4:6] = chance.randbytes(2)
        packet[10:12] = b"\0\0"
        packet[10:12] = struct.pack("!H", checksum(bytes(packet[:20])))
    else:
        packet += chance.randbytes(1400)
    if chance.randrange(8) == 0:
        kind = chance.choice([b"\x81\0\0\0" + kind, b"\x88\xa8\0\7" + kind, chance.randbytes(2), b"\0\4"])
    return b"\2\0\0\0\0\x77" + kind + bytes(packet)


def own(link):
    with open(f"/sys/class/net/{link}/address") as file:
        return station(file.read().strip())


def frames(link, to, count, kind, source=None, target=None):
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    out.bind((link, 0))
    towards = station(to)
    chance = random.Random(7)
    refused = 0
    for number in range(int(count)):
        if kind == "datagrams":
            another = b"\2" + struct.pack("!I", number // 64) + b"\1"
            frame = towards + another + datagram(source, target, 1024 + number % 60000)
        elif kind == "datagram":
            frame = towards + own(link) + datagram(source, target, 9)
        elif kind == "asking":
            frame = chance.choice([towards, b"\xff" * 6, b"\x33\x33\xff\0\0\1"]) + asking(chance)
        else:
            frame = chance.choice([towards, towards, b"\xff" * 6]) + odd(chance, source, target)
        try:
            out.send(frame)
        except OSError:
            refused += 1
    return f"{int(count) - refused} sent"


def hear(link, seconds, *sources):
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    heard.bind((link, 0))
    known = {packed(source) for source in sources}
    found, until = 0, time.monotonic() + float(seconds)
    print("ready", flush=True)
    while select.select([heard], [], [], max(0, until - time.monotonic()))[0]:
        frame, where = heard.recvfrom(70000)
        if where[2] == socket.PACKET_OUTGOING:
            continue
        if frame[12:14] == b"\x08\0" and frame[26:30] in known or frame[12:14] == b"\x86\xdd" and frame[22:38] in known:
            found += 1
    return found


print({"frames": frames, "hear": hear}[sys.argv[1]](*sys.argv[2:]))
