# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Redaction: what rules name is nowhere in the capsule, and the service goes its way all the same.

CARD=4929123456781234
TOKEN=tok-9f8Ab7cD6e5
MAIL=joe.müller@example.org
PASSWORD='s3cret pass+word'
KEY=key-of-the-environment-77

# A service that gives everything back: in its answer, to its upstream, on stdout, with the secrets in every form.
python_service() {
	cat >"$T/service.py" <<-'PY'
		import base64, http.client, http.server, json, os, sys, urllib.parse
		upstream = int(sys.argv[2])
		class H(http.server.BaseHTTPRequestHandler):
		    protocol_version = 'HTTP/1.1'
		    def log_message(self, *a): sys.stderr.write('%s\n' % (a,))
		    def body(self):
		        if self.headers.get('transfer-encoding') != 'chunked': return self.rfile.read(int(self.headers.get('content-length', 0)))
		        got = b''
		        while True:
		            n = int(self.rfile.readline(), 16)
		            got += self.rfile.read(n)
		            self.rfile.readline()
		            if n == 0: return got
		    def do_POST(self):
		        url, raw = urllib.parse.urlparse(self.path), self.body()
		        query = urllib.parse.parse_qs(url.query)
		        form = json.loads(raw) if 'json' in self.headers['content-type'] else {k: v[0] for k, v in urllib.parse.parse_qs(raw.decode()).items()}
		        print('asked', url.path, query, form, self.headers['authorization'], self.headers['cookie'], flush=True)
		        c = http.client.HTTPConnection('127.0.0.1', upstream)
		        c.request('POST', '/pay?' + urllib.parse.urlencode({'key': os.environ['SHOP_KEY']}), json.dumps(form), {'Authorization': self.headers['authorization']})
		        got = json.loads(c.getresponse().read())
		        out = json.dumps({'upstream': got, 'form': form, 'seen': base64.b64encode(repr(query).encode()).decode()}).encode()
		        self.send_response(500 if form.get('fail') else 200)
		        if self.headers['cookie']: self.send_header('Set-Cookie', 'sid=%s; Path=/' % self.headers['cookie'].split('=')[1])
		        self.send_header('Transfer-Encoding', 'chunked')
		        self.end_headers()
		        for i in range(0, len(out), 7): self.wfile.write(b'%x\r\n%s\r\n' % (len(out[i:i + 7]), out[i:i + 7]))
		        self.wfile.write(b'0\r\n\r\n')
		s = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H)
		print('ready', flush=True)
		s.handle_request()
	PY
	start_upstream
	SHOP_KEY=$KEY serve "$1" /usr/bin/python3 "$T/service.py" "$PORT" "$UPSTREAM"
}

start_upstream() {
	PORT=$(free_port) UPSTREAM=$(free_port)
	start upstream.log python3 -c '
import http.server, json, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        got = self.rfile.read(int(self.headers["content-length"]))
        out = json.dumps({"paid": json.loads(got), "by": self.headers["authorization"], "at": self.path}).encode()
        self.send_response(200); self.send_header("content-length", str(len(out))); self.end_headers(); self.wfile.write(out)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()' "$UPSTREAM"
	wait_for listens 127.0.0.1 "$UPSTREAM"
}

