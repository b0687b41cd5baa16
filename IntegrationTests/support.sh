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
# What was said to standard error comes in the same line, for the end of the whole run tells that line alone.
fails() {
    failed=$((failed + 1))
    local words
    words=$(tr -s '\n' ' ' 2> /dev/null < "$scratch/error" | tail -c 240)
    echo "failed: $1${words:+ [said: ${words% }]}"
    [ ! -s "$scratch/error" ] || sed 's/^/    /' "$scratch/error"
}
skips() {
    skipped=$((skipped + 1))
    echo "skipped: $1"
}

# answer COMMAND...: what it prints and ends with, in `found` and `actual`. `input` is a file to read from.
answer() {
    found=$("$@" 2> "$scratch/error" < "${input:-/dev/null}")
    actual=$?
}

# judge SENTENCE STATUS OUTPUT: whether the answer is that; the output may be a pattern of the shell's.
judge() {
    # The pattern is meant as one.
    # shellcheck disable=SC2053
    if [ "$actual" = "$2" ] && [[ $found == $3 ]]; then
        passes
        return
    fi
    local status=
    [ "$actual" = "$2" ] || status="status $actual (wanted $2), "
    if [[ $found$3 == *$'\n'* ]]; then
        fails "$1: $status$(difference "$found" "$3")"
        printf '%s\n' "output:" "$found" "wanted:" "$3" | sed 's/^/    /'
    else
        fails "$1: status $actual (wanted $2), output \"$found\" (wanted \"$3\")"
    fi
}

# difference OUTPUT PATTERN: in one line, the first line of the output that no line of the pattern fits.
difference() {
    local -a lines patterns
    local line pattern number=0 wanted=
    mapfile -t lines <<< "$1"
    mapfile -t patterns <<< "$2"
    for pattern in "${patterns[@]}"; do
        if ! fits_one "$pattern" "${lines[@]}"; then wanted=$pattern; break; fi
    done
    for line in "${lines[@]}"; do
        number=$((number + 1))
        if ! is_fitted "$line" "${patterns[@]}"; then
            echo "line $number was \"${line:0:200}\" (wanted \"${wanted:0:200}\")"
            return
        fi
    done
    if [ -n "$wanted" ]; then
        echo "no line is like \"${wanted:0:200}\"; the last of $number was \"${line:0:200}\""
    else
        echo "each of $number lines is wanted, but not in this order or number"
    fi
}
# Whether a pattern fits one of the lines, and whether a line is fitted by one of the patterns.
# shellcheck disable=SC2053
fits_one() { local each; for each in "${@:2}"; do [[ $each != $1 ]] || return 0; done; return 1; }
# shellcheck disable=SC2053
is_fitted() { local each; for each in "${@:2}"; do [[ $1 != $each ]] || return 0; done; return 1; }

# check SENTENCE STATUS OUTPUT COMMAND...
check() {
    local sentence=$1 status=$2 output=$3 found actual
    shift 3
    answer "$@"
    judge "$sentence" "$status" "$output"
}

# How long is waited for what comes by itself, in seconds: on a machine that is busy with other guests, single steps stand still
# for ten of them.
patience=240

# eventually SENTENCE STATUS OUTPUT COMMAND...: the same, asked again until it is so, and told as it was at last.
eventually() {
    local sentence=$1 status=$2 output=$3 found actual end=$((SECONDS + patience))
    shift 3
    while :; do
        answer "$@"
        # shellcheck disable=SC2053
        if [ "$actual" = "$status" ] && [[ $found == $output ]] || [ $SECONDS -ge $end ]; then break; fi
        sleep 0.2
    done
    judge "$sentence" "$status" "$output"
}

# A machine that runs and ends: where an emulated host is needed, it is there from then on.
first_guest() { check "a guest runs" 0 "" "$swiftlet" run --rm busybox true; }

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

# nothing_left SENTENCE: no process, folder, name or socket is there, in the end.
nothing_left() {
    local sentence=$1 left end=$((SECONDS + patience))
    "$swiftlet" ps > /dev/null 2>&1
    while :; do
        left=$(leftovers)
        if [ -z "$left" ] || [ $SECONDS -ge $end ]; then break; fi
        sleep 0.5
    done
    if [ -z "$left" ]; then passes; else
        : > "$scratch/error"
        fails "$sentence: something is left: ${left//$'\n'/, }"
        printf '%s\n' "$left" | sed 's/^/    /'
    fi
}

# soon COMMAND...: waits until it succeeds; what it waits for is checked next, so that who waits in vain is told and not failed.
soon() {
    local end=$((SECONDS + patience / 2))
    until "$@" > /dev/null 2>&1 < /dev/null; do
        [ $SECONDS -lt $end ] || { echo "waited in vain: $*"; return 1; }
        sleep 0.2
    done
}

# finish NAME: the last line, and the exit status of the test.
finish() {
    echo "$1: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}
