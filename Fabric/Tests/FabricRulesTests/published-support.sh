# What the tests of published ports share; sourced with the arguments of theirs: SWIFTLET-FABRIC FOLDER.
# shellcheck shell=bash disable=SC2034
fabric=$1
folder=$2
faults=0
processes=()

tell() {
    echo "$1"
    faults=$((faults + 1))
}
# Compares: what is looked at, what should be there, what is.
is() { case $3 in $2) ;; *) tell "$1: \"$3\" instead of \"$2\"" ;; esac; }
ask() { printf '%s' "$1" > "$folder/request" && "$fabric" ask "$folder" "$folder/request" 2>&1; }
published() { # transport port machine-port [count [address]]
    printf '{"transport":"%s","port":%s,"machine_port":%s,"count":%s%s}' "$1" "$2" "$3" "${4:-1}" "${5:+,\"address\":\"$5\"}"
}
# What answers on this computer.
get() { timeout 3 curl -sg --max-time 2 "$@" 2> /dev/null || echo nothing; }
within() { ip netns exec "$@"; }
