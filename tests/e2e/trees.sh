# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Trees of processes: who is whose child, which pid it has, who ends when, who writes first.

fine() { [ "$STATUS" -eq 0 ] || fail "$1 ended with $STATUS: $(head -c 500 "$T/$1.err")"; }

case_pipelines() {
	record pipes sh -c 'seq 1 1000 | sort -r | head -5; printf "b a\n" | tr a-z A-Z | { read -r x; echo "$x" $$; } | cat; false | cat'
	fine pipes
	replays_the_same pipes
}

case_bash_variables() {
	needs bash
	record vars bash -c 'echo $RANDOM $SECONDS $BASHPID $EPOCHREALTIME; (sleep 0.2; echo late $BASHPID) & echo $!; wait; echo $SECONDS $RANDOM'
	fine vars
	replays_the_same vars
}

case_bash_dev_tcp() {
	needs bash
	start_redis
	record tcp bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1; printf "TIME\r\n" >&3; for i in 1 2 3 4 5; do read -r x <&3; echo "$x"; done' x "$REDIS"
	fine tcp
	replays_the_same tcp
}

# Five children that differ in length each print when it is their turn: outside, that order is what happened.
case_children_side_by_side() {
	needs perl
	record sides perl -e '$| = 1; my @p;
		for (1 .. 8) { my $p = fork; if (!$p) { select undef, undef, undef, 0.02 * $_; print "child $_ $$\n"; exit $_ } push @p, $p }
		for (@p) { waitpid $_, 0; print "$_ $?\n" }'
	fine sides
	replays_the_same sides
}

# Forks of several processes at a time, so that their pids interleave.
case_forks_of_many() {
	needs perl
	record many perl -e 'my @p; $| = 1;
		for my $k (1 .. 4) { my $p = fork; if (!$p) { for (1 .. 10) { my $c = fork; if (!$c) { exit 0 } syswrite STDOUT, "$k $c\n"; waitpid $c, 0 } exit } push @p, $p }
		waitpid $_, 0 for @p'
	fine many
	replays_the_same many
}

case_two_hundred_processes() {
	record many sh -c 'i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i + 1)); done; sh -c "echo \$\$"; echo $$'
	fine many
	replays_the_same many
}

case_posix_spawn() {
	needs python3
	record spawn python3 -c 'import os, subprocess
p = os.posix_spawn("/bin/echo", ["echo", "hi"], os.environ)
print(os.waitpid(p, 0), p, flush=True)
print(subprocess.run(["sh", "-c", "echo $$; exit 3"], capture_output=True))'
	fine spawn
	replays_the_same spawn
}

case_daemon() {
	needs python3
	record daemon python3 -c 'import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(0.3)
        open(sys.argv[1], "w").write("%d %f\n" % (os.getpid(), time.time()))
        os.write(1, b"daemon %d done\n" % os.getpid())
    os._exit(0)
os.wait()
print("started", flush=True)' "$T/daemon.txt"
	fine daemon
	grep -q done "$T/daemon.out" || fail "the daemon was not waited for"
	rm -f "$T/daemon.txt"
	replays_the_same daemon
}

case_child_outlives_its_parent() {
	record outlive sh -c '(sleep 0.3; echo late $$) & echo early $!'
	fine outlive
	grep -q late "$T/outlive.out" || fail "the child was not waited for"
	replays_the_same outlive
}

# write_project N: a C project of N files in $T/project that tells when it was built
write_project() {
	local i
	mkdir "$T/project"
	for i in $(seq "$1"); do
		printf '#include <stdio.h>\nint f%d(void);\nint f%d(void) { return printf("%d %%s %%s\\n", __DATE__, __TIME__); }\n' "$i" "$i" "$i"
	done | split -l 3 -d -a 3 --additional-suffix=.c - "$T/project/f"
	{
		for i in $(seq "$1"); do echo "int f$i(void);"; done
		echo 'int main(void) {'
		for i in $(seq "$1"); do echo "f$i();"; done
		echo 'return 0; }'
	} >"$T/project/main.c"
	printf 'OBJ = $(patsubst %%.c,%%.o,$(sort $(wildcard *.c)))\nall: prog\n\t./prog\nprog: $(OBJ)\n\t$(CC) -o $@ $^\n' >"$T/project/Makefile"
}

