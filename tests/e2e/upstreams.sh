# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A service with three upstreams (HTTP, redis, PostgreSQL), one connection kept to each, and a session of its own client kept alive.  One
# of the session's requests gets a 500, because an upstream said 503.  Patches try again, hide the error, ask in another order.

the_service() {
	cat >"$T/service.py" <<-'PY'
		import http.client, http.server, sys
		import psycopg2, redis
		rates = http.client.HTTPConnection('127.0.0.1', int(sys.argv[2]))
		store = redis.Redis(port=int(sys.argv[3]))
		db = psycopg2.connect(host=sys.argv[4], user='postgres', dbname='postgres')
		db.autocommit = True
		def ask(path, headers={}):
		    rates.request('GET', path, headers=headers)
		    answer = rates.getresponse()
		    return answer.status, answer.read()
		def rate(item):
		    return ask('/rate?item=' + item)
		def stock(item):
		    return ask('/stock/' + item)
		def both(item):
		    return stock(item), rate(item)
		class H(http.server.BaseHTTPRequestHandler):
		    protocol_version = 'HTTP/1.1'
		    def do_GET(self):
		        item = self.path.strip('/')
		        hits = store.incr('hits')
		        with db.cursor() as c:
		            c.execute('select price from items where name = %s', (item,))
		            price = c.fetchone()[0]
		        (_, left), (status, rate) = both(item)
		        body = b'%s: %d at %s, %s left, call %d\n' % (item.encode(), price, rate, left, hits)
		        if status != 200: body = b'no rate\n'
		        self.send_response(200 if status == 200 else 500)
		        self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
		    def log_message(self, *a): pass
		http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()
	PY
	cat >"$T/rates.py" <<-'PY'
		import http.server, sys
		count = 0
		class H(http.server.BaseHTTPRequestHandler):
		    protocol_version = 'HTTP/1.1'
		    def do_GET(self):
		        global count
		        count += self.path.startswith('/rate')
		        status, body = (503, b'busy') if self.path.startswith('/rate') and count == 2 else (200, b'1.5' if self.path.startswith('/rate') else b'%d' % len(self.path))
		        self.send_response(status); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
		    def log_message(self, *a): pass
		http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()
	PY
	sed 's|return ask(./rate.*|for attempt in 1, 2, 3:\n        status, body = ask("/rate?item=" + item, {"X-Attempt": str(attempt)})\n        if status == 200: break\n    return status, body|' "$T/service.py" >"$T/retry.py"
	sed 's|both(item)$|both(item); status = 200|' "$T/service.py" >"$T/hides.py"
	sed 's|return stock(item), rate(item)|return ((200, b"0") if item == "rice" else stock(item)), rate(item)|' "$T/retry.py" >"$T/wrong.py"
	sed 's|return stock(item), rate(item)|r = rate(item); return stock(item), r|' "$T/service.py" >"$T/reorders.py"
}

# $T/session.cap: a session of five requests, the second of which gets a 500
record_session() {
	needs python3 curl
	/usr/bin/python3 -c 'import psycopg2, redis' 2>/dev/null || skip 'python3-psycopg2 and python3-redis are not installed'
	the_service
	start_redis
	start_postgres
	"$PSQL" -q -h "$T/pg" -U postgres -c "create table items (name text, price int); insert into items values ('tea', 3), ('salt', 1), ('rice', 2), ('oil', 9)"
	local port rates item urls=()
	port=$(free_port) rates=$(free_port)
	start rates.log python3 "$T/rates.py" "$rates"
	wait_for listens 127.0.0.1 "$rates"
	serve session /usr/bin/python3 "$T/service.py" "$port" "$rates" "$REDIS" "$T/pg"
	wait_for listens 127.0.0.1 "$port"
	for item in "$@"; do urls+=("127.0.0.1:$port/$item"); done
	curl -s -w '%{http_code} ' "${urls[@]}" >"$T/answers"
	end_server session python3 143
	stop_servers
	grep -q '500 ' "$T/answers" || fail "$(cat "$T/answers")"
}

verified() { "$CAPSULE" verify --runs 3 "$@" "$T/session.cap"; }
with() { echo "$T/$1.py:$T/service.py"; }

# A retry (one more request) and a header: cured, and no other answer is another.
limit_retry=300
case_retry() {
	record_session salt tea rice tea oil
	expect_status 1 as_stranger "$CAPSULE" check "$T/session.cap"
	one_line 'http.status=500'
	expect_status 0 as_stranger "$CAPSULE" check --bind "$(with retry)" "$T/session.cap"
	expect_status 0 verified --patch "$(with retry)"
	grep -q '^cured ' "$T/out" || fail "$(cat "$T/out")"
	# what was asked more often than recorded is never silent
	replay_once session --bind "$(with retry)"
	receipt session turn_list | grep -q 'rate?item=tea.* was asked and answered out of its turn' || fail "$(receipt session turn_list)"
	receipt session miss_list | grep -q 'rate?item=tea.* was asked more often than recorded, and answered again' || fail "$(receipt session miss_list)"
}

# A retry where nothing is left to come is given what was given before, so the failure stays.
limit_retry_in_vain=300
case_retry_in_vain() {
	record_session salt tea rice oil
	expect_status 1 verified --patch "$(with retry)"
	grep -q '^not cured ' "$T/out" || fail "$(cat "$T/out")"
}

limit_wrong_patches=300
case_wrong_patches() {
	record_session salt tea rice tea oil
	# cures, but gives another answer to a request that went well
	expect_status 1 verified --patch "$(with wrong)"
	grep -q '^broken .*another answer than the base.s: GET /rice$' "$T/out" || fail "$(cat "$T/out")"
	tail -n 1 "$T/out" | grep -q '^refused: 0 cured, .* 1 broken' || fail "$(cat "$T/out")"
	# does nothing
	expect_status 1 verified --patch "$(with service)"
	grep -q '^not cured ' "$T/out" || fail "$(cat "$T/out")"
}

# The same requests of a kept connection in another order: each has its own answer, and each that came out of its turn is listed.
limit_reorders=300
case_reorders() {
	record_session salt tea rice tea oil
	replay_once session --bind "$(with reorders)"
	[ "$(receipt session turn_list | grep -o 'answered out of its turn' | wc -l)" -ge 5 ] || fail "$(receipt session turn_list)"
	! receipt session miss_list | grep -q 'asked\|no answer' || fail "$(receipt session miss_list)"
	expect_status 1 "$CAPSULE" replay -q --save "$T/seen.cap" --bind "$(with reorders)" "$T/session.cap"
	expect_status 1 "$CAPSULE" diff "$T/session.cap" "$T/seen.cap"
	! grep -q '^GET ' "$T/out" || fail "an answer is another: $(cat "$T/out")"
	# unchanged code is not touched by any of it
	replays_the_same session
}
