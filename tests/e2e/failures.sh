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
	(exec 3>"$T/short.in"; sleep 3; for i in 1 22 333; do printf %s $i >&3; sleep 0.7; done) &
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

# Nobody answers: neither the first word (connect) nor a later one (TCP_USER_TIMEOUT, in ms, is option 18).
case_etimedout() {
	needs python3
	private_network
	unshare -n sleep 60 &
	local other=$!
	SERVERS+=("$other")
	wait_for sh -c "[ \$(readlink /proc/$other/ns/net) != \$(readlink /proc/self/ns/net) ]"
	ip link add here type veth peer name there netns "$other"
	ip addr add 192.0.2.1/24 dev here && ip link set here up
	ip neigh add 192.0.2.7 lladdr 02:00:00:00:00:07 dev here
	nsenter -t "$other" -n sh -c 'ip addr add 192.0.2.2/24 dev there && ip link set there up'
	start mute.log nsenter -t "$other" -n python3 -c 'import os, socket, time
s = socket.socket()
s.bind(("192.0.2.2", 99))
s.listen()
print("ready", flush=True)
c, _ = s.accept()
c.send(b"hello")
time.sleep(0.3)
os.system("ip route add blackhole 192.0.2.1/32")
time.sleep(60)'
	wait_for grep -q ready "$T/mute.log"
	record timeout python3 -c 'import select, socket, time
def tell(f):
    try:
        print(f(), flush=True)
    except OSError as e:
        print(type(e).__name__, e.errno, e.strerror, flush=True)
def patient():
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_TCP, 18, 500)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
    return s
tell(lambda: patient().connect(("192.0.2.7", 9)))
s = patient()
s.setblocking(False)
print(s.connect_ex(("192.0.2.7", 9)), select.select([], [s], [], 10)[1] == [s], s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
s = patient()
s.connect(("192.0.2.2", 99))
tell(lambda: s.recv(10))
time.sleep(1)
tell(lambda: s.send(b"still there?"))
tell(lambda: s.recv(10))
tell(lambda: s.recv(10))
tell(lambda: s.send(b"no"))'
	fine timeout
	[ "$(grep -c 'TimeoutError 110' "$T/timeout.out")" -eq 2 ] || fail "not two: $(cat "$T/timeout.out")"
	says timeout '115 True 110'
	replays_the_same timeout
}

# sick NAME CODE: python on a file system whose files fail as they are named, which is gone afterwards
sick() {
	needs python3
	[ -e /dev/fuse ] || skip "no /dev/fuse"
	private_network
	mkdir "$T/sick"
	start sick.log python3 "$top/tests/sickfs.py" "$T/sick"
	wait_for grep -q ready "$T/sick.log"
	record "$1" python3 -c "import os, sys
sick = sys.argv[1] + '/'
def tell(f):
    try:
        print(f(), flush=True)
    except OSError as e:
        print(type(e).__name__, e.errno, e.strerror, flush=True)
$2" "$T/sick"
	fine "$1"
	umount "$T/sick"
}

# says_holes NAME WORD: replays it; identical, and not silent about the hole
says_holes() {
	stop_servers
	local i began=$SECONDS
	"$CAPSULE" show "$T/$1.cap" | grep "hole: .*$2" >/dev/null || fail "show does not tell of $2"
	for i in $(turns); do
		replay_once "$1"
		grep -q '^capsule replay: identical: .*but the capsule has' "$T/$1.replay.err" || { why_not "$1"; fail "replay $i"; }
		sed -i '/^capsule replay: /d' "$T/$1.replay.err"
		ALLOW=holes check_replay "$1" || fail "$1: replay $i is not the same"
		! is_enough "$i" "$began" || break
	done
}

# The recorder can't read it all either, and says so.
case_eio_reading() {
	sick read 'for e in "EIO", "ESTALE":
    f = os.open(sick + "read-" + e, os.O_RDONLY)
    for _ in range(3): tell(lambda: os.read(f, 3000)[:9])
    for at in 5000, 4090, 0: tell(lambda: os.pread(f, 100, at))
    a = bytearray(9)
    tell(lambda: os.preadv(f, [a, bytearray(3)], 100))
    print(a)
    tell(lambda: os.preadv(f, [a], 9000))
tell(lambda: open(sick + "read-EIO").read())'
	says read 'OSError 5 Input'
	says read 'OSError 116 Stale'
	says_holes read read-EIO
}

