"""A guest at a fabric's TAP device, as far as the tests need one.

Usage: guest.py dhcp TAP MAC         prints the address and the longest packet that it is given
       guest.py name SERVER NAME     prints the address that the name has, or "none"
       guest.py questions SERVER PORT COUNT    prints how many of so many questions, one after the other, are answered
       guest.py knock TAP MAC ADDRESS GATEWAY-MAC TARGET PORT      whether TCP there is "answered", "refused" or says "nothing"
       guest.py lookup TAP MAC ADDRESS GATEWAY-MAC SERVER[:PORT] NAME|ADDRESS [PORT]    as name does, from the guest (and a port
                       of its); all addresses that the name has, or the name of an address
       guest.py flows TAP MAC ADDRESS GATEWAY-MAC TARGET COUNT    sends so many packets of a connection each
       guest.py arp TAP MAC ADDRESS TARGET      prints the hardware address that the target has, or "nobody"
       guest.py sent TAP MAC SOURCE OTHER-TAP OTHER-MAC TARGET    prints whether a datagram comes from one to the other
       guest.py carry TAP OTHER-TAP FILE    hands frames from each to the other, for ever; FILE is made when it begins
"""
import fcntl
import ipaddress
import os
import select
import socket
import struct
import sys
import time

PATIENCE = 10
HEADER = b"\0" * 10


def station(text):
    return bytes(int(part, 16) for part in text.split(":"))


def plug(name):
    """The TAP device, as a monitor opens it, once what is sent goes through."""
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22s", name.encode(), 0x0002 | 0x1000 | 0x4000, b""))
    return tap


def checksum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source, target, protocol, body):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0,
                       ipaddress.ip_address(source).packed, ipaddress.ip_address(target).packed)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def datagram(source, target, port, other_port, data):
    return packet(source, target, 17, struct.pack("!HHHH", port, other_port, 8 + len(data), 0) + data)


def opening(source, target, port, other_port):
    """The first segment of a connection."""
    body = struct.pack("!HHIIBBHHH", port, other_port, 1, 0, 0x50, 2, 8192, 0, 0)
    around = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed + struct.pack("!HH", 6, 20)
    return packet(source, target, 6, body[:16] + struct.pack("!H", checksum(around + body)) + body[18:])


def frames(tap, seconds):
    until = time.monotonic() + seconds
    while select.select([tap], [], [], max(0, until - time.monotonic()))[0]:
        yield os.read(tap, 70000)[len(HEADER):]


def options(data):
    found = {}
    while data and data[0] != 255:
        if data[0] == 0:
            data = data[1:]
            continue
        found[data[0]] = data[2:2 + data[1]]
        data = data[2 + data[1]:]
    return found


def ask(own, kind, extra):
    boot = struct.pack("!BBBBIHH16s", 1, 1, 6, 0, 0x53776C74, 0, 0x8000, b"") + own.ljust(16, b"\0") + b"\0" * 192
    data = boot + bytes([99, 130, 83, 99, 53, 1, kind, 55, 2, 3, 26]) + extra + b"\xff"
    return HEADER + b"\xff" * 6 + own + b"\x08\0" + datagram("0.0.0.0", "255.255.255.255", 68, 67, data)


