# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Inside and outside told apart: sockets whose both ends are in the scope, descriptors that go from process to process.

fine() { [ "$STATUS" -eq 0 ] || fail "$1 ended with $STATUS: $(head -c 500 "$T/$1.err")"; }

limit_unix_sockets_inside=300
case_unix_sockets_inside() {
	needs python3
	record unix python3 -c 'import os, socket, sys
for name in sys.argv[1], "\0capsule-inner-%d" % os.getpid():
    s = socket.socket(socket.AF_UNIX)
    s.bind(name)
    s.listen()
    pid = os.fork()
    if pid == 0:
        c = socket.socket(socket.AF_UNIX)
        c.connect(name)
        c.sendall(b"hello " * 1000)
        c.shutdown(socket.SHUT_WR)
        got = b""
        while b := c.recv(1000):
            got += b
        os.write(1, b"%d bytes back\n" % len(got))
        os._exit(0)
    c, _ = s.accept()
    got = b""
    while b := c.recv(700):
        got += b
    c.sendall(got.upper() + os.urandom(8))
    c.close()
    print(os.waitpid(pid, 0)[1], len(got), flush=True)' "$T/inner.sock"
	fine unix
	rm -f "$T/inner.sock"
	replays_the_same unix
}

limit_datagrams_inside=300
case_datagrams_inside() {
	needs python3
	record udp python3 -c 'import os, socket
a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "ab")
a.bind(("127.0.0.1", 0))
b.bind(("127.0.0.1", 0))
pid = os.fork()
if pid == 0:
    for i in range(20):
        got, who = b.recvfrom(100)
        b.sendto(got.upper(), who)
    os._exit(0)
for i in range(20):
    a.sendto(b"x%d" % i, b.getsockname())
    print(a.recvfrom(100)[0], a.getsockname() != b.getsockname())
os.waitpid(pid, 0)'
	fine udp
	replays_the_same udp
}

limit_socket_pairs=300
case_socket_pairs() {
	needs python3
	record pair python3 -c 'import os, socket
for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET:
    a, b = socket.socketpair(socket.AF_UNIX, kind)
    pid = os.fork()
    if pid == 0:
        a.close()
        while (got := b.recv(100)) != b"end":
            b.send(got[::-1])
        os._exit(0)
    b.close()
    for w in b"one", b"three", b"five":
        a.send(w)
        print(a.recv(100))
    a.send(b"end")
    print(os.waitpid(pid, 0)[1], os.urandom(2))'
	fine pair
	replays_the_same pair
}

# The parent accepts, and hands each connection over a socket pair to a worker, which serves it.
limit_connections_handed_to_workers=300
case_connections_handed_to_workers() {
	needs python3
	local port
	port=$(free_port)
	serve handed python3 -u -c 'import os, socket, sys, time
workers = []
for i in range(2):
    a, b = socket.socketpair()
    if os.fork() == 0:
        a.close()
        while True:
            data, fds, _, _ = socket.recv_fds(b, 1, 1)
            if not data:
                os._exit(0)
            c = socket.socket(fileno=fds[0])
            line = c.recv(100)
            c.sendall(b"worker %d %s %f %s\n" % (i, line.strip(), time.time(), os.urandom(4).hex().encode()))
            c.close()
    b.close()
    workers.append(a)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
print("listens")
for k in range(12):
    c, who = s.accept()
    socket.send_fds(workers[k % 2], [b"x"], [c.fileno()])
    c.close()
for w in workers:
    w.close()
for w in workers:
    os.wait()
print("done")' "$port"
	wait_for grep -q listens "$T/handed.out"
	python3 - "$port" <<-'PY' || fail "not all was served"
		import socket, sys
		for k in range(12):
		    c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		    c.sendall(b"hello %d\n" % k)
		    c.close()
	PY
	wait "$SERVING" || :
	SERVERS=()
	chmod 644 "$T/handed.cap"
	grep -q done "$T/handed.out" || fail "it did not end: $(tail -n 3 "$T/handed.err")"
	replays_the_same handed
}

