#!/usr/bin/env bash
# Publishes ports of a fabric's machines, and looks from everywhere who answers. Prints what is not as it should be.
# Usage: unshare -n -m published.sh SWIFTLET-FABRIC FOLDER     (root; busybox, python3 and curl are the machines and their visitors)
. "$(dirname "$0")/published-support.sh"

# A plan's port: number, last byte of the address, name, published.
port() {
    printf '{"number":%s,"network":"a","mac":"02:00:00:00:00:%02d","addresses":["10.190.1.%s"],"names":["%s"],"published":[%s]}' \
        "$1" "$1" "$2" "$3" "$4"
}
outside() { within visitor timeout 3 curl -s --max-time 2 "$@" 2> /dev/null || echo nothing; }

mkdir -p "$folder/run"
mount -t tmpfs none /run
mkdir -p /run/netns
ip link set lo up
# This namespace is the computer, with two addresses on its network; "visitor" is another one there.
ip netns add visitor
ip link add lan0 type veth peer name eth0 netns visitor
ip address add 192.0.2.1/24 dev lan0
ip address add 192.0.2.2/24 dev lan0
ip link set lan0 up
within visitor ip address add 192.0.2.9/24 dev eth0
within visitor ip link set eth0 up
within visitor ip link set lo up

network='{"name":"a","number":1,"prefixes":["10.190.1.0/24"],"mtu":1500,"reaches_outside":false,"private":false}'
"$fabric" start "$folder" || exit 1
trap '"$fabric" ask "$folder" <(echo "{\"end\":{}}") > /dev/null 2>&1; for p in "${processes[@]}"; do kill "$p"; done 2> /dev/null' EXIT
change() { ask "{\"change\":{\"networks\":[$network],\"ports\":[$1]}}"; }

is "nothing is published at first" "{}" "$(change "$(port 1 5 web ""),$(port 2 6 shop "")")"
# Answers datagrams with a name, and connections with who asks.
answers='
import select, socket, sys
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("", 53))
connections = socket.create_server(("", 82))
while True:
    for ready in select.select([datagrams, connections], [], [])[0]:
        if ready is datagrams:
            datagrams.sendto(sys.argv[1].encode() + b"\n", datagrams.recvfrom(2048)[1])
        else:
            visitor, address = connections.accept()
            visitor.sendall(address[0].encode())
            visitor.close()
'
# Machines are namespaces on the network's bridge.
machine() { # name last-byte
    ip netns add "$1"
    nsenter "--net=$folder/netns" ip link add "v$2" type veth peer name "w$2"
    nsenter "--net=$folder/netns" ip link set "w$2" netns "$1"
    nsenter "--net=$folder/netns" ip link set "v$2" master n1 up
    within "$1" ip link set "w$2" up
    within "$1" ip address add "10.190.1.$2/24" dev "w$2"
    within "$1" ip route add default via 10.190.1.1
    mkdir -p "$folder/$1"
    echo "$1" > "$folder/$1/index.html"
    # Without `within`, whose process would be a shell's that waits for them.
    for number in 80 81; do
        ip netns exec "$1" busybox httpd -f -p "$number" -h "$folder/$1" &
        processes+=($!)
    done
    ip netns exec "$1" python3 -c "$answers" "$1" &
    processes+=($!)
}
machine web 5
machine shop 6
# A port of a bridge takes frames a moment after it was made.
for _ in $(seq 100); do nsenter "--net=$folder/netns" ping -c 1 -W 1 10.190.1.6 > /dev/null && break; done

is "what is not published is not reached" nothing "$(outside http://192.0.2.1:8080/)"
is "a port is published" "{}" "$(change "$(port 1 5 web "$(published tcp 8080 80)")")"
is "it is reached from outside" web "$(outside http://192.0.2.1:8080/)"
is "by each address" web "$(outside http://192.0.2.2:8080/)"
is "and from this computer" web "$(get http://192.0.2.1:8080/)"
is "by the loopback's address too" web "$(get http://127.0.0.1:8080/)"
is "and by others of that" web "$(get http://127.0.0.9:8080/)"
is "not at other ports" nothing "$(outside http://192.0.2.1:81/)"
is "nobody else gets the port" "*in use*" "$(timeout 2 busybox httpd -f -p 8080 2>&1)"
is "one machine's port is not another one's" '*8080:80/tcp*web*8080:80/tcp*shop*' "$(change "$(port 2 6 shop "$(published tcp 8080 80)")")"
is "the first one has it still" web "$(outside http://192.0.2.1:8080/)"

busybox httpd -f -p 9090 -h "$folder/shop" &
listener=$!
processes+=("$listener")
for _ in $(seq 50); do get http://127.0.0.1:9090/ | grep -q shop && break; done
is "a program's port is not taken from it" "*9090/tcp*taken by busybox (process $listener)*" "$(change "$(port 2 6 shop "$(published tcp 9000 80 100)")")"
is "and none of those beside it" nothing "$(get http://127.0.0.1:9000/)"
is "nor is an address that others have" "*192.0.2.9 is no address of this computer*" \
    "$(change "$(port 2 6 shop "$(published tcp 9000 80 1 192.0.2.9)")")"

is "one port on two addresses leads to two machines" "{}" \
    "$(change "$(port 1 5 web "$(published tcp 7000 80 1 192.0.2.1)"),$(port 2 6 shop "$(published tcp 7000 80 1 192.0.2.2)")")"
