#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An armed capsule watch that nothing triggers: redis-benchmark, and wrk against nginx, beside native, at level 0 and at level 2 with history, in
# turn; the recorder's memory and processor time meanwhile, also for 1,000 requests; an idle one with 200 scopes.  Medians of ROUNDS (5),
# REQUESTS (100000) each, wrk for SECONDS_WRK (3).
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
top=$(cd "$(dirname "$0")/../.." && pwd)
case ${O:=build} in /*) ;; *) O=$top/$O ;; esac
ROUNDS=${ROUNDS:-5} REQUESTS=${REQUESTS:-100000} SECONDS_WRK=${SECONDS_WRK:-3}
[ "$(id -u)" = 0 ] || { echo 'recording needs root' >&2; exit 77; }

D=$(mktemp -d "${TMPDIR:-/tmp}/capsule-bench.XXXXXX")
PIDS=()
stop() { local p; for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null && wait "$p" 2>/dev/null || :; done; PIDS=(); }
trap 'stop; rm -rf "$D"' EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port) http=$(free_port)
median() { sort -g "$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$D" >/dev/null &
PIDS+=($!)
until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.05; done
mkdir "$D/nginx"
cat >"$D/nginx.conf" <<CONF
daemon off; master_process off; pid $D/nginx/pid; error_log $D/nginx/error.log; events {}
http { access_log off; client_body_temp_path $D/nginx/1; proxy_temp_path $D/nginx/2; fastcgi_temp_path $D/nginx/3; uwsgi_temp_path $D/nginx/4;
	scgi_temp_path $D/nginx/5; server { listen 127.0.0.1:$http; location / { return 200 "hello\n"; } } }
CONF
nginx -p "$D/nginx" -c "$D/nginx.conf" 2>/dev/null &
PIDS+=($!)
until (exec 3<>"/dev/tcp/127.0.0.1/$http") 2>/dev/null; do sleep 0.05; done

policy() {
	cat >"$D/policy.yaml" <<-YAML
		- name: bench
		  select: {$2}
		  scope: process
		  when: {any: [{exit: "!= 0"}]}
		  then:
		    history: {bytes: 64MiB, seconds: 60}
		    capture: {level: $1}
		    store: $D/store
	YAML
}
run() {
	redis-benchmark -p "$port" -n "$REQUESTS" -c 20 -q -t get --csv | awk -F '"' '$2 == "GET" { print $4 }' >>"$D/$1"
	wrk -t 1 -c 20 -d "$SECONDS_WRK" "http://127.0.0.1:$http/" | awk '/^Requests\/sec/ { print $2 }' >>"$D/$1.nginx"
}
used() { awk '{ print int($1 / 1000) }' "/proc/$1/schedstat"; }	# microseconds of a processor
start_watch() {	# SCOPES
	: >"$D/log"
	"$O/capsule" watch --socket "$D/socket" "$D/policy.yaml" 2>"$D/log" &
	watch=$!
	until [ "$(grep -c 'watching pid' "$D/log")" -ge "$1" ]; do sleep 0.05; done
}
watched() {
	local before after
	policy "$2" "port: [$port, $http]"
	start_watch 2
	before=$(used "$watch")
	redis-benchmark -p "$port" -n "$REQUESTS" -c 20 -q -t get >/dev/null
	sleep 0.2
	after=$(used "$watch")
	awk -v us=$((after - before)) -v n="$REQUESTS" 'BEGIN { printf "%.2f\n", us / n / 10 }' >>"$D/$1.thousand"	# % of a core, for 1,000 in a second
	run "$1"
	awk '/^RssAnon/ { print $2 }' "/proc/$watch/status" >>"$D/$1.memory"
	kill "$watch"
	wait "$watch"
	sed -n 's/.* \([0-9]*\) records lost.*/\1/p' "$D/log" >>"$D/$1.lost"
}
# 200 programs that do nothing.
idle() {
	local before after i
	cp "$(command -v sleep)" "$D/idler"
	for i in $(seq 200); do
		"$D/idler" 1000 &
		PIDS+=($!)
	done
	policy metadata 'binary: idler'
	start_watch 200
	sleep 3
	before=$(used "$watch")
	sleep 5
	after=$(used "$watch")
	printf 'An idle recorder with 200 scopes: %s %% of a core, %s KiB beside the ring.\n' \
		"$(awk -v us=$((after - before)) 'BEGIN { printf "%.2f", us / 50000 }')" "$(awk '/^RssAnon/ { print $2 }' "/proc/$watch/status")"
	kill "$watch"
	wait "$watch"
}
for _ in $(seq "$ROUNDS"); do
	run native
	watched level0 metadata
	watched level2 payload
done
of_native() { awk -v a="$(median "$D/$1")" -v b="$(median "$D/native$2")" 'BEGIN { printf "%.2f", a / b }'; }
echo '| watch | redis-benchmark GET/s | of native | wrk to nginx/s | of native | recorder at 1,000/s, % of a core | KiB beside the ring | records lost |'
echo '| --- | --- | --- | --- | --- | --- | --- | --- |'
for w in native level0 level2; do
	printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$w" "$(median "$D/$w")" "$(of_native $w '')" "$(median "$D/$w.nginx")" "$(of_native $w.nginx .nginx)" \
		"$([ $w = native ] || median "$D/$w.thousand")" "$([ $w = native ] || median "$D/$w.memory")" "$([ $w = native ] || median "$D/$w.lost")"
done
idle
