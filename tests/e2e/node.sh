# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Node: one thread that serves, and a pool of threads that take its files, names and random bytes, in whatever order they come to.

# What is behind the server: it takes its time, which is another one for each answer, and never says the same twice.
start_upstream() {
	UPSTREAM=$(free_port)
	start upstream.log node -e '
		const http = require("http"), crypto = require("crypto");
		http.createServer((q, s) => setTimeout(() => s.end(crypto.randomBytes(20 + (q.url.length * 977) % 3000).toString("hex")),
			Math.random() * 8)).listen(+process.argv[1], "127.0.0.1")' "$UPSTREAM"
	wait_for listens 127.0.0.1 "$UPSTREAM"
}

# keep_alive PORT CLIENTS REQUESTS: so many clients at once, so many requests on each one's connection.
keep_alive() {
	python3 - "$@" <<-'PY'
		import http.client, sys, threading
		port, clients, requests = map(int, sys.argv[1:])
		bad = []
		def one(i):
		    try:
		        c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
		        for k in range(requests):
		            c.request("GET" if k % 3 else "POST", "/%d/%d" % (i, k), body=None if k % 3 else b"x" * 700 * k)
		            r = c.getresponse()
		            body = r.read()
		            if r.status != 200 or b"via" not in body: bad.append((i, k, r.status, body[:80]))
		    except Exception as e:
		        bad.append((i, repr(e)))
		threads = [threading.Thread(target=one, args=(i,)) for i in range(clients)]
		for t in threads: t.start()
		for t in threads: t.join()
		sys.exit(repr(bad[:5]) if bad else 0)
	PY
}

# serve_node NAME SCRIPT: records the server, its clients at once, its end by SIGTERM from outside.
serve_node() {
	local port
	port=$(free_port)
	echo "$2" >"$T/server.js"
	head -c 20000 /dev/urandom | base64 >"$T/page.txt"
	serve "$1" node "$T/server.js" "$port" "$UPSTREAM" "$T"
	wait_for listens 127.0.0.1 "$port"
	keep_alive "$port" "$3" "$4" || fail "not all was served"
	end_server "$1" node 0
	says "$1" '^bye'
	take_away "$T/page.txt" "$T/server.js"
}

case_node_proxy() {
	needs node python3
	start_upstream
	serve_node proxy '
		const http = require("http"), [port, up] = process.argv.slice(2);
		const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
		let served = 0;
		const server = http.createServer((q, s) => {
			q.resume();
			http.get({ port: up, host: "127.0.0.1", path: q.url, agent }, r => {
				s.writeHead(200, { via: "proxy", "x-at": Date.now() });
				s.write("via " + q.url + " " + Math.random() + "\n");
				r.pipe(s);
				r.on("end", () => console.log(++served, q.method, q.url, Date.now()));
			});
		});
		server.listen(+port, "127.0.0.1");
		process.on("SIGTERM", () => { server.close(() => console.log("bye", served)); server.closeAllConnections(); agent.destroy() });' 8 6
	replays_the_same proxy
}

case_node_children() {
	needs node
	record children node -e '
		const { execFile, spawn, fork } = require("child_process"), util = require("util"), run = util.promisify(execFile);
		(async () => {
			const all = await Promise.all([1, 2, 3, 4, 5].map(i => run("sh", ["-c", "echo $$ " + i + "; date +%N"])));
			console.log(all.map(o => o.stdout.trim()));
			const cat = spawn("cat"), got = [];
			cat.stdout.on("data", d => got.push(d));
			cat.on("close", code => {
				console.log(Buffer.concat(got).length, code, Date.now());
				const dead = spawn("sleep", ["100"]);
				dead.on("exit", (c, s) => console.log("sleep", c, s));
				setTimeout(() => dead.kill(), 20);
			});
			for (let i = 0; i < 50; i++) cat.stdin.write("x".repeat(5000));
			cat.stdin.end();
		})()'
	ended 0
	replays_the_same children
}
