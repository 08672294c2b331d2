# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What programs see of files beside their bytes: numbers, owners, times, the order of directories; what they see of the machine there.

# a_tree DIR: files of several owners, modes, ages and kinds
a_tree() {
	needs_recording
	mkdir -p "$1/sub/deep" "$1/empty"
	for i in $(seq 40); do echo "$i" >"$1/sub/file$i"; done
	head -c 70000 /dev/zero >"$1/blocks"
	truncate -s 1M "$1/hole"
	ln "$1/blocks" "$1/link"
	ln -s sub/file1 "$1/symlink"
	ln -s nowhere "$1/dangling"
	mkfifo "$1/fifo"
	chown nobody "$1/sub" "$1/sub/file1"
	chown 4242:4243 "$1/blocks"
	chown -h 4244 "$1/symlink"
	chmod 640 "$1/sub/file2"
	chmod 2751 "$1/sub/deep"
	touch -d '1999-12-31 23:59:59.123456789' "$1/sub/file3" "$1/empty"
	touch -a -d '2001-02-03 04:05:06' "$1/sub/file4"
}

case_ls() {
	a_tree "$T/tree"
	record ls ls -laiRs --time-style=full-iso "$T/tree"
	grep -q 4242 "$T/ls.out" || fail "not the listing that was wanted: $(cat "$T/ls.out" "$T/ls.err")"
	take_away "$T/tree"
	replays_the_same ls
}

# The order of the directory itself, not a sorted one.
case_unsorted() {
	a_tree "$T/tree"
	record find find "$T/tree" -printf '%p %i %D %U %G %m %n %s %b %A@ %T@ %C@\n'
	take_away "$T/tree"
	replays_the_same find
}

case_stat() {
	a_tree "$T/tree"
	record stat stat "$T/tree" "$T/tree/blocks" "$T/tree/symlink" /etc /etc/passwd /usr/bin/env /bin /dev/null /dev/tty /proc/self/status /
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS: $(cat "$T/stat.err")"
	take_away "$T/tree"
	replays_the_same stat
}

# The directory of a peer's socket keeps its mode.
case_directory_of_a_socket() {
	needs python3
	mkdir -m 710 "$T/private"
	start echo.log python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
while True: c = s.accept()[0]; c.sendall(b"said"); c.close()' "$T/private/sock"
	wait_for test -S "$T/private/sock"
	record private /usr/bin/python3 -c 'import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(10), oct(os.stat(os.path.dirname(sys.argv[1])).st_mode))' "$T/private/sock"
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS: $(cat "$T/private.err")"
	take_away "$T/private"
	replays_the_same private
}

# What is made and changed in the run itself.
case_made_files() {
	mkdir "$T/work"
	cat >"$T/make.sh" <<-'SH'
		set -e
		cd "$1"
		echo old >old; touch -d 2020-02-02 old
		echo a >a; ls -lai --time-style=full-iso; stat a
		sleep 0.02
		echo b >b; mkdir c; echo more >>a; chmod 600 b; ln a c/hard
		find . -newer old -printf '%p %i %n %s %T@\n'
		stat . c a b; rm a; mv b c; touch -r old c/hard; ls -liR --time-style=full-iso
		test c/hard -nt c/b || echo older
		[ c/b -nt old ] && echo newer
	SH
	record made sh "$T/make.sh" "$T/work"
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS: $(cat "$T/made.err")"
	take_away "$T/make.sh" "$T/work"
	mkdir "$T/work"
	replays_the_same made
}

case_copies() {
	needs tar
	a_tree "$T/tree"
	rm "$T/tree/fifo"
	mkdir "$T/to"
	record copies sh -c 'cd "$1" && tar -cf "$2/t.tar" tree && tar -tvf "$2/t.tar" && cp -a tree "$2/copy" && ls -liR "$2/copy" && cksum "$2/t.tar"' sh "$T" "$T/to"
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS: $(cat "$T/copies.err")"
	take_away "$T/tree" "$T/to"
	mkdir "$T/to"
	replays_the_same copies
}