# One connection, three requests; the secrets are cut by segments and by chunks.
ask_service() {
	python3 - "$PORT" "$CARD" "$TOKEN" "$MAIL" "$PASSWORD" "${1:-}" <<-'PY' || fail 'the client had no answers'
		import json, socket, sys, time, urllib.parse, base64
		port, card, token, mail, password, fail = int(sys.argv[1]), *sys.argv[2:]
		s = socket.create_connection(('127.0.0.1', port))
		s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		def send(data, *cuts):
		    last = 0
		    for c in [data.index(x) + 4 for x in cuts] + [len(data)]:
		        s.sendall(data[last:c]); last = c; time.sleep(0.05)
		def answer():
		    got = b''
		    while not got.endswith(b'0\r\n\r\n'):
		        more = s.recv(65536)
		        if not more: sys.exit('the connection ended: %r' % got)
		        got += more
		    return got
		doc = {'card': card, 'user': {'email': mail}, 'note': 'pay %s now' % card}
		if fail: doc['fail'] = 1
		body = json.dumps(doc).encode()
		i = body.index(card.encode()) + 6
		chunks = b''.join(b'%x\r\n%s\r\n' % (len(p), p) for p in (body[:i], body[i:])) + b'0\r\n\r\n'
		send(b'POST /a?session=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n' %
		     (urllib.parse.quote(password).encode(), token.encode()) + chunks, token.encode(), b'"card')
		answer()
		form = urllib.parse.urlencode({'pin': password, 'card': card}).encode()
		basic = base64.b64encode(b'shop:' + token.encode())
		send(b'POST /b HTTP/1.1\r\nHost: x\r\nCookie: sid=%s\r\nAuthorization: Basic %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s' %
		     (token.encode(), basic, len(form), form), form)
		answer()
	PY
}

rules() {
	RULES=(--header authorization --header cookie --header set-cookie --query session --form pin --json '$.user.email' --json '$.card' --env '*_KEY' --digits '\b\d{13,19}\b')
}

# redacted NAME: $T/NAME-red.cap of it, in which no secret is, in no form
redacted() {
	rules
	expect_status 0 "$CAPSULE" redact "$T/$1.cap" -o "$T/$1-red.cap" "${RULES[@]}"
	one_line places
	[ "$(stat -c %a "$T/$1-red.cap")" = 600 ] || fail 'others may read it'
	chmod 644 "$T/$1-red.cap"
	cp "$T/$1.status" "$T/$1-red.status"
	expect_status 1 python3 "$top/tests/frames.py" "$T/$1.cap" "$CARD" "$TOKEN" "$MAIL" "$PASSWORD" "$KEY"
	[ "$(wc -l <"$T/out")" = 5 ] || fail "the recording itself has only: $(cat "$T/out")"
	expect_status 0 python3 "$top/tests/frames.py" "$T/$1-red.cap" "$CARD" "$TOKEN" "$MAIL" "$PASSWORD" "$KEY"
}

# It replays as it was redacted: identical, each time, with tokens in place of the secrets.
replays_redacted() {
	local i
	stop_servers
	for i in $(seq "${REPLAYS:-5}"); do
		replay_once "$1-red"
		[ "$REPLAY_STATUS" -eq 0 ] || { why_not "$1-red"; fail "replay $i of the redacted capsule"; }
		for k in misses holes out_of_turn; do [ "$(receipt "$1-red" $k)" = 0 ] || { why_not "$1-red"; fail "replay $i has $k"; }; done
		! grep -a -e "$CARD" -e "$TOKEN" -e example.org "$T/$1-red.replay.out" || fail 'a secret came out of the replay'
		[ "$(stat -c %s "$T/$1.out")" = "$(stat -c %s "$T/$1-red.replay.out")" ] || fail 'the lengths are others'
		grep -a 'asked /a' "$T/$1-red.replay.out" >/dev/null || fail "$(cat "$T/$1-red.replay.out")"
	done
}

case_redact_python() {
	python_service py
	wait_for grep ready "$T/py.out"
	ask_service
	wait "$SERVING" || :
	chmod 644 "$T/py.cap"
	redacted py
	replays_redacted py
	"$CAPSULE" show "$T/py-red.cap" >"$T/out"
	grep '^redacted  *command: header authorization: [0-9]* places' "$T/out" >/dev/null || fail "$(cat "$T/out")"
	"$CAPSULE" show --json "$T/py-red.cap" | grep -F '$.card in object ' >/dev/null || fail 'the places are not in the JSON'
}

