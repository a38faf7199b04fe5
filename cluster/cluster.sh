# shellcheck shell=bash
# What the commands of this folder share: where a cluster lives, how its processes are started, found and ended.
#
# A cluster is a folder:
#   cluster.env          base port, nodes, upstreams: what `up` was asked for
#   cluster.secret       by which the nodes know each other
#   a.json5 a.log a/     a node's configuration, its log, its data
#   a.pid                the process that holds the node's sockets and disk
#   haproxy.cfg          the balancer's configuration, with haproxy.log and haproxy.pid
#   test1.csv test1.log  the books and the words of a test upstream (baton sink), with test1.pid
#
# With `up --network namespaces` each node lives in a network namespace of its own, the clients' side (balancer, test
# upstreams) in another, `out`, and all hang on a wire that can be cut (wire.py).

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
    uncertain=resend
    test_delay=0ms
    network=loopback
    balancer=no
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
# The first argument is the network namespace to run it in: a node's name, `out` or `wire`.
launch() {
    local place=$1 name=$2
    shift 2
    enter "$place"
    setsid "${entered[@]}" "$@" </dev/null >>"$directory/$name.log" 2>&1 &
    local pid=$!
    printf '%s\n' "$pid" >"$directory/$name.pid"
    # Until the command has taken this shell's place, nothing shows that the process is ours.
    until pid_of "$name" >/dev/null || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
    launched+=("$name")
}
launched=()

# Sets `entered` to what goes before a command that is to run in a place (`ip netns exec` keeps the pid: it executes).
enter() {
    entered=()
    [ "$network" = loopback ] || entered=(ip netns exec "$(namespace_of "$1")")
}
namespace_of() { printf 'baton-%d-%s' "$base_port" "$1"; }

# Whether a process is gone with all its threads, and so its locks and sockets: a dead one may wait for its parent to look.
is_gone() {
    local threads
    threads=$(cat "/proc/$1/task/"*/stat 2>/dev/null) || true
    [ -z "$threads" ] || [[ $(wc -l <<<"$threads") -eq 1 && ${threads##*) } == [ZX]* ]]
}

# Ends processes of ours by a signal, all at once, and waits until they are gone; after the patience (seconds) it says so
# and fails.
end() {
    local signal=$1 patience=$2 name pid waited=0
    local -A pids=()
    shift 2
    for name in "$@"; do
        pid=$(pid_of "$name") || continue
        pids[$name]=$pid
        kill "-$signal" "$pid" 2>/dev/null || true
    done
    for name in "${!pids[@]}"; do
        until is_gone "${pids[$name]}"; do
            sleep 0.02
            waited=$((waited + 1))
            [ "$waited" -lt $((patience * 50)) ] ||
                fail "$name (pid ${pids[$name]}) did not end within $patience s of SIG$signal"
        done
        rm -f "$directory/$name.pid"
    done
}

# Nodes are a, b, c …; their ports are offsets from the base port.
index_of() {
    [[ $1 =~ ^[a-g]$ ]] || fail "a node's name is a letter from a to g, not '$1'" 2
    printf '%d' $(($(printf '%d' "'$1") - 97))
}
port_of() { printf '%d' $((base_port + 1 + $(index_of "$1"))); }
cluster_port() { printf '%d' $((base_port + 10 + $(index_of "$1"))); }
admin_port() { printf '%d' $((base_port + 20 + $(index_of "$1"))); }
health_port() { printf '%d' $((base_port + 40 + $(index_of "$1"))); }

# The addresses of nodes, of the clients' side, and the one from which the balancer connects to the nodes.
host_of() { if [ "$network" = loopback ]; then printf '127.0.0.1'; else printf '10.77.0.%d' $((1 + $(index_of "$1"))); fi; }
out_host() { if [ "$network" = loopback ]; then printf '127.0.0.1'; else printf '10.77.0.250'; fi; }
balancer_source() { if [ "$network" = loopback ]; then printf '127.0.0.9'; else printf '10.77.0.251'; fi; }

is_node() {
    local name
    for name in "${nodes[@]}"; do [ "$name" != "$1" ] || return 0; done
    return 1
}

start_node() {
    pid_of "$1" >/dev/null && return 0
    launch "$1" "$1" "$baton" serve --config "$directory/$1.json5"
}

start_test() {
    pid_of "$1" >/dev/null && return 0
    launch out "$1" "$baton" sink --listen "$(out_host):$2" --delay "$test_delay" --book "$directory/$1.csv"
}

# Debian puts it where only root looks.
find_haproxy() {
    local path
    path=$(PATH=$PATH:/usr/sbin command -v haproxy) && [ -x "$path" ] && printf '%s' "$path"
}

start_balancer() {
    pid_of haproxy >/dev/null && return 0
    launch out haproxy "$(find_haproxy)" -db -f "$directory/haproxy.cfg"
}

# Asks a node over the Unix socket in its data directory, which also answers from inside a namespace.
ask() { curl -s -m 2 --unix-socket "$directory/$1/admin.sock" "${@:3}" "http://node$2"; }

# Waits until a node may accept mail, or is up and drained (`readiness` is 200 or 404); a node that ends before that has
# said why in its log.
await_node() {
    local patience=${2:-30} waited=0 name
    until readiness=$(ask "$1" /readyz -o /dev/null -w '%{http_code}') && [[ $readiness == 200 || $readiness == 404 ]]; do
        # One that waits for another would wait in vain.
        for name in "$1" "${launched[@]}"; do
            pid_of "$name" >/dev/null || fail "$name ended; the last it said:
$(tail -n 3 "$directory/$name.log")"
        done
        sleep 0.05
        waited=$((waited + 1))
        [ "$waited" -lt $((patience * 20)) ] || fail "node $1 is not ready after $patience s: see $directory/$1.log, or
$(ask "$1" /readyz || true)"
    done
}

# Waits until a client who connects to the balancer is greeted by a node.
await_balancer() {
    local waited=0
    enter out
    # shellcheck disable=SC2016
    until "${entered[@]}" timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1" && read -r line <&3 && [[ $line == 220* ]]' \
        "$(out_host)" "$base_port" 2>/dev/null; do
        pid_of haproxy >/dev/null || fail "HAProxy ended; the last it said:
$(tail -n 3 "$directory/haproxy.log")"
        sleep 0.05
        waited=$((waited + 1))
        [ "$waited" -lt 200 ] || fail "nobody greets on $(out_host):$base_port: see $directory/haproxy.log"
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