case_python_stat() {
	needs python3
	a_tree "$T/tree"
	cat >"$T/walk.py" <<-'PY'
		import os, sys
		def show(p, s): print(p, [(k, getattr(s, k)) for k in sorted(dir(s)) if k.startswith("st_")])
		for d, names, files in os.walk(sys.argv[1]):
		    print(d, names, files)
		    for e in os.scandir(d): print(e.name, e.inode(), e.is_dir(), e.is_symlink()); show(e.name, e.stat(follow_symlinks=False))
		    fd = os.open(d, os.O_RDONLY)
		    show(d, os.fstat(fd)); print(os.listdir(fd), os.statvfs(d), os.fstatvfs(fd))
		    for f in files: print(f, os.access(f, os.R_OK), os.access(os.path.join(d, f), os.W_OK, effective_ids=True))
		print(os.fstat(0), os.fstat(1), os.stat("/proc/self/fd/0"), os.readlink("/proc/self/exe"))
		r, w = os.pipe(); print(os.fstat(r), os.readlink(f"/proc/self/fd/{w}"))
	PY
	record walk /usr/bin/python3 "$T/walk.py" "$T/tree"
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS: $(cat "$T/walk.err")"
	take_away "$T/tree" "$T/walk.py"
	replays_the_same walk
}

case_node_stat() {
	needs node
	a_tree "$T/tree"
	record node node -e 'const fs = require("fs");
		for (const n of fs.readdirSync(process.argv[1], { withFileTypes: true })) {
			const p = process.argv[1] + "/" + n.name; console.log(n, fs.lstatSync(p, { bigint: true })); }
		console.log(fs.statfsSync ? fs.statfsSync(process.argv[1]) : "", fs.statSync("/usr"), fs.existsSync("/nowhere"));' "$T/tree"
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS: $(cat "$T/node.err")"
	take_away "$T/tree"
	replays_the_same node
}

# ---- the machine's own -----------------------------------------------------------------

case_processes() {
	needs ps top
	record ps ps axo pid,ppid,user,stat,rss,lstart,args
	record aux ps aux
	record top top -b -n1
	for n in ps aux top; do
		[ "$(wc -l <"$T/$n.out")" -gt 3 ] || fail "$n saw no processes: $(cat "$T/$n.err")"
		replays_the_same $n
	done
}

case_machine_tools() {
	needs df free uptime
	record df df -a
	record free free
	record uptime uptime
	record mount findmnt -A
	record devices ls -lai /dev /dev/pts /sys/class/net /sys/block /sys/devices/system/cpu
	for n in df free uptime mount devices; do
		[ "$(cat "$T/$n.status")" -eq 0 ] || fail "$n: $(cat "$T/$n.err")"
		replays_the_same $n
	done
}

case_open_files() {
	needs lsof
	record fds ls -l /proc/self/fd
	record lsof sh -c 'exec 5</etc/passwd; lsof -p $$; cat /proc/$$/maps | wc -l; ls /proc/$$/task'
	for n in fds lsof; do
		[ "$(cat "$T/$n.status")" -eq 0 ] || fail "$n: $(cat "$T/$n.err")"
		replays_the_same $n
	done
}

# ---- other numbers -------------------------------------------------------------------

# The same tree at another place: each inode, device and change time is another one.
case_other_inodes() {
	needs_recording
	local lib
	mkdir -p "$T/root"/{bin,data/sub,dev,proc,sys,tmp} "$T/other"
	for c in sh ls stat find; do
		cp -L "$(command -v $c)" "$T/root/bin/$c"
		for lib in $(ldd "$(command -v $c)" | grep -o '/[^ ]*'); do mkdir -p "$T/root/${lib%/*}"; cp -L "$lib" "$T/root/$lib"; done
	done
	for i in 3 1 2; do echo "$i" >"$T/root/data/sub/$i"; done
	echo outside >"$T/root/data/file"
	RECORD_OPTS="--rootfs $T/root" record copy /bin/sh -c '/bin/ls -lainU /data /data/sub /bin; /bin/stat /data/file; /bin/find /data'
	grep -q ' file$' "$T/copy.out" || fail "not the listing that was wanted: $(cat "$T/copy.out" "$T/copy.err")"
	for i in 9 8 7; do echo >"$T/other/$i"; done
	cp -r "$T/root" "$T/other/root"
	chmod -R a+rX "$T/other"
	take_away "$T/root"
	replays_the_same copy --rootfs "$T/other/root"
}

