# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Whole programs: without us, recorded, replayed, under strace and under reprozip, in turn, so that whatever else the machine
# does touches all of them.  A ratio is the median of the rounds' ratios; behind it the smallest and the largest.

WORKLOADS='redis nginx cp make loop python psql slow'

# ---- the workloads: each prints one number, µs or requests a second ------------------------------------

once() { "$spawn" 1 "$@" | cut -d ' ' -f 1; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_port() {	# wait_port PORT PID: until PID listens there, or is gone
	local i
	for i in $(seq 500); do
		(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
		kill -0 "$2" 2>/dev/null || return 1
		sleep 0.02
	done
	return 1
}

# serve PORT PIDFILE CMD...: CMD's server for as long as "$LOAD" runs; its end is waited for.
serve() {
	local port=$1 pidfile=$2 job
	shift 2
	rm -f "$pidfile"
	"$@" >/dev/null 2>&1 </dev/null &
	job=$!
	wait_port "$port" "$job" && $LOAD "$port" || echo failed
	kill "$(cat "$pidfile")" 2>/dev/null || kill $job
	wait $job || :
}

redis_load() {
	redis-benchmark -p "$1" -n "$REQUESTS" -c 10 -t get --csv 2>/dev/null | sed -n 's/^"GET","\([0-9.]*\)".*/\1/p'
}
run_redis() {
	local port
	port=$(free_port)
	LOAD=redis_load serve "$port" "$W/redis.pid" "$@" redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no \
		--pidfile "$W/redis.pid" --dir "$W" --daemonize no
}

nginx_load() { wrk -t 1 -c 10 -d "${SECONDS_LONG}s" "http://127.0.0.1:$1/small" 2>/dev/null | sed -n 's/^Requests\/sec: *//p'; }
run_nginx() {
	local port
	port=$(free_port)
	cat >"$W/nginx.conf" <<-CONF
		daemon off; worker_processes 1; user root; pid $W/nginx.pid; error_log $W/nginx.log; events {}
		http { access_log off; client_body_temp_path $W/n1; proxy_temp_path $W/n2; fastcgi_temp_path $W/n3; uwsgi_temp_path $W/n4;
			scgi_temp_path $W/n5; server { listen 127.0.0.1:$port; root $W/www; } }
	CONF
	LOAD=nginx_load serve "$port" "$W/nginx.pid" "$@" nginx -p "$W" -c "$W/nginx.conf"
}

run_cp() {	# each to a new place: ext4 is slow where inodes were freed a moment ago
	once "$@" cp -r "$W/small" "$W/copies/$((++copy))"
}
run_make() {
	find "$W/project" -name '*.o' -delete
	once "$@" make -s -j2 -C "$W/project"
}
run_loop() { once "$@" sh -c 'i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i+1)); done'; }
run_python() { once "$@" /usr/bin/python3 -c 'import asyncio, json, re, sqlite3, urllib.request'; }
run_psql() { once "$@" "$pg/psql" -X -q -h "$W/pg" -U postgres -f "$W/queries"; }
run_slow() { once "$@" curl -sS "http://127.0.0.1:$slow_port/"; }

prepare() {
	local i
	W=$D/work copy=0
	mkdir -p "$W"/{www,small,copies,project,rpz}
	head -c 612 /dev/urandom >"$W/www/small"
	head -c 7500000 /dev/urandom | base64 -w 0 | split -a 4 -d -b 2000 - "$W/small/"
	for i in $(seq 50); do
		{
			printf '#include <math.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <time.h>\n'
			printf 'const char *built_%d(void) { return __DATE__ " " __TIME__; }\n' "$i"
			printf 'int f%d_%%d(char *s) { return printf("%%%%zu %%%%s", strlen(s), s) + atoi(s); }\n' "$i" >"$W/line"
			# shellcheck disable=SC2059
			printf "$(cat "$W/line")\n" $(seq 12)
		} >"$W/project/$i.c"
	done
	printf 'SRC := $(wildcard *.c)\nall: $(SRC:.c=.o)\n%%.o: %%.c\n\tgcc -O1 -c -o $@ $<\n' >"$W/project/Makefile"
	python3 -c '
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(8); print(s.getsockname()[1], flush=True)
while True:
	c = s.accept()[0]; c.recv(4096); time.sleep(1)
	c.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n"); c.close()' >"$W/slow.port" &
	PIDS+=($!)
	while [ ! -s "$W/slow.port" ]; do sleep 0.02; done
	slow_port=$(cat "$W/slow.port")
}

start_postgres() {	# false: there is none
	pg=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
	[ -n "$pg" ] || return 1
	mkdir "$W/pg" && chown postgres "$W/pg"
	(cd "$W/pg" && as_postgres "$pg/initdb" -D "$W/pg/data" -A trust -N >"$W/initdb.log" 2>&1) || return 1
	as_postgres "$pg/postgres" -D "$W/pg/data" -k "$W/pg" -c listen_addresses= >"$W/postgres.log" 2>&1 &
	PIDS+=($!)
	for i in $(seq 200); do "$pg/pg_isready" -q -h "$W/pg" && break; sleep 0.05; done
	{ echo 'create temporary table t(i int, x text);'; for i in $(seq 200); do echo "insert into t values ($i, md5(random()::text));"; done
	  echo 'select count(*), max(x), now() from t;'; } >"$W/queries"
}
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }

# ---- rounds ----------------------------------------------------------------------------------------------

is_server() { [ "$1" = redis ] || [ "$1" = nginx ]; }
note() { echo "${2:-failed}" >>"$D/$1"; }

one_round() {	# one_round WHAT ROUND
	local what=$1 first=$(($2 == 1))
	REQUESTS=50000 SECONDS_LONG=1
	# The first of all pays for what is not in the page cache yet.
	[ $first = 0 ] || run_"$what" >/dev/null
	note "$what.native" "$(run_"$what")"
	note "$what.record" "$(run_"$what" "$capsule" record -q -o "$W/$what.cap" --)"
	if ! is_server "$what"; then
		chmod 644 "$W/$what.cap"
		note "$what.replay" "$(cd / && "$spawn" 1 setpriv --reuid=nobody --regid=nogroup --clear-groups "$capsule" replay -q "$W/$what.cap" | cut -d ' ' -f 1)"
	fi
	[ $first = 1 ] || return 0
	REQUESTS=4000
	note "$what.strace" "$(run_"$what" strace -f -o /dev/null)"
	[ -z "$no_reprozip" ] || return 0
	note "$what.reprozip" "$(run_"$what" reprozip trace -w -d "$W/rpz/$what" --dont-identify-packages)"
}

run_workloads() {
	local what i
	prepare
	export REPROZIP_USAGE_STATS=off
	no_reprozip=''
	if ! command -v reprozip >/dev/null; then
		no_reprozip='is not installed'
	elif ! reprozip trace -w -d "$W/rpz/try" --dont-identify-packages true >"$W/rpz/says" 2>&1; then
		no_reprozip="does not run here: $(tail -n 1 "$W/rpz/says")"
	fi
	for what in $WORKLOADS; do
		[ "$what" != psql ] || start_postgres || continue
		for i in $(seq "$ROUNDS"); do one_round "$what" "$i" 2>>"$D/says"; done
	done
}

# ---- rows -------------------------------------------------------------------------------------------------

# paired FILE BASE: "×M (LEAST to MOST)" of FILE's lines over BASE's
paired() {
	[ -s "$D/$1" ] || return 0
	paste "$D/$1" "$D/$2" | awk '$1 + 0 > 0 && $2 + 0 > 0 { print $1 / $2 }' | sort -g |
		awk '{ a[NR] = $1 } END { if (!NR) print "fails"; else printf "×%.2f (%.2f to %.2f)", a[int((NR + 1) / 2)], a[1], a[NR] }'
}
value() {	# value UNIT FILE
	local m
	m=$(grep -v failed "$D/$2" | median)
	case $1 in
	ms) ms "${m:-failed}" ;;
	*) echo "${m:-failed} ${m:+$1}" ;;
	esac
}
compared() {	# what strace and reprozip made of it
	printf '`strace -f`: %s' "$(paired "$1.strace" "$1.native" | sed 's/ (.*//')"
	[ -n "$no_reprozip" ] || printf '; `reprozip trace`: %s' "$(paired "$1.reprozip" "$1.native" | sed 's/ (.*//')"
}
work_row() {	# work_row WHAT UNIT TEXT
	row "$3, recorded" "$(value "$2" "$1.native")" "$(value "$2" "$1.record"), $(paired "$1.record" "$1.native")" "$(compared "$1")"
	is_server "$1" || row "$3, replayed" "$(value "$2" "$1.native")" "$(value "$2" "$1.replay"), $(paired "$1.replay" "$1.native")" ''
}

print_workloads() {
	local what
	for what in $WORKLOADS; do
		case $what in
		redis) work_row redis req/s 'redis-server under redis-benchmark' ;;
		nginx) work_row nginx req/s 'nginx under wrk' ;;
		cp) work_row cp ms 'cp of 5,000 small files' ;;
		make) work_row make ms '`make -j2` of 50 C files' ;;
		loop) work_row loop ms 'a shell that starts 500 processes' ;;
		python) work_row python ms 'python3 starting up' ;;
		psql) [ ! -s "$D/psql.native" ] || work_row psql ms 'psql with 200 statements' ;;
		slow) work_row slow ms 'curl of a server that takes a second' ;;
		esac
	done
	[ -z "$no_reprozip" ] || printf '\n`reprozip trace` %s\n' "$no_reprozip"
}
