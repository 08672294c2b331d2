# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Java as people run it: its own HTTP server and HTTP client.

# server_of_java EXECUTOR [ID]: $T/Server.class, whose answers have something new each time
server_of_java() {
	local id=${2:-java.util.UUID.randomUUID()}
	cat >"$T/Server.java" <<-JAVA
		import com.sun.net.httpserver.*;
		import java.net.InetSocketAddress;
		import java.util.concurrent.atomic.*;

		public class Server {
			public static void main(String[] args) throws Exception {
				HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
				AtomicInteger served = new AtomicInteger();
				server.createContext("/", exchange -> {
					String asked = new String(exchange.getRequestBody().readAllBytes());
					byte[] body = (exchange.getRequestURI() + " " + asked + " at " + System.currentTimeMillis() + " " + java.time.Instant.now() +
						" id " + $id + "\n").getBytes();
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

served_by_java() {	# served_by_java EXECUTOR [ID]
	local port
	needs python3
	server_of_java "$@"
	port=$(free_port)
	serve server java $ALONE -cp "$T" Server "$port"
	wait_for grep -q serving "$T/server.out"
	drive "$port" 1 3
	drive "$port" 5 4
	end_server server java 143
	says server '^served '
	replays_the_same server
}

limit_on_dispatcher=600
case_on_dispatcher() { served_by_java null; }

# Threads of a pool, any of which takes any request.  A generator that they share gives what it has in the order in which they come to it, which is their race.
limit_on_fixed_pool=600
case_on_fixed_pool() { served_by_java 'java.util.concurrent.Executors.newFixedThreadPool(4)' '"none"'; }

limit_on_cached_pool=600
case_on_cached_pool() { served_by_java 'java.util.concurrent.Executors.newCachedThreadPool()' '"none"'; }

client_of_java() {	# client_of_java HOW: in $T/Client.java, with http, a request for each i and println
	cat >"$T/Client.java" <<-JAVA
		import java.net.URI;
		import java.net.http.*;

		public class Client {
			static HttpRequest ask(String base, int i) { return HttpRequest.newBuilder(URI.create(base + "?id=" + i + "&at=" + System.currentTimeMillis())).build(); }
			public static void main(String[] args) throws Exception {
				HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
				HttpResponse.BodyHandler<String> text = HttpResponse.BodyHandlers.ofString();
				$1
				System.out.println("done at " + System.currentTimeMillis());
				System.exit(4);
			}
		}
	JAVA
	compile_java Client
	start_upstream
	record client java $ALONE -cp "$T" Client "http://127.0.0.1:$UP/"
	ended 4
	[ "$(grep -c 'answer to /?id=' "$T/client.out")" -eq 8 ] || fail "not all was answered: $(cat "$T/client.out")"
	replays_the_same client
}

limit_client=600
case_client() {
	client_of_java 'for (int i = 0; i < 8; i++) System.out.println(http.send(ask(args[0], i), text).body());'
}

# All asked at once: which of the client's threads reads which answer is chance.
limit_client_async=600
case_client_async() {
	client_of_java 'java.util.List<java.util.concurrent.CompletableFuture<HttpResponse<String>>> asked = new java.util.ArrayList<>();
		for (int i = 0; i < 8; i++) asked.add(http.sendAsync(ask(args[0], i), text));
		for (java.util.concurrent.CompletableFuture<HttpResponse<String>> one : asked) System.out.println(one.join().body());'
}