# The same by a policy; another run has other tokens.
case_redact_policy() {
	python_service py
	wait_for grep ready "$T/py.out"
	ask_service
	wait "$SERVING" || :
	cat >"$T/policy.yaml" <<-'YAML'
		- name: shop
		  select: {binary: python3*}
		  when: {http.status: ">= 500"}
		  then:
		    redact: [{query: session, form: pin}, {json: [$.user.email, $..card]}, {regex: '\b\d{13,19}\b', as: digits}, {env: "*_KEY"}]
	YAML
	for i in 1 2; do expect_status 0 "$CAPSULE" redact -q "$T/py.cap" -o "$T/$i.cap" --policy "$T/policy.yaml"; done
	expect_status 0 python3 "$top/tests/frames.py" "$T/1.cap" "$CARD" "$TOKEN" "$MAIL" "$PASSWORD" "$KEY"
	cmp -s "$T/1.cap" "$T/2.cap" && fail 'two redactions have the same tokens'
	"$CAPSULE" show --json "$T/1.cap" | grep -F 'shop: header cookie' >/dev/null || "$CAPSULE" show --json "$T/1.cap" | grep -F 'policies: header cookie' >/dev/null || fail 'the policy is not named'
	mv "$T/1.cap" "$T/py-red.cap"
	chmod 644 "$T/py-red.cap"
	cp "$T/py.status" "$T/py-red.status"
	REPLAYS=1 replays_redacted py
}

case_redact_node() {
	needs node
	start_upstream
	cat >"$T/service.js" <<-'JS'
		const http = require('http'), [port, upstream] = process.argv.slice(2).map(Number)
		const server = http.createServer((q, a) => {
		  let body = ''
		  q.on('data', d => body += d).on('end', () => {
		    const url = new URL(q.url, 'http://x'), form = q.headers['content-type'].includes('json') ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body))
		    console.log('asked', url.pathname, url.searchParams.get('session'), JSON.stringify(form), q.headers.authorization)
		    const r = http.request({port: upstream, host: '127.0.0.1', method: 'POST', agent: false, path: '/pay?key=' + encodeURIComponent(process.env.SHOP_KEY),
		      headers: {authorization: q.headers.authorization, 'content-length': Buffer.byteLength(JSON.stringify(form))}}, u => {
		      let got = ''
		      u.on('data', d => got += d).on('end', () => {
		        a.writeHead(200, q.headers.cookie ? {'set-cookie': 'sid=' + q.headers.cookie.split('=')[1]} : {})
		        const out = JSON.stringify({got: JSON.parse(got), form})
		        for (let i = 0; i < out.length; i += 50) a.write(out.slice(i, i + 50))
		        a.end(() => { if (url.pathname === '/b') setTimeout(() => process.exit(0), 50) })
		      })
		    })
		    r.end(JSON.stringify(form))
		  })
		})
		server.listen(port, '127.0.0.1', () => console.log('ready'))
	JS
	SHOP_KEY=$KEY serve js node "$T/service.js" "$PORT" "$UPSTREAM"
	wait_for grep ready "$T/js.out"
	ask_service
	wait "$SERVING" || :
	chmod 644 "$T/js.cap"
	redacted js
	replays_redacted js
}

# A failure that has nothing to do with the secrets is the same one; its cure is one, too.
case_redact_keeps_the_failure() {
	python_service py
	wait_for grep ready "$T/py.out"
	ask_service yes
	wait "$SERVING" || :
	chmod 644 "$T/py.cap"
	redacted py
	stop_servers
	expect_status 1 as_stranger "$CAPSULE" check "$T/py-red.cap"
	one_line 'the failure is there: http.status=500'
	sed 's/500 if form.get(.fail.) else 200/200/' "$T/service.py" >"$T/mended.py"
	chmod 644 "$T/mended.py"
	expect_status 0 as_stranger "$CAPSULE" check --bind "$T/mended.py:$T/service.py" "$T/py-red.cap"
	one_line 'the failure is gone'
}

