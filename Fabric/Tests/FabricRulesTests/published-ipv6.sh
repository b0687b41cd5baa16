#!/usr/bin/env bash
# Publishes ports of a fabric's machines on addresses of IPv6, looks from everywhere who answers, and lets machines out by IPv6. Prints
# what is not as it should be.
# Usage: unshare -n -m published-ipv6.sh SWIFTLET-FABRIC FOLDER     (root; busybox, python3 and curl are the machines and their visitors)
. "$(dirname "$0")/published-support.sh"

# A plan's port: number, network, addresses, name, published.
port() {
    printf '{"number":%s,"network":"%s","mac":"02:00:00:00:00:%02d","addresses":[%s],"names":["%s"],"published":[%s]}' \
        "$1" "$2" "$1" "$3" "$4" "$5"
}
network() { # name number prefixes reaches-outside
    printf '{"name":"%s","number":%s,"prefixes":[%s],"mtu":1500,"reaches_outside":%s,"private":false}' "$@"
}
outside() { within visitor timeout 3 curl -sg --max-time 2 "$@" 2> /dev/null || echo nothing; }
in_fabric() { nsenter "--net=$folder/netns" "$@"; }

mkdir -p "$folder/run"
mount -t tmpfs none /run
mkdir -p /run/netns
ip link set lo up
# This namespace is the computer, with two addresses of IPv6 on its network; "visitor" is another one there.
ip netns add visitor
ip link add lan0 type veth peer name eth0 netns visitor
ip link set lan0 up
ip address add 192.0.2.1/24 dev lan0
for address in 2001:db8::1 2001:db8::2; do ip address add "$address/64" dev lan0 nodad; done
within visitor ip link set lo up
within visitor ip link set eth0 up
within visitor ip address add 192.0.2.9/24 dev eth0
within visitor ip address add 2001:db8::9/64 dev eth0 nodad
ip route add default via 2001:db8::9

"$fabric" start "$folder" || exit 1
trap '"$fabric" ask "$folder" <(echo "{\"end\":{}}") > /dev/null 2>&1; for p in "${processes[@]}"; do kill "$p"; done 2> /dev/null' EXIT
networks="$(network a 1 '"10.190.1.0/24","fd00:1::/64"' false),$(network b 2 '"fd00:2::/64"' true)"
both='"10.190.1.5","fd00:1::5"'
change() { ask "{\"change\":{\"networks\":[$networks],\"ports\":[$1]}}"; }
web() { port 1 a "$both" web "$1"; }
only() { port 2 b '"fd00:2::5"' only "$1"; }
is "nothing is published at first" "{}" "$(change "$(web ""),$(only "")")"

# Answers datagrams with a name, and connections with who asks.
answers='
import select, socket, sys
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.bind(("", 53))
connections = socket.create_server(("::", 82), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    for ready in select.select([datagrams, connections], [], [])[0]:
        if ready is datagrams:
            datagrams.sendto(sys.argv[1].encode() + b"\n", datagrams.recvfrom(2048)[1])
        else:
            visitor, address = connections.accept()
            visitor.sendall(address[0].encode())
            visitor.close()
'
# Machines are namespaces on a network's bridge.
machine() { # name number bridge gateway address...
    ip netns add "$1"
    in_fabric ip link add "v$2" type veth peer name "w$2"
    in_fabric ip link set "w$2" netns "$1"
    in_fabric ip link set "v$2" master "$3" up
    within "$1" ip link set "w$2" address "02:00:00:00:00:0$2" up
    for address in "${@:5}"; do
        # Nobody else has it.
        case $address in *:*) within "$1" ip address add "$address" dev "w$2" nodad ;; *) within "$1" ip address add "$address" dev "w$2" ;; esac
    done
    within "$1" ip route add default via "$4"
    mkdir -p "$folder/$1"
    echo "$1" > "$folder/$1/index.html"
    # Without `within`, whose process would be a shell's that waits for them.
    ip netns exec "$1" busybox httpd -f -p 80 -h "$folder/$1" &
    processes+=($!)
    ip netns exec "$1" python3 -c "$answers" "$1" &
    processes+=($!)
}
machine web 1 n1 fd00:1::1 10.190.1.5/24 fd00:1::5/64
within web ip route add default via 10.190.1.1
machine only 2 n2 fd00:2::1 fd00:2::5/64
# A port of a bridge takes frames a moment after it was made, and an address of its own a moment more.
for address in 10.190.1.5 fd00:1::5 fd00:2::5; do
    for _ in $(seq 100); do in_fabric ping -c 1 -W 1 "$address" > /dev/null && break; done
