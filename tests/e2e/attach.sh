# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Programs that run already: recorded without being disturbed, left as they were, replayed from their start.

# ---- the programs, and their clients ----------------------------------------------

start_clock_service() {	# [PROGRAM]: tests/e2e's own little service on port $PORT, $SERVICE
	PORT=$(free_port)
	cat >"$T/service.py" <<-'PY'
		import http.server, os, sys, time, uuid
		class Handler(http.server.BaseHTTPRequestHandler):
		    protocol_version = "HTTP/1.1"
		    def do_GET(self):
		        body = ("%s %.6f %s %s\n" % (self.path, time.time(), os.urandom(8).hex(), uuid.uuid4())).encode()
		        self.send_response(200)
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)
		    def log_message(self, *a):
		        pass
		http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
	PY
	start service.log /usr/bin/python3 "$T/service.py" "$PORT"
	SERVICE=${SERVERS[-1]}
	wait_for listens 127.0.0.1 "$PORT"
}

# client URL [OPTION]...: a request every 20 ms until stop_client; every failure is a line of client.bad.
client() {
	local url=$1
	shift
	: >"$T/client.bad"
	rm -f "$T/client.stop"
	(i=0; while [ ! -e "$T/client.stop" ]; do
		i=$((i + 1))
		curl -sS --max-time 5 "$@" "$url$i" >>"$T/client.out" 2>>"$T/client.bad" || echo "request $i failed" >>"$T/client.bad"
		sleep 0.02
	done) &
	CLIENT=$!
	wait_for test -s "$T/client.out"
}
stop_client() {
	touch "$T/client.stop"
	wait "$CLIENT"
	[ ! -s "$T/client.bad" ] || fail "the client saw: $(head -n 3 "$T/client.bad")"
}

# attach NAME OPTION...: into $T/NAME.cap, its word in NAME.word.
attach() {
	needs_recording
	local name=$1
	shift
	"$CAPSULE" attach -v -o "$T/$name.cap" "$@" 2>"$T/$name.word" || fail "attach ended with $?: $(cat "$T/$name.word")"
	chmod 644 "$T/$name.cap"
	echo 0 >"$T/$name.status"
}

# ---- the cases ------------------------------------------------------------------------

case_attach_service() {
	start_clock_service
	client "http://127.0.0.1:$PORT/"
	state_of "$SERVICE" >"$T/before"
	attach service --pid "$SERVICE" --for 1s
	state_of "$SERVICE" >"$T/after"
	sleep 0.2
	stop_client
	same_bytes "$T/before" "$T/after" "the service"
	grep -q 'ended: --for' "$T/service.word" || fail "the word: $(cat "$T/service.word")"
	"$CAPSULE" show "$T/service.cap" >"$T/show"
	grep -q "^attached .*pid $SERVICE.*1.000 s.*ended: --for" "$T/show" || fail "show: $(cat "$T/show")"
	grep -q '^time .*clock readings (exact)' "$T/show" || fail "no clock readings: $(cat "$T/show")"
	grep -q '^outcome *still running' "$T/show" || fail "show: $(cat "$T/show")"
	grep -q '^fidelity *complete, from the attach on' "$T/show" || fail "show: $(cat "$T/show")"
	! grep -qs "^$SERVICE " /run/capsule/attach-* || fail "left behind: $(ls /run/capsule)"
	take_away "$T/service.py"
	answers_again service 10
}

# Code that answers otherwise is told of.
case_attach_changed() {
	start_clock_service
	client "http://127.0.0.1:$PORT/"
	attach changed --pid "$SERVICE" --for 500ms
	stop_client
	stop_servers
	sed 's/%.6f/%.5f/' "$T/service.py" >"$T/other.py"
	replay_once changed --bind "$T/other.py:$T/service.py"
	[ "$REPLAY_STATUS" = 1 ] || fail "it ended with $REPLAY_STATUS: $(cat "$T/changed.replay.err")"
}

# Two workers that take turns; the master has written its title over its arguments.
case_attach_nginx() {
	needs nginx
	PORT=$(free_port)
	mkdir "$T/nginx"
	cat >"$T/nginx/nginx.conf" <<-CONF
		daemon off; pid $T/nginx/pid; error_log $T/nginx/error.log; worker_processes 2;
		events { worker_connections 64; }
		http {
			access_log off; default_type text/plain;
			client_body_temp_path $T/nginx/body; proxy_temp_path $T/nginx/proxy; fastcgi_temp_path $T/nginx/fastcgi;
			uwsgi_temp_path $T/nginx/uwsgi; scgi_temp_path $T/nginx/scgi;
			server { listen 127.0.0.1:$PORT; location / { return 200 "\$msec \$connection_requests \$uri\n"; } }
		}
	CONF
	start nginx.log nginx -p "$T/nginx" -c "$T/nginx/nginx.conf"
	local master=${SERVERS[-1]}
	wait_for listens 127.0.0.1 "$PORT"
	client "http://127.0.0.1:$PORT/"
	attach nginx --pid "$master" --for 1s
	stop_client
	answers_again nginx 8
}

# A client that stays connected: what it said before is not known, what it says from then on is.  It asks for nothing that it has put there before.
case_attach_redis() {
	start_redis
	local i pid=${SERVERS[-1]}
	(for i in $(seq 200); do echo "SET key$i value$i"; echo "ECHO $i"; echo TIME; sleep 0.01; done | redis-cli -p "$REDIS" >"$T/client.out" 2>&1) &
	wait_for test -s "$T/client.out"
	attach redis --pid "$pid" --for 500ms -- redis-server --bind 127.0.0.1 --port "$REDIS" --save '' --appendonly no --dir "$T" --daemonize no
	wait %2 2>/dev/null || wait
	answers_again redis 20
}

# A recorder and its guard that are killed leave their note, and the next command of root mends what they left; the client sees nothing of it.
case_attach_killed() {
	own_run
	start_clock_service
	client "http://127.0.0.1:$PORT/"
	state_of "$SERVICE" >"$T/before"
	"$CAPSULE" attach -q -o "$T/killed.cap" --pid "$SERVICE" &
	local recorder=$!
	wait_for grep -qs "^$SERVICE " "/run/capsule/attach-$recorder"
	sleep 0.2
	state_of "$SERVICE" >"$T/during"
	! cmp -s "$T/before" "$T/during" || fail "its clocks were never redirected"
	local guard
	guard=$(pgrep -P "$recorder")
	kill -KILL $guard "$recorder"
	wait "$recorder" 2>/dev/null || :
	"$CAPSULE" show "$T/killed.cap" >/dev/null 2>"$T/mended" || :
	state_of "$SERVICE" >"$T/after"
	stop_client
	same_bytes "$T/before" "$T/after" "the service"
	[ ! -e "/run/capsule/attach-$recorder" ] || fail "the note is still there"
}

# No byte more than allowed, and the capsule is whole.
case_attach_limits() {
	start_clock_service
	client "http://127.0.0.1:$PORT/"
	attach limits --pid "$SERVICE" --max-bytes 64K --for 20s
	stop_client
	[ "$(stat -c %s "$T/limits.cap")" -le 65536 ] || fail "$(stat -c %s "$T/limits.cap") bytes"
	grep -q 'ended: --max-bytes' "$T/limits.word" || fail "the word: $(cat "$T/limits.word")"
	"$CAPSULE" show "$T/limits.cap" >/dev/null || fail "it does not open"
}
