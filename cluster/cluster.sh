# shellcheck shell=bash
# What the commands of this folder share: where a cluster lives, how its processes are started, found and ended.
#
# A cluster is a folder:
#   cluster.env          base port, nodes, upstreams: what `up` was asked for
#   a.json5 a.log a/     a node's configuration, its log, its data
#   a.pid                the process that holds the node's sockets and disk
#   test1.csv test1.log  the books and the words of a test upstream (baton sink), with test1.pid

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
directory=${XDG_STATE_HOME:-$HOME/.local/state}/baton/cluster
baton=${BATON_BINARY:-$root/.build/release/baton}

# What cluster.env remembers, for the commands that read this file.
# shellcheck disable=SC2034
{
    base_port=2525
    nodes=()
    upstreams=()
    tests=()
}

say() { printf '%s\n' "$*"; }

# Bad news in one line; the status is 2 for wrong usage, otherwise 1.
fail() {
    printf '%s: %s\n' "cluster/$(basename "$0")" "$1" >&2
    exit "${2:-1}"
}

# Prints the comment at the top of the command, which is its help.
help() {
    sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
    exit 0
}

# Wrong usage unless a value follows the option: takes "$@" from the option on.
need() {
    [ $# -ge 2 ] || fail "$1 needs a value" 2
}

# Reads what `up` wrote.
load() {
    [ -f "$directory/cluster.env" ] || fail "no cluster in $directory; begin with: cluster/up --directory $directory"
    # shellcheck source=/dev/null
    . "$directory/cluster.env"
}

# The recorded process, if it runs and is ours: its command line names our folder, so a recycled pid is never taken for it.
pid_of() {
    local pid
    [ -f "$directory/$1.pid" ] || return 1
    pid=$(cat "$directory/$1.pid")
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -e "$directory/$1." || return 1
    printf '%s' "$pid"
}

# Runs a command in the background in a session of its own, so that it outlives this one; its output is appended to the log.
launch() {
    local name=$1
    shift
    setsid "$@" </dev/null >>"$directory/$name.log" 2>&1 &
    printf '%s\n' "$!" >"$directory/$name.pid"
}

# Whether a process is gone with all its threads, and so its locks and sockets: a dead one may wait for its parent to look.
is_gone() {
    local threads
    threads=$(cat "/proc/$1/task/"*/stat 2>/dev/null) || true
    [ -z "$threads" ] || [[ $(wc -l <<<"$threads") -eq 1 && ${threads##*) } == [ZX]* ]]
}

# Ends a process of ours by a signal and waits until it is gone; after the patience (seconds) it says so and fails.
end() {
    local name=$1 signal=$2 patience=$3 pid waited=0
    pid=$(pid_of "$name") || return 0
    kill "-$signal" "$pid" 2>/dev/null || true
    until is_gone "$pid"; do
        sleep 0.02
        waited=$((waited + 1))
        [ "$waited" -lt $((patience * 50)) ] || fail "$name (pid $pid) did not end within $patience s of SIG$signal"
    done
    rm -f "$directory/$name.pid"
}

# Nodes are a, b, c …; their ports are offsets from the base port.
index_of() {
    [[ $1 =~ ^[a-g]$ ]] || fail "a node's name is a letter from a to g, not '$1'" 2
    printf '%d' $(($(printf '%d' "'$1") - 97))
}
admin_port() { printf '%d' $((base_port + 20 + $(index_of "$1"))); }

is_node() {
    local name
    for name in "${nodes[@]}"; do [ "$name" != "$1" ] || return 0; done
    return 1
}

start_node() {
    pid_of "$1" >/dev/null && return 0
    launch "$1" "$baton" serve --config "$directory/$1.json5"
}

start_test() {
    pid_of "$1" >/dev/null && return 0
    launch "$1" "$baton" sink --listen "127.0.0.1:$2" --book "$directory/$1.csv"
}

# Waits until a node may accept mail; a node that ends before that has said why in its log.
await_node() {
    local patience=${2:-30} port waited=0
    port=$(admin_port "$1")
    until curl -sf -m 2 -o /dev/null "http://127.0.0.1:$port/readyz"; do
        pid_of "$1" >/dev/null || fail "node $1 ended; the last it said:
$(tail -n 3 "$directory/$1.log")"
        sleep 0.05
        waited=$((waited + 1))
        [ "$waited" -lt $((patience * 20)) ] || fail "node $1 is not ready after $patience s: see $directory/$1.log, or
$(curl -s -m 2 "http://127.0.0.1:$port/readyz" || true)"
    done
}

# The options that all commands but `up` and `drill` have: --directory DIR, and --help. The rest stays in `arguments`.
arguments=()
common_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --directory) need "$@" && directory=$2 && shift ;;
            --directory=*) directory=${1#*=} ;;
            --help | -h) help ;;
            --*) fail "unknown option '$1'" 2 ;;
            *) arguments+=("$1") ;;
        esac
        shift
    done
    directory=$(realpath -m "$directory")
}

one_node() {
    [ "${#arguments[@]}" -eq 1 ] || fail "which node? for example: cluster/$(basename "$0") a" 2
    load
    is_node "${arguments[0]}" || fail "there is no node '${arguments[0]}' here, only: ${nodes[*]}" 2
}