done
for _ in $(seq 100); do ping -c 1 -W 1 2001:db8::9 > /dev/null && break; done

# A computer that forwards no IPv6.
sysctl -qw net.ipv6.conf.all.forwarding=0
is "what nobody outside would reach is refused" '*net.ipv6.conf.all.forwarding on*' \
    "$(change "$(web "$(published tcp 7000 80 1 2001:db8::1)")")"
is "the loopback's address is another thing" "{}" "$(change "$(web "$(published tcp 7000 80 1 ::1),$(published udp 7053 53 1 ::1)")")"
is "it is reached from this computer" web "$(get 'http://[::1]:7000/')"
is "at another address it is not" nothing "$(get 'http://[2001:db8::1]:7000/')"
is "nor from outside" nothing "$(outside 'http://[2001:db8::1]:7000/')"
is "IPv4 has the port to itself" nothing "$(get http://127.0.0.1:7000/)"
asks='
import socket, sys
flow = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
flow.bind(("", 5353))
flow.settimeout(2)
flow.sendto(b"question", (sys.argv[1], 7053))
try:
    print(flow.recv(100).decode().strip())
except OSError:
    print("nothing")
'
is "datagrams are answered" web "$(python3 -c "$asks" ::1)"
is "the port becomes another machine's" "{}" "$(change "$(web ""),$(only "$(published udp 7053 53 1 ::1)")")"
is "and the flow goes there" only "$(python3 -c "$asks" ::1)"
is "the port is nobody's" "{}" "$(change "$(only "")")"
is "and the flow goes nowhere" nothing "$(python3 -c "$asks" ::1)"
is "a program of this computer is reached as ever" only "$(
    busybox httpd -f -p '[::1]:9099' -h "$folder/only" &
    listener=$!
    for _ in $(seq 50); do get 'http://[::1]:9099/' | grep -q only && break; done
    get 'http://[::1]:9099/'
    kill "$listener"
)"
within only timeout 5 curl -sg 'http://[2001:db8::9]:80/' > /dev/null
is "who goes out is told at once that no way leads there" 7 $?
is "and it can be looked up why" '*"ipv6_forbidden_by":"net.ipv6.conf.all.forwarding"*' "$(ask '{"report":{}}')"

# One that does.
sysctl -qw net.ipv6.conf.all.forwarding=1
is "a port is published" "{}" "$(change "$(web "$(published tcp 8080 80)")")"
is "it is reached from outside" web "$(outside 'http://[2001:db8::1]:8080/')"
is "by each address" web "$(outside 'http://[2001:db8::2]:8080/')"
is "by those of IPv4 too" web "$(outside http://192.0.2.1:8080/)"
is "and from this computer" web "$(get 'http://[2001:db8::1]:8080/')"
is "by the loopback's address" web "$(get 'http://[::1]:8080/')"
is "and by that of IPv4" web "$(get http://127.0.0.1:8080/)"
is "nobody else gets the port" "*in use*" "$(timeout 2 busybox httpd -f -p '[::1]:8080' 2>&1)"
is "one port on two addresses leads to two machines" "{}" \
    "$(change "$(web "$(published tcp 7000 80 1 2001:db8::1)"),$(only "$(published tcp 7000 80 1 2001:db8::2)")")"