case_edquot_enospc_eio_writing() {
	sick write 'for e in "EDQUOT", "ENOSPC", "EIO":
    f = os.open(sick + "write-" + e, os.O_RDWR)
    for _ in range(3): tell(lambda: os.write(f, b"x" * 7000))
    tell(lambda: os.writev(f, [b"a" * 9, b"b"]))
    tell(lambda: os.pwrite(f, b"y", 20000))
    tell(lambda: os.pwrite(f, b"y" * 10, 9995))
    print(os.lseek(f, 0, os.SEEK_END))
f = open(sick + "write-EROFS", "w", buffering=100000)
f.write("z" * 20000)
tell(f.flush)
tell(f.close)
os._exit(0)'
	says write 'OSError 122 Disk quota exceeded'
	says write 'OSError 28 No space'
	says write 'OSError 5 Input'
	says write 'OSError 30 Read-only'
	replays_the_same write
}

case_enfile_enomem_edquot_opening() {
	sick open 'for e in "ENFILE", "ENOMEM", "EIO", "EDQUOT", "ENOSPC", "ESTALE":
    tell(lambda: os.open(sick + "open-" + e, os.O_RDWR))
    tell(lambda: os.open(sick + "make-" + e, os.O_RDWR | os.O_CREAT))
    tell(lambda: os.mkdir(sick + "make-" + e))
    tell(lambda: os.stat(sick + "make-" + e))'
	says open 'OSError 23 Too many open files in system'
	says open 'OSError 12 Cannot allocate memory'
	replays_the_same open
}

# Neither processes nor threads beyond the number that a cgroup allows.
case_eagain_fork() {
	needs python3 busybox
	private_network
	local group=$T/pids/capsule-tests-$$
	mkdir "$T/pids"
	mount -t cgroup -o pids pids "$T/pids" 2>/dev/null || mount -t cgroup2 none "$T/pids" || skip "no cgroup of pids"
	mkdir "$group" && [ -e "$group/pids.max" ] || { rmdir "$group"; skip "no limit of pids in a cgroup"; }
	STATUS=0
	sh -c 'echo 12 >"$1/pids.max" && echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$group" \
		"$CAPSULE" record -q -o "$T/fork.cap" -- python3 -c 'import os, signal, threading, time
kids = []
for i in range(3):
    p = os.fork()
    if p == 0:
        time.sleep(30)
        os._exit(0)
    kids.append(p)
end, threads = threading.Event(), []
try:
    while True:
        threads.append(threading.Thread(target=end.wait))
        threads[-1].start()
except RuntimeError as e:
    print(len(threads), e)
try:
    os.fork()
except OSError as e:
    print(e)
end.set()
for t in threads[:-1]:
    t.join()
print(os.waitpid(os.fork() or os._exit(7), 0)[1])
for k in kids:
    os.kill(k, signal.SIGKILL)
    print(os.waitpid(k, 0)[1])' </dev/null >"$T/fork.out" 2>"$T/fork.err" || STATUS=$?
	echo $STATUS >"$T/fork.status"
	wait_for rmdir "$group"
	fine fork
	says fork "can't start new thread"
	says fork 'Resource temporarily unavailable'
	chmod 644 "$T/fork.cap"
	replays_the_same fork
}