is "the first" web "$(outside http://192.0.2.1:7000/)"
is "and the second" shop "$(outside http://192.0.2.2:7000/)"
is "and not on the loopback's" nothing "$(get http://127.0.0.1:7000/)"
is "what was published before is no more" nothing "$(outside http://192.0.2.1:8080/)"
is "an address of the loopback alone" "{}" "$(change "$(port 1 5 web "$(published tcp 7001 80 1 127.0.0.1)"),$(port 2 6 shop "")")"
is "is reached from this computer" web "$(get http://127.0.0.1:7001/)"
is "and not from outside" nothing "$(outside http://192.0.2.1:7001/)"
# Somebody on the same network who sends packets for the fabric's link, or for the loopback, by way of this computer.
within visitor ip route add 10.189.255.0/24 via 192.0.2.1
within visitor ip route add 10.190.1.0/24 via 192.0.2.1
carrier=$(nsenter "--net=$folder/netns" nft list table ip swiftlet | sed -nE 's/.*\{ ([0-9]+) :.*/\1/p')
inner=$(nsenter "--net=$folder/netns" ip -4 -o address show dev up0 | sed -nE 's/.*inet ([0-9.]+).*/\1/p')
is "nor past the computer's addresses" nothing "$(outside "http://$inner:$carrier/")"
is "nor straight to the machine" nothing "$(outside http://10.190.1.5/)"
is "another address of the loopback" "{}" "$(change "$(port 1 5 web "$(published tcp 7002 80 1 127.0.0.2)")")"
is "is reached from this computer, too" web "$(get http://127.0.0.2:7002/)"
# The visitor has no loopback of its own at that address, and sends what is for it to the computer.
within visitor sysctl -qw net.ipv4.conf.eth0.route_localnet=1 net.ipv4.conf.all.route_localnet=1
within visitor ip route flush table local dev lo
within visitor ip route add 127.0.0.2/32 via 192.0.2.1 src 192.0.2.9
is "and not from outside by that address" nothing "$(outside http://127.0.0.2:7002/)"

is "a range is published, and datagrams" "{}" \
    "$(change "$(port 1 5 web "$(published tcp 6000 80 2),$(published udp 6053 53)")")"
is "its first" web "$(outside http://192.0.2.1:6000/)"
is "and its last" web "$(outside http://192.0.2.1:6001/)"
datagram='exec 3<> "/dev/udp/$0/6053"; echo question >&3; timeout 2 head -c 3 <&3'
is "a datagram is answered" web "$(within visitor bash -c "$datagram" 192.0.2.1)"
is "on this computer too" web "$(bash -c "$datagram" 127.0.0.1)"

# A flow: who asks on from the same port, before the kernel has forgotten it.
asks='
import socket, sys
flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
flow.bind(("", 5353))
flow.settimeout(2)
flow.sendto(b"question", (sys.argv[1], 6053))
try:
    print(flow.recv(100).decode().strip())
except OSError:
    print("nothing")
'
flow() { within visitor python3 -c "$asks" 192.0.2.1; }
own_flow() { python3 -c "$asks" 127.0.0.1; }
is "a flow of datagrams is answered" web "$(flow)"
is "on this computer too" web "$(own_flow)"
is "the port becomes another machine's" "{}" \
    "$(change "$(port 1 5 web "$(published tcp 6000 80 2)"),$(port 2 6 shop "$(published udp 6053 53)")")"
is "the flow goes there" shop "$(flow)"
is "this computer's too" shop "$(own_flow)"
is "the port is nobody's" "{}" "$(change "$(port 2 6 shop "")")"
is "and the flow goes nowhere" nothing "$(flow)"
is "nor this computer's" nothing "$(own_flow)"
is "the port is published again" "{}" "$(change "$(port 1 5 web "$(published udp 6053 53)")")"
is "and the flow that has gone on is answered" web "$(flow)"
is "this computer's too" web "$(own_flow)"

# The machine sees who asks.
is "its visitors are who they are" "{}" "$(change "$(port 1 5 web "$(published tcp 6002 82)")")"
is "by their own addresses" 192.0.2.9 "$(within visitor timeout 3 bash -c 'cat < /dev/tcp/192.0.2.1/6002')"

# One that has no way to them sees the network's own address.
within web ip route del default
is "a machine without a route is asked from its network" "{}" \
    "$(change "$(port 1 5 web "$(published tcp 6003 82)" | sed 's/}$/,"hides_visitors":true}/')")"
is "and answers" 10.190.1.1 "$(within visitor timeout 3 bash -c 'cat < /dev/tcp/192.0.2.1/6003')"
within web ip route add default via 10.190.1.1

# The engine is killed: what is published stays so, and is held again by the next one.
change "$(port 1 5 web "$(published tcp 8080 80)")" > /dev/null
engine=$(for p in /proc/[0-9]*; do tr '\0' ' ' < "$p/cmdline" 2> /dev/null | grep -q "serve $folder\b" && echo "${p#/proc/}"; done)
kill -9 "$engine"
is "without its engine it goes on" web "$(outside http://192.0.2.1:8080/)"
nft flush ruleset
"$fabric" start "$folder"
is "the next engine puts it right" web "$(outside http://192.0.2.1:8080/)"
is "and holds the port" "*in use*" "$(timeout 2 busybox httpd -f -p 8080 2>&1)"
is "a machine that goes lets go of it" "{}" "$(ask '{"change":{"removed_ports":[1]}}')"
is "so that nobody answers" nothing "$(outside http://192.0.2.1:8080/)"
timeout 1 busybox httpd -f -p 8080
is "and others may have it" 124 $?
is "the fabric ends" "{}" "$(ask '{"end":{}}')"
for _ in $(seq 100); do [ -z "$(nft list ruleset)" ] && break; sleep 0.02; done
is "without leaving rules" "" "$(nft list ruleset)"
echo "$faults faults"
[ "$faults" = 0 ]