is "the first" web "$(outside 'http://[2001:db8::1]:7000/')"
is "and the second" only "$(outside 'http://[2001:db8::2]:7000/')"
is "and not on the loopback's" nothing "$(get 'http://[::1]:7000/')"
is "nor on those of IPv4" nothing "$(get http://127.0.0.1:7000/)"
is "what was published before is no more" nothing "$(outside 'http://[2001:db8::1]:8080/')"
is "an address that others have is refused" "*2001:db8::9 is no address of this computer*" \
    "$(change "$(only "$(published tcp 7001 80 1 2001:db8::9)")")"
is "a machine of IPv6 alone has that alone" "{}" "$(change "$(web ""),$(only "$(published tcp 7002 80)")")"
is "on all addresses" only "$(get 'http://[::1]:7002/')"
is "and IPv4 of the port is for others" 124 "$(timeout 1 busybox httpd -f -p 0.0.0.0:7002; echo $?)"
is "it has none of IPv4" "*no address of IPv4*" "$(change "$(only "$(published tcp 7002 80 1 127.0.0.1)")")"
is "a port of IPv6 alone" "{}" "$(change "$(web "$(published tcp 7003 80 1 ::)"),$(only "")")"
is "is one" web "$(outside 'http://[2001:db8::1]:7003/')"
is "and none of IPv4" nothing "$(outside http://192.0.2.1:7003/)"

