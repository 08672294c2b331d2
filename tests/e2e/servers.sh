# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Servers: their clients are outside the scope, and gone at the replay.  A SIGTERM from outside ends them.

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

# under_wrk ANSWERS WRK_OPTION...: each of wrk's threads ends after so many answers: requests come at full speed, and their number is bounded.
under_wrk() {
	needs nginx wrk
	local port answers=$1
	shift
	port=$(free_port)
	mkdir "$T/www" "$T/ng"
	head -c 612 /dev/urandom >"$T/www/small"
	cat >"$T/ng/conf" <<-CONF
		daemon off; worker_processes 2; user root; pid $T/ng/pid; error_log $T/ng/error.log;
		events { worker_connections 128; }
		http {
			access_log off; sendfile on; keepalive_requests 100000;
			client_body_temp_path $T/ng/body; proxy_temp_path $T/ng/proxy; fastcgi_temp_path $T/ng/fastcgi;
			uwsgi_temp_path $T/ng/uwsgi; scgi_temp_path $T/ng/scgi;
			server { listen 127.0.0.1:$port; root $T/www; }
		}
	CONF
	echo "local n = 0; function response() n = n + 1; if n == $answers then wrk.thread:stop() end end" >"$T/stop.lua"
	serve nginx nginx -p "$T/ng" -c "$T/ng/conf"
	wait_for listens 127.0.0.1 "$port"
	wrk -t2 -d5s "$@" -s "$T/stop.lua" "http://127.0.0.1:$port/small" >"$T/wrk.out" || fail "wrk: $(cat "$T/wrk.out")"
	grep -q 'Non-2xx' "$T/wrk.out" && fail "not all was served: $(cat "$T/wrk.out")"
	end_server nginx nginx 0
	"$CAPSULE" show "$T/nginx.cap" >"$T/show"
	grep -q '^fidelity *complete' "$T/show" || fail "not recorded without loss: $(grep -A 9 '^fidelity' "$T/show")"
	take_away "$T/www" "$T/ng"
	replays_the_same nginx
}

case_nginx_under_wrk() { under_wrk 1500 -c50; }

# A connection for each request, and few ports: their addresses come again.
case_nginx_and_few_ports() {
	private_network
	echo 40000 40060 >/proc/sys/net/ipv4/ip_local_port_range
	under_wrk 200 -c10 -H 'Connection: close'
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

# Each of eight clients in turn asks for what another one gives.  The four that ask wait together, on one condition; what is given is given
# one after the other: which of two threads takes a lock first, with nothing between that anybody outside sees, is in no record.
case_threads_and_locks() {
	needs python3
	local port
	port=$(free_port)
	serve locks "$BIN/lockserver" "$port" 8
	wait_for grep -q ":$(printf %04X "$port") " /proc/net/tcp
	python3 - "$port" <<-'PY' || fail "not all was served"
		import socket, sys
		conns = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(8)]
		files = [c.makefile("rb") for c in conns]
		for k in range(25):
		    for i in range(1, 8, 2):
		        conns[i].sendall(b"take %d\n" % ((i + k) % 8))
		    for i in range(0, 8, 2):
		        conns[i].sendall(b"put %d\n" % ((i + 1 + k) % 8))
		        for f in files[i], files[i + 1]:
		            f.readline().endswith(b"\n") or sys.exit("closed")
	PY
	wait "$SERVING" || :
	SERVERS=()
	chmod 644 "$T/locks.cap"
	grep -q EXIT-SUCCESS "$T/locks.out" || fail "it did not end: $(cat "$T/locks.out" "$T/locks.err")"
	replays_the_same locks
}

case_asyncio_server() {
	needs python3
	local port
	port=$(free_port)
	cat >"$T/server.py" <<-'PY'
		import asyncio, os, random, signal, sys, time
		async def serve(r, w):
		    while line := await r.readline():
		        await asyncio.sleep(0.002)
		        w.write(b"%s %f %f %d %s\n" % (line.strip(), time.time(), time.monotonic(), random.randrange(1 << 30), os.urandom(4).hex().encode()))
		        await w.drain()
		    w.close()
		async def main():
		    stop = asyncio.Event()
		    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
		    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=100):
		        await stop.wait()
		    print("stopped", time.time())
		asyncio.run(main())
	PY
	serve asyncio python3 "$T/server.py" "$port"
	wait_for listens 127.0.0.1 "$port"
	python3 - "$port" <<-'PY' || fail "not all was served"
		import asyncio, sys
		async def client(i):
		    r, w = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
		    for k in range(10):
		        w.write(b"%d-%d\n" % (i, k))
		        if not (await r.readline()).startswith(b"%d-%d " % (i, k)): sys.exit("wrong answer")
		    w.close()
		async def main(): await asyncio.gather(*[client(i) for i in range(50)])
		asyncio.run(main())
	PY
	end_server asyncio python3 0
	grep -q stopped "$T/asyncio.out" || fail "it was not stopped: $(tail -n 3 "$T/asyncio.err")"
	replays_the_same asyncio
}

# BGSAVE forks while clients go on.  Without an append-only file that is synced every second: a snapshot holds how much memory
# redis used, and that depends on how long its thread took to sync, which is nobody's order but the disk's.
limit_redis_saves=300
case_redis_saves() {
	needs redis-server redis-cli redis-benchmark
	local port
	port=$(free_port)
	mkdir -m 777 "$T/db"
	serve redis redis-server --bind 127.0.0.1 --port "$port" --save '3600 1' --appendonly no --dir "$T/db"
	wait_for redis-cli -p "$port" ping
	redis-benchmark -p "$port" -n 2000 -c 10 -q -t set >/dev/null &
	redis-cli -p "$port" bgsave >/dev/null
	redis-benchmark -p "$port" -n 1000 -c 5 -r 1000 -q -t incr,lpush >/dev/null
	wait $!
	wait_for sh -c "redis-cli -p $port info persistence | grep -q rdb_bgsave_in_progress:0"
	[ "$(redis-cli -p "$port" info persistence | grep -c 'rdb_saves:1\|rdb_last_bgsave_status:ok')" -eq 2 ] || fail "it did not save"
	end_server redis redis-server 0
	grep -q 'DB saved on disk' "$T/redis.out" || fail "redis does not tell of its save"
	take_away "$T/db"
	replays_the_same redis
}

# A thread of its own syncs the append-only file while clients go on, in more than one second.
limit_redis_appends=300
case_redis_appends() {
	needs redis-server redis-cli redis-benchmark
	local port
	port=$(free_port)
	mkdir -m 777 "$T/db"
	serve redis redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly yes --appendfsync everysec --dir "$T/db"
	wait_for redis-cli -p "$port" ping
	redis-benchmark -p "$port" -n 2000 -c 10 -q -t set >/dev/null
	sleep 1
	redis-benchmark -p "$port" -n 1000 -c 5 -r 1000 -q -t incr,lpush >/dev/null
	end_server redis redis-server 0
	[ "$(cat "$T/db/appendonlydir/"*.incr.aof | grep -ac '^INCR')" -eq 1000 ] || fail "not all was appended"
	take_away "$T/db"
	replays_the_same redis
}
