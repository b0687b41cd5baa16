# What the tests of the command line share; sourced with the path of `swiftlet`, if it is not the built one.
set -uo pipefail
# shellcheck disable=SC2034
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
swiftlet=$(realpath "${1:-$repository/build/bin/swiftlet}")
scratch=$(mktemp -d)
failed=0 passed=0 skipped=0

# Machines of their own, so that everything which is left can be seen; images and kernels are those that are there.
# The runtime folder stays the same: it has the emulated host.
shared_home=${SWIFTLET_HOME:-$repository/build/home}
export SWIFTLET_HOME=$scratch/home
mkdir -p "$SWIFTLET_HOME"
for part in images kernels host cache; do ln -s "$shared_home/$part" "$SWIFTLET_HOME/$part"; done

at_end() { :; }
# Called by the trap.
# shellcheck disable=SC2317
clean() {
    at_end
    "$swiftlet" ps --all --quiet | xargs -r "$swiftlet" rm --force > /dev/null 2>&1
    rm -rf "$scratch"
}
trap clean EXIT

passes() { passed=$((passed + 1)); }
fails() {
    failed=$((failed + 1))
    echo "failed: $1"
    [ ! -s "$scratch/error" ] || sed 's/^/    /' "$scratch/error"
}
skips() {
    skipped=$((skipped + 1))
    echo "skipped: $1"
}

# check SENTENCE STATUS OUTPUT COMMAND...: the output may be a pattern of the shell's. `input` is a file to read from.
check() {
    local sentence=$1 status=$2 output=$3 found actual
    shift 3
    found=$("$@" 2> "$scratch/error" < "${input:-/dev/null}")
    actual=$?
    # The pattern is meant as one.
    # shellcheck disable=SC2053
    if [ "$actual" = "$status" ] && [[ $found == $output ]]; then
        passes
    else
        fails "$sentence: status $actual (wanted $status), output \"$found\" (wanted \"$output\")"
    fi
}

# said SENTENCE PATTERN: what the last check's command wrote to standard error fits the pattern.
said() {
    # shellcheck disable=SC2053
    if [[ $(cat "$scratch/error") == $2 ]]; then passes; else fails "$1: error not like \"$2\":"; fi
}

# refused SENTENCE PATTERN COMMAND...: it ends with 125, prints nothing, says what fits the pattern, and leaves nothing.
refused() {
    local sentence=$1 pattern=$2 found actual said
    shift 2
    found=$("$@" 2> "$scratch/error" < /dev/null)
    actual=$?
    said=$(cat "$scratch/error")
    # shellcheck disable=SC2053
    if [ "$actual" = 125 ] && [ -z "$found" ] && [[ $said == $pattern ]]; then
        passes
    else
        fails "$sentence: status $actual (wanted 125), output \"$found\", error not like \"$pattern\":"
    fi
    nothing_left "$sentence"
}

host_runs() { "$swiftlet" host status --json 2> /dev/null | grep -q '"running"'; }

# Every line is something that a command of this test left behind.
leftovers() {
    local process socket
    find "$SWIFTLET_HOME/machines" -mindepth 1 ! -name .names 2> /dev/null
    for process in /proc/[0-9]*; do
        case $(readlink "$process/exe" 2> /dev/null) in
            "$swiftlet" | */swiftlet-vmm) ;;
            *) continue ;;
        esac
        tr '\0' '\n' 2> /dev/null < "$process/environ" | grep -qx "SWIFTLET_HOME=$SWIFTLET_HOME" \
            && echo "process ${process#/proc/}: $(tr '\0' ' ' 2> /dev/null < "$process/cmdline")"
    done
    ls -d "${SWIFTLET_RUNTIME:-/run/swiftlet}"/[0-9a-f]* 2> /dev/null
    # Monitors and sockets inside; the share shows this machine's files, `/proc` and `/run` are the host's own.
    host_runs && "$swiftlet" host exec -- sh -c '
        ls -d /run/swiftlet-* 2> /dev/null
        grep -lz "[s]wiftlet-vmm" /proc/[0-9]*/cmdline' < /dev/null 2> /dev/null
}

# nothing_left SENTENCE: no process, folder, name or socket is there, at the latest after two seconds.
nothing_left() {
    local sentence=$1 left
    "$swiftlet" ps > /dev/null 2>&1
    for _ in 1 2 3 4; do
        left=$(leftovers)
        [ -n "$left" ] || break
        sleep 0.5
    done
    if [ -z "$left" ]; then passes; else
        fails "$sentence: something is left"
        printf '%s\n' "$left" | sed 's/^/    /'
    fi
}

# soon COMMAND...: waits until it succeeds, on a busy machine longer than on an idle one; what it waits for is checked next.
soon() {
    for _ in $(seq 300); do
        "$@" > /dev/null 2>&1 < /dev/null && return
        sleep 0.2
    done
}

# finish NAME: the last line, and the exit status of the test.
finish() {
    echo "$1: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}