# Somebody on the same network who sends packets for the loopback, for the fabric's link or for machines by way of this computer.
is "an address of the loopback" "{}" "$(change "$(web "$(published tcp 7004 80 1 ::1)")")"
for place in fd10:189:255::/64 fd00:1::/64; do within visitor ip route add "$place" via 2001:db8::1; done
carrier=$(in_fabric nft list table ip6 swiftlet | sed -nE 's/.*\{ ([0-9]+) :.*/\1/p')
inner=$(in_fabric ip -6 -o address show dev up0 scope global | sed -nE 's/.*inet6 ([0-9a-f:]+).*/\1/p')
is "is reached from this computer" web "$(get 'http://[::1]:7004/')"
is "and not past the computer's addresses" nothing "$(outside "http://[$inner]:$carrier/")"
is "nor straight at the machine" nothing "$(outside 'http://[fd00:1::5]/')"
sends='
import socket, struct, sys
# From here to ::1, port 7004, as if that were not forbidden: a connection is asked for.
station = bytes.fromhex(sys.argv[1].replace(":", ""))
own, loopback = (socket.inet_pton(socket.AF_INET6, name) for name in ("2001:db8::9", "::1"))
tcp = struct.pack("!HHIIBBHHH", 5000, 7004, 1, 0, 0x50, 2, 65535, 0, 0)
def total(data): return sum(struct.unpack("!%dH" % (len(data) // 2), data))
value = total(own + loopback + struct.pack("!IHBB", len(tcp), 0, 0, 6) + tcp)
while value >> 16: value = (value & 0xffff) + (value >> 16)
tcp = tcp[:16] + struct.pack("!H", ~value & 0xffff) + tcp[18:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0))
wire.send(station + bytes(6) + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + own + loopback + tcp)
'
before=$(in_fabric nft list table inet swiftlet | grep 'published ports')
within visitor python3 -c "$sends" "$(ip -o link show lan0 | sed -E 's/.*ether ([0-9a-f:]+).*/\1/')"
is "nor by its own name from outside" "$before" "$(in_fabric nft list table inet swiftlet | grep 'published ports')"

# The machine sees who asks.
is "its visitors are who they are" "{}" "$(change "$(web "$(published tcp 6002 82)")")"
is "by their own addresses" 2001:db8::9 "$(within visitor timeout 3 bash -c 'cat < /dev/tcp/2001:db8::1/6002')"
within web ip -6 route del default
is "a machine without a route is asked from its network" "{}" \
    "$(change "$(web "$(published tcp 6003 82)" | sed 's/}$/,"hides_visitors":true}/')")"
is "and answers" fd00:1::1 "$(within visitor timeout 3 bash -c 'cat < /dev/tcp/2001:db8::1/6003')"
within web ip -6 route add default via fd00:1::1

# The way out: with this computer's address, and from networks that are not isolated alone.
ip netns exec visitor python3 -c "$answers" visitor &
processes+=($!)
for _ in $(seq 100); do bash -c ': < /dev/tcp/2001:db8::9/82' 2> /dev/null && break; done
is "a machine gets out with the computer's address" "2001:db8::[12]" \
    "$(within only timeout 3 bash -c 'cat < /dev/tcp/2001:db8::9/82')"
is "one of an isolated network does not" "" "$(within web timeout 1 bash -c 'cat < /dev/tcp/2001:db8::9/82' 2> /dev/null)"
is "nothing forbids it" '*"ipv6_forbidden_by":null*' "$(ask '{"report":{}}')"
# By the rules of what it may reach.
may() { change "$(only "" | sed "s/}\$/,\"egress\":{\"rules\":[$1]}}/")"; }
is "a machine may reach one place" "{}" "$(may '"[2001:db8::9]:82"')"
is "and does" "2001:db8::[12]" "$(within only timeout 3 bash -c 'cat < /dev/tcp/2001:db8::9/82')"
is "it may reach nothing" "{}" "$(may "")"
is "and does not" "" "$(within only timeout 3 bash -c 'cat < /dev/tcp/2001:db8::9/82' 2> /dev/null)"

# The engine is killed, and rules and addresses are taken away: the next one puts them right.
change "$(web "$(published tcp 8080 80)"),$(only "")" > /dev/null
engine() { for p in /proc/[0-9]*; do tr '\0' ' ' < "$p/cmdline" 2> /dev/null | grep -q "serve $folder\b" && echo "${p#/proc/}"; done; }
kill -9 "$(engine)"
is "without its engine it goes on" web "$(outside 'http://[2001:db8::1]:8080/')"
nft flush ruleset
ip -6 address flush dev swiftlet-up0
ip -6 route flush table local dev swiftlet-up0
in_fabric ip link set up0 down
"$fabric" start "$folder"
is "the next engine puts it right" web "$(outside 'http://[2001:db8::1]:8080/')"
is "for this computer too" web "$(get 'http://[::1]:8080/')"

# IPv6 is switched off while a port is on an address of it: that one leads nowhere, and nothing else is hindered.
loopback=$(published tcp 7005 80 1 ::1)
is "a port of IPv6" "{}" "$(change "$(web "$loopback")")"
sysctl -qw net.ipv6.conf.swiftlet-up0.disable_ipv6=1
is "another port is published as ever" "{}" "$(change "$(web "$loopback,$(published tcp 7006 80)")")"
is "and is reached" web "$(get http://127.0.0.1:7006/)"
is "one more of IPv6 is refused" "*IPv6 is switched off for swiftlet-up0*" \
    "$(change "$(web "$loopback,$(published tcp 7006 80),$(published tcp 7007 80 1 ::1)")")"
kill -9 "$(engine)"
"$fabric" start "$folder"
is "an engine begins all the same" web "$(get http://127.0.0.1:7006/)"
all="{\"change\":{\"whole\":true,\"networks\":[$networks],\"ports\":[$(web "$loopback,$(published tcp 7006 80)")]}}"
is "and takes requests" "{}" "$(ask "$all")"
sysctl -qw net.ipv6.conf.swiftlet-up0.disable_ipv6=0
is "once it is on, a repair" "{}" "$(ask "$all")"
is "has it lead there again" web "$(get 'http://[::1]:7005/')"
for address in 224.0.0.1 255.255.255.255; do
    is "no port is on $address" "*ports are not published on $address*" "$(change "$(web "$(published tcp 7008 80 1 $address)")")"
done
is "the fabric ends" "{}" "$(ask '{"end":{}}')"
for _ in $(seq 100); do [ -z "$(nft list ruleset)" ] && break; sleep 0.02; done
is "without leaving rules" "" "$(nft list ruleset)"
is "or routes" "" "$(ip -6 route show table local ::1 | grep -v 'dev lo')"
echo "$faults faults"
[ "$faults" = 0 ]