def answer(tap, own, kind, extra, wanted, patience):
    """The answer of that kind to a question; asks again until it comes."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        os.write(tap, ask(own, kind, extra))
        for frame in frames(tap, 0.5):
            if frame[12:14] != b"\x08\0" or frame[23] != 17 or frame[34:38] != b"\0\x43\0\x44":
                continue
            found = options(frame[42 + 240:])
            if found.get(53) == bytes([wanted]):
                return frame[42:], found
    return None


def dhcp(name, text):
    tap, own = plug(name), station(text)
    offer = answer(tap, own, 1, b"", 2, PATIENCE)
    if not offer:
        return "nothing"
    address, server = offer[0][16:20], offer[1][54]
    given = answer(tap, own, 3, b"\x32\4" + address + b"\x36\4" + server, 5, PATIENCE)
    if not given:
        return "an offer alone"
    unit = int.from_bytes(given[1].get(26, b""), "big")
    return f"{ipaddress.ip_address(given[0][16:20])} {unit}"


def question_for(text):
    kind = b"\0\1"
    if text[-1].isdigit() and text.count(".") == 3:
        text, kind = ipaddress.ip_address(text).reverse_pointer, b"\0\x0c"
    labels = b"".join(bytes([len(part)]) + part.encode() for part in text.split("."))
    return struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + kind + b"\0\1"


def address_in(reply):
    count = int.from_bytes(reply[6:8], "big")
    if not count:
        return "none"
    rest = reply[reply.index(b"\0", 12) + 1:]
    if rest[:2] == b"\0\x0c":
        # Behind the question and the record's head; its labels are written out.
        labels, parts = rest[16:], []
        while labels[0]:
            parts.append(labels[1:1 + labels[0]].decode())
            labels = labels[1 + labels[0]:]
        return ".".join(parts)
    return " ".join(sorted(str(ipaddress.ip_address(reply[end - 4:][:4])) for end in range(len(reply), len(reply) - 16 * count, -16)))


def name(server, text):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(0.5)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            client.sendto(question_for(text), (server, 53))
            reply = client.recv(4096)
        except OSError:
            time.sleep(0.05)
            continue
        return address_in(reply)
    return "no answer"


def questions(server, port, count):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(PATIENCE)
    answered = 0
    try:
        for _ in range(int(count)):
            client.sendto(question_for("other.test"), (server, int(port)))
            client.recv(4096)
            answered += 1
    except OSError:
        pass
    return answered


def packets(tap, own, address, gateway, sent, patience=PATIENCE):
    """What comes to the guest of IPv4 while it sends something again and again, and says who has its address."""
    head = HEADER + station(gateway) + own + b"\x08\0"
    until = time.monotonic() + patience
    while time.monotonic() < until:
        os.write(tap, head + sent)
        for frame in frames(tap, 0.5):
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1":
                answer = frame[14:20] + b"\0\2" + own + ipaddress.ip_address(address).packed + frame[22:32]
                os.write(tap, HEADER + frame[6:12] + own + b"\x08\x06" + answer)
            elif frame[12:14] == b"\x08\0" and frame[30:34] == ipaddress.ip_address(address).packed:
                yield frame[14:]


def knock(name, own, address, gateway, target, port):
    own_port = 20000 + os.getpid() % 20000
    sent = opening(address, target, own_port, int(port))
    for packet in packets(plug(name), station(own), address, gateway, sent):
        if packet[9] == 6 and packet[22:24] == struct.pack("!H", own_port):
            return "answered"
        if packet[9] == 1 and packet[20] == 3 and packet[28:48][16:20] == ipaddress.ip_address(target).packed:
            return "refused"
    return "nothing"


def lookup(name, own, address, gateway, server, text, port=None):
    own_port = int(port or 20000 + os.getpid() % 20000)
    server, _, server_port = server.partition(":")
    sent = datagram(address, server, own_port, int(server_port or 53), question_for(text))
    for packet in packets(plug(name), station(own), address, gateway, sent, 2 if server_port else 6 if port else PATIENCE):
        if packet[9] == 17 and packet[22:24] == struct.pack("!H", own_port):
            return address_in(packet[28:])
    return "no answer"


def flows(name, own, address, gateway, target, count):
    tap = plug(name)
    head = HEADER + station(gateway) + station(own) + b"\x08\0"
    # The first go until the link takes frames.
    time.sleep(0.5)
    for port in range(int(count)):
        os.write(tap, head + datagram(address, target, 1024 + port, 9, b"flow"))
    time.sleep(0.2)
    return "sent"


def arp(name, own, address, target):
    tap = plug(name)
    own, address, target = station(own), ipaddress.ip_address(address).packed, ipaddress.ip_address(target).packed
    question = struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + own + address + b"\0" * 6 + target
    for _ in range(4):
        os.write(tap, HEADER + b"\xff" * 6 + own + b"\x08\x06" + question.ljust(46, b"\0"))
        for frame in frames(tap, 0.25):
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2" and frame[28:32] == target:
                return frame[22:28].hex(":")
    return "nobody"


def sent(name, own, source, other_name, other, target):
    tap, other_tap = plug(name), plug(other_name)
    frame = station(other) + station(own) + b"\x08\0" + datagram(source, target, 7, 9, b"between machines")
    for _ in range(4):
        os.write(tap, HEADER + frame)
        if any(found == frame for found in frames(other_tap, 0.25)):
            return "arrives"
    return "nothing"


def carry(name, other_name, file):
    taps = [plug(name), plug(other_name)]
    open(file, "w").close()
    while True:
        for tap in select.select(taps, [], [])[0]:
            frame = os.read(tap, 1 << 16)
            try:
                os.write(taps[1 - taps.index(tap)], frame)
            except OSError:
                # The other one is down as yet.
                pass


print({"dhcp": dhcp, "name": name, "questions": questions, "knock": knock, "lookup": lookup, "flows": flows, "arp": arp,
       "sent": sent, "carry": carry}[sys.argv[1]](*sys.argv[2:]))
