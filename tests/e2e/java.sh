# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Java as people run it: its own HTTP server, with each of its executors.

# server_of_java EXECUTOR ID: $T/Server.class, whose answers say when it was, and what the expression ID is
server_of_java() {
	cat >"$T/Server.java" <<-JAVA
		import com.sun.net.httpserver.*;
		import java.net.InetSocketAddress;
		import java.util.concurrent.*;
		import java.util.concurrent.atomic.*;

		public class Server {
			public static void main(String[] args) throws Exception {
				HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
				AtomicInteger served = new AtomicInteger();
				server.createContext("/", exchange -> {
					String asked = new String(exchange.getRequestBody().readAllBytes());
					byte[] body = (exchange.getRequestURI() + " " + asked + " at " + System.currentTimeMillis() + " " + java.time.Instant.now() +
						" id " + $2 + "\n").getBytes();
					exchange.sendResponseHeaders(200, body.length);
					exchange.getResponseBody().write(body);
					exchange.close();
					served.incrementAndGet();
				});
				server.setExecutor($1);
				Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("served " + served + " by " + System.currentTimeMillis())));
				server.start();
				System.out.println("serving");
			}
		}
	JAVA
	compile_java Server
}

# drive PORT CONNECTIONS REQUESTS: at once, each connection kept; every answer must be its request's own
drive() {
	python3 - "$@" <<-'PY' || fail "not all was served"
		import http.client, sys, threading
		port, connections, requests = map(int, sys.argv[1:])
		answers = []
		def run(k):
		    c = http.client.HTTPConnection("127.0.0.1", port)
		    for i in range(requests):
		        c.request("POST", "/%d-%d" % (k, i), b"body of %d-%d" % (k, i))
		        r = c.getresponse()
		        answers.append((r.status, "/%d-%d body of %d-%d at " % (k, i, k, i), r.read().decode()))
		    c.close()
		threads = [threading.Thread(target=run, args=(k,)) for k in range(connections)]
		for t in threads: t.start()
		for t in threads: t.join()
		assert len(answers) == connections * requests
		for status, want, body in answers: assert status == 200 and body.startswith(want), (status, want, body)
	PY
}

served_by_java() {	# served_by_java EXECUTOR ID
	local port
	needs python3
	server_of_java "$1" "$2"
	port=$(free_port)
	serve server java $ALONE -cp "$T" Server "$port"
	wait_for grep -q serving "$T/server.out"
	drive "$port" 1 4
	drive "$port" 5 6
	end_server server java 143
	says server '^served '
	replays_the_same server
}

# The random generator's bytes are taken in the order in which handlers come to it: on one thread, not in a pool, where that is in no record.
limit_on_dispatcher=600
case_on_dispatcher() { served_by_java null "java.util.UUID.randomUUID()"; }
limit_fixed_pool=600
case_fixed_pool() { served_by_java 'Executors.newFixedThreadPool(4)' "asked.hashCode()"; }
limit_cached_pool=600
case_cached_pool() { served_by_java 'Executors.newCachedThreadPool()' "asked.hashCode()"; }