case_gcc() {
	needs gcc
	write_project 3
	(cd "$T/project" && record gcc gcc -o prog f000.c f001.c f002.c main.c && fine gcc && rm prog && replays_the_same gcc)
}

limit_make_parallel=300
case_make_parallel() {
	needs make gcc
	write_project 50
	(cd "$T/project" && record make make -j2 && fine make && grep -q "^50 " "$T/make.out" && rm -f prog ./*.o && replays_the_same make)
}

case_sqlite_writes() {
	needs sqlite3
	record sqlite sqlite3 "$T/a.db" 'create table t(a, b); insert into t values (random(), datetime("now")); insert into t select hex(randomblob(4)), 2 from t;
		select count(*), max(a) from t; begin; update t set b = random(); commit; select * from t'
	fine sqlite
	rm "$T/a.db"
	replays_the_same sqlite
}

# ---- connections with both ends inside ---------------------------------------------

case_server_and_client_in_one() {
	needs python3
	record inner python3 -c 'import os, socket, threading
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
def serve():
    c, a = s.accept()
    c.sendall(c.recv(100).upper() + repr(a).encode())
    c.close()
t = threading.Thread(target=serve)
t.start()
c = socket.create_connection(s.getsockname())
c.sendall(b"hello")
print(c.recv(100), c.getsockname(), c.getpeername(), os.urandom(4))
t.join()'
	fine inner
	replays_the_same inner
}

case_clients_of_an_event_loop() {
	needs python3
	record loop python3 -c 'import asyncio, os
async def serve(r, w):
    while d := await r.read(70000):
        w.write(d.upper())
        await w.drain()
    w.close()
async def client(i, port):
    r, w = await asyncio.open_connection("127.0.0.1", port)
    n = 0
    for k in range(20):
        w.write(b"x%d" % i * 1000)
        await w.drain()
        n += len(await r.readexactly(2000))
    w.close()
    return n, w.get_extra_info("sockname")
async def main():
    s = await asyncio.start_server(serve, "127.0.0.1", 0)
    for x in await asyncio.gather(*[client(i, s.sockets[0].getsockname()[1]) for i in range(5)]):
        print(x)
    print(os.urandom(4))
asyncio.run(main())'
	fine loop
	replays_the_same loop
}

# A server inside that asks an upstream outside for each of its clients, which are inside.
case_inside_and_outside() {
	needs python3
	start_peer fickle
	record mixed python3 -c 'import socket, sys, threading
def all_of(s):
    got = b""
    while b := s.recv(1000):
        got += b
    return got
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
def serve():
    for i in range(3):
        c, a = s.accept()
        u = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        u.sendall(b"GET / HTTP/1.0\r\n\r\n")
        c.sendall(all_of(u))
        c.close()
t = threading.Thread(target=serve)
t.start()
for i in range(3):
    c = socket.socket()
    c.connect(s.getsockname())
    print(all_of(c))
t.join()' "$PEER"
	fine mixed
	replays_the_same mixed
}

# ---- who ends first ------------------------------------------------------------------

case_vfork() {
	record vfork "$BIN/reap" vfork 8 5
	fine vfork
	replays_the_same vfork
}

case_wait_for_any() {
	record any "$BIN/reap" wait 8 10
	fine any
	replays_the_same any
}

case_wait_for_any_by_signal() {
	record any "$BIN/reap" signal 8 10
	fine any
	replays_the_same any
}

# Writes of several processes to one pipe that end at the same moment: the receipt says that their order is not sure.
case_writes_at_once() {
	record at_once perl -e 'pipe R, W; for (1 .. 4) { if (!fork) { close W; sysread R, $_, 1; syswrite STDOUT, "x" for 1 .. 4000; exit } } close W; 1 while wait > 0'
	fine at_once
	replay_once at_once
	check_replay at_once
	[ "$(receipt at_once unsure)" -gt 0 ] || fail "$(cat "$T/at_once.replay.json")"
	record in_turn sh -c 'echo a; sleep 0.01; /bin/echo b; sleep 0.01; echo c'
	replay_once in_turn
	[ "$(receipt in_turn unsure)" = 0 ] || fail "$(cat "$T/in_turn.replay.json")"
}
