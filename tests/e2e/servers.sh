# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Servers: their clients are outside the scope, and gone at the replay.  A SIGTERM from outside ends them.

# serve NAME CMD...: records CMD in the background; end_server NAME STATUS ends it.
serve() {
	needs_recording
	local name=$1
	shift
	(status=0
	set -o pipefail
	"$CAPSULE" record -q -o "$T/$name.cap" -- "$@" </dev/null 2>"$T/$name.err" | cat >"$T/$name.out" || status=$?
	echo $status >"$T/$name.status") &
	SERVING=$!
	SERVERS+=("$SERVING")
}

children() { cat "/proc/$1/task/"*/children 2>/dev/null; }

# The first process below PID $1 that runs what $2 names.
running() {
	local p
	for p in $(children "$1"); do
		[ "$(cat "/proc/$p/comm" 2>/dev/null)" = "$2" ] && { echo "$p"; return; }
		running "$p" "$2" && return
	done
	return 1
}

end_server() {	# end_server NAME COMM STATUS
	local pid
	pid=$(running "$SERVING" "$2" | head -n 1) || fail "$2 does not run: $(head -c 500 "$T/$1.err")"
	kill -TERM "$pid"
	wait "$SERVING" || :
	SERVERS=()
	[ "$(cat "$T/$1.status")" -eq "$3" ] || fail "$2 ended with $(cat "$T/$1.status"): $(head -c 500 "$T/$1.err")"
	chmod 644 "$T/$1.cap"
}

case_redis_server() {
	needs redis-server redis-cli redis-benchmark
	local port n
	port=$(free_port)
	mkdir -m 777 "$T/db"
	serve redis redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$T/db"
	wait_for redis-cli -p "$port" ping
	redis-benchmark -p "$port" -n 2000 -c 10 -q -t set,get,lpush >/dev/null
	n=$(redis-cli -p "$port" info commandstats | grep -c 'cmdstat_\(set\|get\|lpush\):calls=2000') || :
	[ "$n" -eq 3 ] || fail "redis did not get all commands"
	end_server redis redis-server 0
	grep -q 'Received SIGTERM' "$T/redis.out" || fail "redis does not tell of the signal"
	replays_the_same redis
}

# many PORT N: N connections that stay, four requests on each.
many() {
	python3 - "$@" <<-'PY'
		import socket, sys
		conns = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(int(sys.argv[2]))]
		paths = "/a.txt", "/live", "/big"
		for k in range(4):
		    for i, c in enumerate(conns):
		        c.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % paths[(i + k) % 3].encode())
		    for c in conns:
		        got = b""
		        while b"\r\n\r\n" not in got:
		            got += c.recv(65536) or sys.exit("closed")
		        head, body = got.split(b"\r\n\r\n", 1)
		        length = [l for l in head.lower().split(b"\r\n") if l.startswith(b"content-length")][0]
		        while len(body) < int(length.split(b":")[1]):
		            body += c.recv(65536) or sys.exit("closed")
	PY
}

# In a file of their own, the lines of two workers would stand in an order that nobody outside has seen: the log is stdout.
case_nginx_workers() {
	needs nginx curl python3
	local port
	port=$(free_port)
	mkdir "$T/www" "$T/ng"
	echo hello >"$T/www/a.txt"
	head -c 200000 /dev/urandom >"$T/www/big"
	cat >"$T/ng/conf" <<-CONF
		daemon off; worker_processes 2; user root; pid $T/ng/pid; error_log $T/ng/error.log;
		events { worker_connections 128; }
		http {
			access_log /dev/stdout; sendfile on; keepalive_timeout 30; default_type text/plain;
			client_body_temp_path $T/ng/body; proxy_temp_path $T/ng/proxy; fastcgi_temp_path $T/ng/fastcgi;
			uwsgi_temp_path $T/ng/uwsgi; scgi_temp_path $T/ng/scgi;
			server {
				listen 127.0.0.1:$port; root $T/www;
				location = /live { return 200 "\$msec \$request_id \$connection_requests\n"; }
			}
		}
	CONF
	serve nginx nginx -p "$T/ng" -c "$T/ng/conf"
	wait_for curl -s "127.0.0.1:$port/a.txt"
	many "$port" 50 || fail "not all was served"
	curl -s "127.0.0.1:$port/none" >/dev/null
	end_server nginx nginx 0
	[ "$(wc -l <"$T/nginx.out")" -ge 202 ] || fail "the access log is short"
	take_away "$T/www" "$T/ng"
	replays_the_same nginx
}

case_memcached() {
	needs memcached python3
	local port
	port=$(free_port)
	serve memcached memcached -u root -U 0 -l 127.0.0.1 -p "$port" -t 4
	wait_for listens 127.0.0.1 "$port"
	python3 - "$port" <<-'PY' || fail "memcached did not serve"
		import socket, sys
		conns = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(8)]
		for k in range(20):
		    for i, c in enumerate(conns):
		        c.sendall(b"set k%d_%d 0 0 5\r\nhello\r\nget k%d_%d\r\nincr n 1\r\n" % (i, k, i, k))
		    for c in conns:
		        got = b""
		        while got.count(b"\r\n") < 5:
		            got += c.recv(65536) or sys.exit("closed")
	PY
	end_server memcached memcached 0
	replays_the_same memcached
}

case_http_server_threads() {
	needs python3 curl
	local port pids=() i
	port=$(free_port)
	mkdir "$T/www"
	echo hello >"$T/www/a.txt"
	head -c 300000 /dev/urandom >"$T/www/big"
	serve http python3 -u -m http.server "$port" --bind 127.0.0.1 --directory "$T/www"
	wait_for curl -s "127.0.0.1:$port/"
	for i in 1 2 3 4 5 6 7 8; do
		curl -s "127.0.0.1:$port/a.txt" >/dev/null & pids+=($!)
		curl -s "127.0.0.1:$port/big" >/dev/null & pids+=($!)
	done
	wait "${pids[@]}"
	curl -s "127.0.0.1:$port/none" >/dev/null
	end_server http python3 143
	[ "$(grep -c 'GET /big HTTP/1.1" 200' "$T/http.err")" -eq 8 ] || fail "not all was served"
	take_away "$T/www"
	replays_the_same http
}