# A pipe whose reader is slow takes a part, and then nothing.
case_short_writes_and_eagain() {
	needs_recording
	needs python3
	mkfifo "$T/slow"
	(exec <"$T/slow"; sleep 2; exec cat >"$T/slow.got") &
	local reader=$!
	STATUS=0
	"$CAPSULE" record -q -o "$T/short.cap" -- python3 -c 'import os, select, sys
os.set_blocking(1, False)
said = 0
while said < 300000:
    try:
        n = os.write(1, b"abcdefgh" * ((300000 - said) // 8 + 1))
        said += n
        print(n, file=sys.stderr)
    except BlockingIOError as e:
        print(e, file=sys.stderr)
        select.select([], [1], [])' </dev/null >"$T/slow" 2>"$T/short.err" || STATUS=$?
	wait $reader
	echo $STATUS >"$T/short.status"
	mv "$T/slow.got" "$T/short.out"
	chmod 644 "$T/short.cap"
	fine short
	says short 'temporarily unavailable'
	[ "$(wc -l <"$T/short.err")" -gt 3 ] || fail "nothing was short: $(cat "$T/short.err")"
	replays_the_same short
}

# The other side of a terminal goes away: EIO, and SIGHUP for those who have it as theirs.
case_eio_terminal() {
	needs_recording
	needs python3
	cat >"$T/hangup.py" <<-'PY'
		import os
		print(os.isatty(0), os.get_terminal_size(0), flush=True)
		got = True
		while got:
		    try:
		        got = os.read(0, 100)
		        print(got, flush=True)
		    except OSError as e:
		        print(e, flush=True)
		        got = None
		try:
		    print(os.write(0, b"anybody?"))
		except OSError as e:
		    print(e)
	PY
	python3 - "$CAPSULE" "$T" <<-'PY' || fail "could not record"
		import os, pty, subprocess, sys, time
		master, slave = pty.openpty()
		where = sys.argv[2]
		p = subprocess.Popen([sys.argv[1], "record", "-q", "-o", where + "/tty.cap", "--", "python3", where + "/hangup.py"], stdin=slave,
		                     stdout=open(where + "/tty.out", "w"), stderr=open(where + "/tty.err", "w"))
		os.close(slave)
		os.write(master, b"first line\n")
		while not os.path.getsize(where + "/tty.out"):
		    time.sleep(0.1)
		time.sleep(1)
		os.write(master, b"second line\nthe rest\x04")
		time.sleep(0.5)
		os.close(master)
		open(where + "/tty.status", "w").write("%d\n" % p.wait())
	PY
	chmod 644 "$T/tty.cap"
	says tty 'True os.terminal_size'
	says tty "b'second line"
	says tty 'Input/output error'
	replays_the_same tty
}

# limited NAME COMM LIMIT CMD...: while COMM of CMD runs, somebody outside lowers a limit of its; the replay knows nothing of that.
limited() {
	local name=$1 comm=$2 limit=$3 pid
	shift 3
	serve "$name" "$@"
	wait_for grep -q ready "$T/$name.out"
	pid=$(running "$SERVING" "$comm" | head -n 1)
	sleep 0.2
	as_user "$(stat -c %u "/proc/$pid")" prlimit --pid "$pid" "$limit"
	wait "$SERVING" || :
	SERVERS=()
	chmod 644 "$T/$name.cap"
	[ "$(cat "$T/$name.status")" -eq 0 ] || fail "it ended with $(cat "$T/$name.status"): $(cat "$T/$name.err")"
}

# The first of many like it that gets no memory, no descriptor, no process is told by its place.
case_enomem_of_a_limit() {
	needs python3 prlimit
	limited memory python3 --as=900000000:900000000 python3 -u -c '
import mmap, time
print("ready")
kept = []
try:
    while len(kept) < 500:
        kept.append(mmap.mmap(-1, 1 << 20))
        mmap.mmap(-1, 800 << 20).close()
        time.sleep(0.01)
except OSError as e:
    print(len(kept), e)
try:
    bytes(900 << 20)
except MemoryError:
    print("no memory")'
	says memory 'Cannot allocate memory'
	says memory 'no memory'
	replays_the_same memory
}

case_emfile_of_a_limit() {
	needs python3 prlimit
	limited files python3 --nofile=30:30 python3 -u -c '
import os, socket, time
print("ready")
kept = []
for make in (lambda: os.open("/etc/hostname", os.O_RDONLY), lambda: os.dup(0), lambda: os.pipe()[0], lambda: socket.socket().detach()):
    try:
        while len(kept) < 2000:
            kept.append(make())
            time.sleep(0.01)
    except OSError as e:
        print(len(kept), e)
    os.close(kept.pop())'
	says files 'Too many open files'
	[ "$(grep -c 'Too many open files' "$T/files.out")" -eq 4 ] || fail "not all failed: $(cat "$T/files.out")"
	replays_the_same files
}

case_eagain_of_a_limit() {
	needs perl prlimit
	limited tasks perl --nproc=1:1 setpriv --reuid=nobody --regid=nogroup --clear-groups perl -e '
		$| = 1; print "ready\n";
		for $n (0 .. 500) {
			defined(my $pid = fork) or do { print "$n $!\n"; exit };
			$pid or exit; waitpid $pid, 0; select undef, undef, undef, 0.01;
		}'
	says tasks 'Resource temporarily unavailable'
	replays_the_same tasks
}
