# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Changed code that asks others in another order, once more, or for something else: what it says decides whose answer it gets.

# asks PATH...: a program that asks for these one by one, each over a connection of its own, and prints the answers
asks() {
	cat <<-PY
		import socket
		def ask(path):
		    s = socket.create_connection(("127.0.0.1", $PORT))
		    s.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path)
		    got = b""
		    while True:
		        more = s.recv(4096)
		        if not more: break
		        got += more
		    return got.split(b"\r\n\r\n")[-1].decode()
		for p in "$*".split(): print(p, "->", ask(p.encode()))
	PY
}

recorded_requests() {	# /a, /b and /c, whose answers tell what was asked for
	PORT=$(free_port)
	start answers.log python3 -c '
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b"answer to " + self.path.encode())
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()' "$PORT"
	wait_for listens 127.0.0.1 "$PORT"
	asks /a /b /c >"$T/app.py"
	record asks /usr/bin/python3 "$T/app.py"
	[ "$(cat "$T/asks.out")" = '/a -> answer to /a
/b -> answer to /b
/c -> answer to /c' ] || fail "$(cat "$T/asks.out" "$T/asks.err")"
	stop_servers
}

replay_of_changed() {	# replay_of_changed PATH...: $T/asks.replay.out
	asks "$@" >"$T/changed.py"
	chmod 644 "$T/changed.py"
	replay_once asks --bind "$T/changed.py:$T/app.py"
	[ "$REPLAY_STATUS" -eq 1 ] || fail "$* is taken for the recorded program: $(cat "$T/asks.replay.out")"
}

every_answer_is_the_asked_one() {	# N of them
	[ "$(wc -l <"$T/asks.replay.out")" -eq "$1" ] || fail "not $1 answers: $(cat "$T/asks.replay.out" "$T/asks.replay.err")"
	while read -r asked _ _ _ got; do
		[ "$asked" = "$got" ] || fail "$asked got the answer to $got"
	done <"$T/asks.replay.out"
}

case_another_order() {
	recorded_requests
	replays_the_same asks
	replay_of_changed /c /a /b
	every_answer_is_the_asked_one 3
	[ "$(receipt asks misses)" = 0 ] || fail "$(receipt asks miss_list)"
}

case_fewer() {
	recorded_requests
	replay_of_changed /b
	every_answer_is_the_asked_one 1
	replay_of_changed /c /a
	every_answer_is_the_asked_one 2
}

# A retry: the same answer again, and a miss that says so.
case_once_more() {
	recorded_requests
	replay_of_changed /a /a /b /c
	every_answer_is_the_asked_one 4
	receipt asks miss_list | grep -q 'GET /a.* was asked more often than recorded, and answered again' || fail "$(receipt asks miss_list)"
	replay_of_changed /a /b /c /c /c
	every_answer_is_the_asked_one 5
}

# What nobody asked for has no answer; certainly not another one's.
case_something_else() {
	recorded_requests
	replay_of_changed /new /a /b /c
	grep -qx '/new -> ' "$T/asks.replay.out" || fail "$(cat "$T/asks.replay.out")"
	grep -v /new "$T/asks.replay.out" >"$T/rest"
	mv "$T/rest" "$T/asks.replay.out"
	every_answer_is_the_asked_one 3
	receipt asks miss_list | grep -q 'GET /new.* was not asked when recorded, and has no answer' || fail "$(receipt asks miss_list)"
}

# The same request in another form: a query, a header more.
case_same_request_in_another_form() {
	recorded_requests
	asks /b /a /c | sed 's/%s HTTP/%s?version=2 HTTP/; s/1.0.r.n/&X-More: 1\\r\\n/' >"$T/changed.py"
	chmod 644 "$T/changed.py"
	replay_once asks --bind "$T/changed.py:$T/app.py"
	every_answer_is_the_asked_one 3
}
