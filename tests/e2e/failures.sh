# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Failures that come from outside: they happen while recording, and not on the machine that replays.

fine() { [ "$STATUS" -eq 0 ] || fail "$1 ended with $STATUS: $(head -c 500 "$T/$1.err")"; }
says() { grep -q -- "$2" "$T/$1.out" "$T/$1.err" || fail "$1 did not meet '$2': $(head -c 500 "$T/$1.out" "$T/$1.err")"; }

# A file system of 64 KiB at $T/small, in a mount namespace that ends with the case.
small_disk() {
	private_network
	mkdir "$T/small" && mount -t tmpfs -o size=64k,mode=777 small "$T/small"
}

case_enospc_write() {
	needs python3
	small_disk
	record full python3 -c 'import sys
f = open(sys.argv[1], "wb", buffering=0)
n = 0
try:
    while True:
        n += f.write(b"x" * 10000)
except OSError as e:
    print(n, e)' "$T/small/f"
	fine full
	says full 'No space left'
	umount "$T/small"
	replays_the_same full
}

# Short writes and the one that takes nothing: dd tells of both.
case_enospc_dd() {
	small_disk
	record dd dd if=/dev/zero of="$T/small/f" bs=1000 count=100
	[ "$STATUS" -eq 1 ] || fail "dd ended with $STATUS"
	says dd 'No space left'
	umount "$T/small"
	replays_the_same dd
}

case_enospc_redirected() {
	small_disk
	record shell sh -c 'seq 1 100000 >"$1/f"; echo "$?"; wc -c <"$1/f"; mkdir "$1/d"; echo "$?"; rm "$1/f"; echo again >"$1/g"; cat "$1/g"' x "$T/small"
	says shell 'No space left'
	umount "$T/small"
	replays_the_same shell
}

case_enospc_copied() {
	small_disk
	record cp cp /bin/sh "$T/small/sh"
	[ "$STATUS" -eq 1 ] || fail "cp ended with $STATUS"
	umount "$T/small"
	replays_the_same cp
}

case_fallocate_enospc() {
	needs python3
	small_disk
	record fallocate python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.posix_fallocate(fd, 0, 8192)
try:
    os.posix_fallocate(fd, 0, 1 << 20)
except OSError as e:
    print(e, os.fstat(fd).st_size)' "$T/small/f"
	fine fallocate
	says fallocate 'No space left'
	umount "$T/small"
	replays_the_same fallocate
}

case_erofs() {
	small_disk
	echo there >"$T/small/there"
	mount -o remount,ro "$T/small"
	record readonly sh -c 'echo hi >"$1/new"; touch "$1/there"; mkdir "$1/d"; rm "$1/there"; chmod 600 "$1/there"; cat "$1/there"' x "$T/small"
	fine readonly
	says readonly 'Read-only file system'
	umount "$T/small"
	replays_the_same readonly
}

case_eacces() {
	needs python3
	echo secret >"$T/secret" && chmod 600 "$T/secret"
	record denied python3 -c 'import os, sys
os.setegid(65534)
os.seteuid(65534)
for f in (lambda: open(sys.argv[1]), lambda: open(sys.argv[1], "a"), lambda: os.mkdir(sys.argv[1] + ".d"), lambda: os.unlink(sys.argv[1])):
    try:
        print(f())
    except OSError as e:
        print(e)' "$T/secret"
	fine denied
	says denied 'Permission denied'
	rm "$T/secret"
	replays_the_same denied
}

case_enoent_that_is_there_now() {
	record absent cat "$T/file"
	[ "$STATUS" -eq 1 ] || fail "cat ended with $STATUS"
	echo now >"$T/file"
	replays_the_same absent
}

case_emfile() {
	needs python3
	record limit sh -c 'ulimit -n 20; exec python3 -c "
import os
try:
    while True: print(os.dup(0))
except OSError as e: print(e)"'
	fine limit
	says limit 'Too many open files'
	replays_the_same limit
}

# fails NAME PORT: a client that says how each call ended
fails() {
	needs python3
	cat >"$T/client.py" <<-'PY'
		import os, signal, socket, struct, sys, time
		what, port = sys.argv[1], int(sys.argv[2])
		def tell(f):
		    try:
		        print(what, f(), flush=True)
		    except OSError as e:
		        print(what, type(e).__name__, e, flush=True)
		def connected():
		    s = socket.create_connection(("127.0.0.1", port))
		    return s
		def ask(s, n=1):
		    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
		    got = b""
		    while True:
		        b = s.recv(65536)
		        if not b:
		            return len(got)
		        got += b
		if what == "refused":
		    tell(lambda: connected())
		elif what == "unreachable":
		    for f, a in ((socket.AF_INET, ("192.0.2.1", port)), (socket.AF_INET6, ("2001:db8::1", port))):
		        tell(lambda: socket.socket(f).connect(a))
		        tell(lambda: socket.socket(f, socket.SOCK_DGRAM).sendto(b"x", a))
		elif what == "reset":
		    s = connected()
		    tell(lambda: ask(s))
		elif what == "pipe":
		    s = connected()
		    tell(lambda: ask(s))
		    for _ in range(3):
		        tell(lambda: s.send(b"more"))
		        time.sleep(0.05)
		elif what == "sigpipe":
		    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
		    s = connected()
		    tell(lambda: ask(s))
		    for _ in range(3):
		        tell(lambda: s.send(b"more"))
		        time.sleep(0.05)
		elif what == "rcvtimeo":
		    s = connected()
		    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200000))
		    tell(lambda: s.recv(10))
		    tell(lambda: s.recv(10))
		elif what == "eintr":
		    s = connected()
		    class Alarm(Exception): pass
		    def on(*a): raise Alarm()
		    signal.signal(signal.SIGALRM, on)
		    signal.setitimer(signal.ITIMER_REAL, 0.2)
		    try:
		        s.recv(10)
		    except Alarm:
		        print("alarm", flush=True)
	PY
	record "$1" python3 "$T/client.py" "$1" "$2"
}

case_econnrefused() {
	fails refused "$(free_port)"
	fine refused
	says refused ConnectionRefused
	replays_the_same refused
}

case_enetunreach() {
	private_network
	ip route add unreachable 192.0.2.0/24
	fails unreachable 9
	fine unreachable
	says unreachable 'route to host\|unreachable'
	replays_the_same unreachable
}

case_econnreset() {
	start_peer reset
	fails reset "$PEER"
	fine reset
	says reset ConnectionReset
	replays_the_same reset
}

case_epipe() {
	start_peer text word
	fails pipe "$PEER"
	fine pipe
	says pipe BrokenPipe
	replays_the_same pipe
}

case_sigpipe() {
	start_peer text word
	fails sigpipe "$PEER"
	[ "$STATUS" -eq 141 ] || fail "it ended with $STATUS, not by SIGPIPE"
	replays_the_same sigpipe
}

case_receive_timeout() {
	start_peer silent
	fails rcvtimeo "$PEER"
	fine rcvtimeo
	says rcvtimeo 'temporarily unavailable'
	replays_the_same rcvtimeo
}

case_eintr() {
	start_peer silent
	fails eintr "$PEER"
	fine eintr
	says eintr alarm
	replays_the_same eintr
}

case_short_reads() {
	needs python3
	mkfifo "$T/short.in"
	(exec 3>"$T/short.in"; sleep 1; for i in 1 22 333; do printf %s $i >&3; sleep 0.3; done) &
	record short python3 -c 'import os, sys
while True:
    b = os.read(0, 100)
    print(b)
    if not b: break'
	fine short
	says short "b'333'"
	rm "$T/short.in"
	replays_the_same short
}