# Socket activation: the listener is there before the program.
limit_inherited_listener=300
case_inherited_listener() {
	needs python3
	local port
	port=$(free_port)
	cat >"$T/activated.py" <<-'PY'
		import os, socket, time
		assert os.environ["LISTEN_FDS"] == "1"
		s = socket.socket(fileno=3)
		for k in range(5):
		    c, who = s.accept()
		    c.sendall(b"%s %d %f\n" % (c.recv(100).strip(), k, time.time()))
		    c.close()
		print("done", s.getsockname()[0])
	PY
	needs_recording
	start activated.log python3 -c 'import os, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_FDS"] = "1"
os.dup2(os.open(sys.argv[2] + ".out", os.O_WRONLY | os.O_CREAT), 1)
os.dup2(os.open(sys.argv[2] + ".err", os.O_WRONLY | os.O_CREAT), 2)
os.execv(sys.argv[3], [sys.argv[3], "record", "-q", "-o", sys.argv[2] + ".cap", "--", "python3", sys.argv[4]])' "$port" "$T/act" "$CAPSULE" "$T/activated.py"
	wait_for listens 127.0.0.1 "$port"
	python3 - "$port" <<-'PY' || fail "not all was served"
		import socket, sys
		for k in range(4):
		    c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		    c.sendall(b"hello %d\n" % k)
		    if not c.makefile().readline().startswith("hello %d" % k): sys.exit("wrong answer")
		    c.close()
	PY
	wait "${SERVERS[0]}" || :
	SERVERS=()
	echo 0 >"$T/act.status"
	chmod 644 "$T/act.cap"
	grep -q done "$T/act.out" || fail "it did not end: $(cat "$T/act.err")"
	replays_the_same act
}

limit_cxx=300
case_cxx() {
	needs g++
	cat >"$T/cxx.cc" <<-'CC'
		#include <chrono>
		#include <future>
		#include <iostream>
		#include <mutex>
		#include <random>
		#include <thread>
		#include <vector>
		int main()
		{
			std::random_device device("/dev/urandom");	// the default is an instruction of the CPU, which nobody sees
			std::mt19937 engine(device());
			std::vector<std::future<unsigned>> results;
			std::mutex lock;
			unsigned long sum = 0;
			for (unsigned i = 0; i < 4; i++)
				results.push_back(std::async(std::launch::async, [i, seed = unsigned(engine())] { return unsigned(std::mt19937(seed + i)()); }));
			std::vector<std::thread> threads;
			for (unsigned i = 0; i < 4; i++)
				threads.emplace_back([&, i] { for (unsigned k = 0; k < 1000; k++) { std::lock_guard<std::mutex> hold(lock); sum += i * k; } });
			for (auto &t : threads)
				t.join();
			for (auto &f : results)
				std::cout << f.get() << '\n';
			auto now = std::chrono::system_clock::now().time_since_epoch();
			std::this_thread::sleep_for(std::chrono::milliseconds(20));
			std::cout << sum << ' ' << engine() << ' ' << now.count() << ' ' << std::chrono::steady_clock::now().time_since_epoch().count() << std::endl;
		}
	CC
	g++ -O1 -std=c++17 -pthread -o "$T/cxx" "$T/cxx.cc" || fail "g++"
	record cxx "$T/cxx"
	fine cxx
	replays_the_same cxx
}

# A pseudoterminal whose master the scope has opened is its own, as a pipe is: what goes through it comes about again.
case_pseudoterminal() {
	printf 'one\ntwo\n' >"$T/typed.in"
	record typed "$BIN/terminal" 'read a; date +%N; read b; echo "$a $b"; stty size; echo on it >/dev/tty; exit 3'
	[ "$STATUS" -eq 3 ] || fail "it ended with $STATUS: $(cat "$T/typed.out" "$T/typed.err")"
	grep -q 'one two' "$T/typed.out" && grep -q 'on it' "$T/typed.out" || fail "it printed: $(cat "$T/typed.out")"
	"$CAPSULE" show "$T/typed.cap" >"$T/shown"
	! grep 'ptmx\|tty.*in,' "$T/shown" || fail "what is inside was recorded"
	replays_the_same typed
}