# One that depends on a secret goes with it, and that is said.
case_redact_takes_the_failure() {
	PORT=$(free_port)
	cat >"$T/service.py" <<-'PY'
		import http.server, sys
		class H(http.server.BaseHTTPRequestHandler):
		    def do_GET(self): self.send_response(500 if 'f8Ab' in self.headers['authorization'] else 200); self.end_headers()
		s = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H)
		print('ready', flush=True)
		s.handle_request()
	PY
	serve py /usr/bin/python3 "$T/service.py" "$PORT"
	wait_for grep ready "$T/py.out"
	curl -s -H "Authorization: Bearer $TOKEN" "http://127.0.0.1:$PORT/" || :
	wait "$SERVING" || :
	chmod 644 "$T/py.cap"
	expect_status 0 "$CAPSULE" redact -q "$T/py.cap" -o "$T/red.cap" --header authorization
	chmod 644 "$T/red.cap"
	expect_status 1 as_stranger "$CAPSULE" check "$T/py.cap"
	expect_status 125 as_stranger "$CAPSULE" check "$T/red.cap"
	one_line "can't tell" 'the failure does not show in the recorded build' 'redacted'
	# words of the failure that are a secret's: the signature knows them as they are now
	record fails /usr/bin/python3 -c "import os, sys; sys.exit('no such customer: ' + os.environ.get('WHO', '$TOKEN'))"
	expect_status 0 "$CAPSULE" redact -q "$T/fails.cap" -o "$T/red.cap" --regex "$TOKEN"
	chmod 644 "$T/red.cap"
	expect_status 0 python3 "$top/tests/frames.py" "$T/red.cap" "$TOKEN"
	expect_status 1 as_stranger "$CAPSULE" check "$T/red.cap"
}

# What was written to files is known by its hash: that would be another one, and is given up for all to see.
case_redact_files() {
	echo "password is $TOKEN" >"$T/config"
	record files /bin/sh -c "read -r a b c <$T/config; echo \$c; echo \$c >$T/copy"
	expect_status 0 "$CAPSULE" redact -q "$T/files.cap" -o "$T/files-red.cap" --regex 'tok-[0-9A-Za-z]+'
	chmod 644 "$T/files-red.cap"
	cp "$T/files.status" "$T/files-red.status"
	expect_status 0 python3 "$top/tests/frames.py" "$T/files-red.cap" "$TOKEN"
	take_away "$T/config" "$T/copy"
	replay_once files-red
	[ "$REPLAY_STATUS" -eq 0 ] || { why_not files-red; fail 'it does not replay'; }
	[ "$(receipt files-red holes)" = 1 ] || fail 'that the copy is not compared is not said'
	! grep "$TOKEN" "$T/files-red.replay.out" || fail 'the secret was printed'
	[ "$(stat -c %s "$T/files-red.replay.out")" = 16 ] || fail "$(cat "$T/files-red.replay.out")"
	"$CAPSULE" show "$T/files-red.cap" | grep 'its hash was left out' >/dev/null || fail 'show does not say it'
}

case_redact_refused() {
	record true /bin/true
	expect_status 2 "$CAPSULE" redact
	expect_status 2 "$CAPSULE" redact "$T/true.cap" --header x
	one_line -o
	expect_status 2 "$CAPSULE" redact "$T/true.cap" -o "$T/x.cap"
	one_line 'what is to be redacted'
	expect_status 2 "$CAPSULE" redact "$T/true.cap" -o "$T/true.cap" --header x
	one_line overwritten
	expect_status 2 "$CAPSULE" redact "$T/true.cap" -o "$T/x.cap" --regex '('
	one_line 'wrong at character'
	expect_status 2 "$CAPSULE" redact "$T/true.cap" -o "$T/x.cap" --json card
	one_line '$.user.email'
	expect_status 2 "$CAPSULE" redact "$T/true.cap" -o "$T/x.cap" --policy "$top/examples/policy.yaml" --name nobody
	one_line nobody
	expect_status 3 "$CAPSULE" redact "$T/nothing.cap" -o "$T/x.cap" --header x
	head -c 3000 "$T/true.cap" >"$T/cut.cap"
	expect_status 3 "$CAPSULE" redact "$T/cut.cap" -o "$T/x.cap" --header x
	[ ! -e "$T/x.cap" ] || fail 'something was written'
}