# ---- programs that live by it -----------------------------------------------------------

ended() { [ "$STATUS" -eq "$1" ] || fail "it ended with $STATUS: $(tail -c 1500 "$T"/*.err)"; }

# The index of a work tree holds inodes, devices and change times; status, diff and commit ask for them.
case_git_work_tree() {
	needs git
	git init -q "$T/repo" && (cd "$T/repo" && mkdir d && for i in $(seq 12); do echo "$i $RANDOM" >"d/file$i"; git add . ; git -c user.name=a -c user.email=a@b commit -qm "$i"; done)
	GIT=$(free_port)
	touch "$T/repo/.git/git-daemon-export-ok"
	start git.log git daemon --listen=127.0.0.1 --port="$GIT" --base-path="$T" --reuseaddr
	wait_for listens 127.0.0.1 "$GIT"
	mkdir "$T/work"
	cat >"$T/work.sh" <<-'SH'
		set -e
		git clone "$1" clone; cd clone
		git config user.name a; git config user.email a@b
		git status; echo more >>d/file3; rm d/file4; echo new >new
		git status --short; git diff; git add -A; git commit -m 'a change'; git status; git log --stat -2; git gc -q; cksum .git/index; ls -la .git d
	SH
	cd "$T/work"	# and so is the replay
	record clone sh "$T/work.sh" "git://127.0.0.1:$GIT/repo"
	ended 0
	take_away "$T/repo" "$T/work" "$T/work.sh"
	replays_the_same clone
}

case_rsync_again() {
	needs rsync
	mkdir "$T/tree" "$T/to"
	for i in $(seq 30); do head -c $((i * 1000)) /dev/urandom >"$T/tree/file$i"; done
	cp -a "$T/tree" "$T/to/"
	echo changed >>"$T/tree/file7"; rm "$T/tree/file8"; touch -d 2002-02-02 "$T/to/tree/file9"; echo stale >"$T/to/tree/stale"
	RSYNC=$(free_port)
	printf 'pid file = %s/rsyncd.pid\nuse chroot = no\n[tree]\npath = %s/tree\nuid = root\n' "$T" "$T" >"$T/rsyncd.conf"
	start rsync.log rsync --daemon --no-detach --config="$T/rsyncd.conf" --address=127.0.0.1 --port="$RSYNC"
	wait_for listens 127.0.0.1 "$RSYNC"
	record rsync rsync -avi --delete "rsync://127.0.0.1:$RSYNC/tree/" "$T/to/tree"
	ended 0
	grep -q 'deleting' "$T/rsync.out" || fail "it deleted nothing: $(cat "$T/rsync.out")"
	take_away "$T/tree" "$T/to"
	replays_the_same rsync
}

# What is up to date is told by times of files that the run wrote and of those that were there.
case_make_up_to_date() {
	needs make gcc
	mkdir "$T/src"
	for i in 1 2 3; do echo "int f$i(void) { return $i; }" >"$T/src/f$i.c"; done
	echo 'int f1(void), f2(void), f3(void); int main(void) { return f1() + f2() + f3() - 6; }' >"$T/src/main.c"
	printf 'OBJ = f1.o f2.o f3.o main.o\nprog: $(OBJ)\n\tgcc -o $@ $(OBJ)\n%%.o: %%.c\n\tgcc -c -o $@ $<\n' >"$T/src/Makefile"
	(cd "$T/src" && make -s f2.o && touch -d '1 hour ago' f2.c)
	record make sh -c 'cd "$1" && make && make && sleep 0.05 && touch f3.c && make && make -d -n 2>&1 | grep -c newer; ./prog' sh "$T/src"
	ended 0
	grep -q 'is up to date' "$T/make.out" || fail "nothing was up to date: $(cat "$T/make.out")"
	take_away "$T/src"
	replays_the_same make
}

