#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An armed capsule watch that nothing triggers: redis-benchmark beside native, at level 0 and at level 2 with history, in turn; the
# recorder's memory and processor time meanwhile.  Medians of ROUNDS (5), REQUESTS (100000) each.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
top=$(cd "$(dirname "$0")/../.." && pwd)
case ${O:=build} in /*) ;; *) O=$top/$O ;; esac
ROUNDS=${ROUNDS:-5} REQUESTS=${REQUESTS:-100000}
[ "$(id -u)" = 0 ] || { echo 'recording needs root' >&2; exit 77; }

D=$(mktemp -d "${TMPDIR:-/tmp}/capsule-bench.XXXXXX")
PIDS=()
stop() { local p; for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null && wait "$p" 2>/dev/null || :; done; PIDS=(); }
trap 'stop; rm -rf "$D"' EXIT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
median() { sort -g "$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$D" >/dev/null &
PIDS+=($!)
until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.05; done

policy() {
	cat >"$D/policy.yaml" <<-YAML
		- name: bench
		  select: {port: $port}
		  scope: process
		  when: {any: [{exit: "!= 0"}]}
		  then:
		    history: {bytes: 64MiB, seconds: 60}
		    capture: {level: $1}
		    store: $D/store
	YAML
}
run() { redis-benchmark -p "$port" -n "$REQUESTS" -c 20 -q -t get --csv | awk -F '"' '$2 == "GET" { print $4 }' >>"$D/$1"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
watched() {
	policy "$2"
	: >"$D/log"
	"$O/capsule" watch --socket "$D/socket" "$D/policy.yaml" 2>"$D/log" &
	local watch=$!
	until grep -q 'watching pid' "$D/log"; do sleep 0.05; done
	run "$1"
	awk '/^RssAnon/ { print $2 }' "/proc/$watch/status" >>"$D/$1.memory"
	local before
	before=$(ticks "$watch")
	sleep 2
	echo $((($(ticks "$watch") - before) * 100 / 2 / $(getconf CLK_TCK))) >>"$D/$1.idle"
	kill "$watch"
	wait "$watch"
	sed -n 's/.* \([0-9]*\) records lost.*/\1/p' "$D/log" >>"$D/$1.lost"
}
for _ in $(seq "$ROUNDS"); do
	run native
	watched level0 metadata
	watched level2 payload
done
echo '| redis-benchmark GET | requests/s | of native | recorder, KiB beside the ring | idle, % of a core | records lost |'
echo '| --- | --- | --- | --- | --- | --- |'
for w in native level0 level2; do
	printf '| %s | %s | %s | %s | %s | %s |\n' "$w" "$(median "$D/$w")" \
		"$(awk -v a="$(median "$D/$w")" -v b="$(median "$D/native")" 'BEGIN { printf "%.2f", a / b }')" \
		"$([ $w = native ] || median "$D/$w.memory")" "$([ $w = native ] || median "$D/$w.idle")" "$([ $w = native ] || median "$D/$w.lost")"
done