limit_webrick=300
case_webrick() {
	needs ruby curl
	ruby -e 'require "webrick"' 2>/dev/null || skip "webrick is not installed"
	mkdir "$T/www"
	head -c 50000 /dev/urandom >"$T/www/big"
	echo "a page" >"$T/www/page.html"
	WEB=$(free_port)
	cat >"$T/web.rb" <<-'RB'
		require "webrick"
		s = WEBrick::HTTPServer.new(BindAddress: "127.0.0.1", Port: ARGV[0].to_i, DocumentRoot: ARGV[1])
		s.mount_proc("/rand") { |q, a| a.body = "#{rand} #{Time.now.to_f} #{q.query}\n" }
		trap("TERM") { s.shutdown }
		s.start
	RB
	serve web ruby "$T/web.rb" "$WEB" "$T/www"
	wait_for listens 127.0.0.1 "$WEB"
	for i in 1 2 3; do
		curl -sS -D- "http://127.0.0.1:$WEB/page.html" >>"$T/client"; curl -sS "http://127.0.0.1:$WEB/big" -o "$T/big.$i"
		curl -sS "http://127.0.0.1:$WEB/rand?n=$i" >>"$T/client"; curl -sS "http://127.0.0.1:$WEB/none" >/dev/null
	done
	curl -sS -D- "http://127.0.0.1:$WEB/" >>"$T/client"	# a listing
	end_server web ruby 0
	cmp "$T/www/big" "$T/big.2"
	grep -qi etag "$T/client" || fail "no ETag: $(cat "$T/client")"
	take_away "$T/www" "$T/web.rb"
	replays_the_same web
}

# ---- what is left behind -------------------------------------------------------------------

# Moved directories bring what is in them along; scratch files that are gone again count for nothing.
case_outputs_that_moved() {
	mkdir "$T/work"
	record moved sh -c 'cd "$1"; mkdir -p a/b; echo 1 >a/one; echo 2 >a/b/two; mv a c; mkdir d; mv c/b d/e; echo x >x; rm x; ln d/e/two d/hard; chmod 600 c/one; find . | sort; ln -s c s; touch -d 2001-01-01 s/one' sh "$T/work"
	ended 0
	take_away "$T/work"
	replays_the_same moved
}

# extra NAME TEXT SCRIPT: the changed program does this, too, and the verdict tells of it
extra() {
	replay_once "$1" -- sh -c "$3" sh "$T/work"
	[ "$REPLAY_STATUS" -eq 1 ] || { why_not "$1"; fail "status $REPLAY_STATUS for: $3"; }
	grep -qF -- "$2" "$T/$1.replay.json" || { why_not "$1"; fail "no word of $2"; }
}

case_extra_outputs() {
	mkdir "$T/work"
	echo was >"$T/work/old"
	echo kept >"$T/work/kept"
	record few sh -c 'cat "$1/old" "$1/kept"; ls "$1" | wc -l; echo new >"$1/new"' sh "$T/work"
	ended 0
	take_away "$T/work"
	local same='cat "$1/old" "$1/kept"; ls "$1" | wc -l; echo new >"$1/new"'
	replay_once few -- sh -c "$same; : ; echo scratch >\"\$1/t\"; rm \"\$1/t\"" sh "$T/work"
	[ "$REPLAY_STATUS" -eq 0 ] || fail "a scratch file that is gone is no output"
	extra few "$T/work/extra" "$same; echo more >\"\$1/extra\""
	extra few "$T/work/old" "$same; echo more >>\"\$1/old\""
	extra few "$T/work/kept" "$same; rm \"\$1/kept\""
	extra few "$T/work/dir" "$same; mkdir \"\$1/dir\""
	extra few "file $T/work/new" "cat \"\$1/old\" \"\$1/kept\"; ls \"\$1\" | wc -l; echo other >\"\$1/new\""
}
