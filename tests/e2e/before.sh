# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Files that the program changes, renames, deletes: a replay begins with what they were before, whatever they are by now.

# after NAME PATH...: what is there now is other than before and after the recording, and out of reach
after() {
	local name=$1
	shift
	take_away "$@"
	replays_the_same "$name"
}

case_sqlite() {
	needs sqlite3
	mkdir "$T/db"
	sqlite3 "$T/db/a.sqlite" 'create table t(n integer primary key, word text); insert into t(word) values ("one"), ("two"); create index i on t(word)'
	record sql sqlite3 "$T/db/a.sqlite" "begin; select * from t; insert into t(word) values ('three'); update t set word = word || '!'; commit;
		select count(*), group_concat(word) from t; delete from t where n = 1; vacuum; pragma integrity_check; select * from t"
	says sql '3|one!,two!,three!'
	says sql '^ok$'
	after sql "$T/db"
	mkdir "$T/db"
	sqlite3 "$T/db/w.sqlite" 'pragma journal_mode = wal; create table t(n); insert into t values (1)' >/dev/null
	record wal sqlite3 "$T/db/w.sqlite" "insert into t values (2); select sum(n) from t; pragma wal_checkpoint; insert into t values (4); select sum(n) from t"
	says wal '^7$'
	after wal "$T/db"
}

case_append_only() {
	seq 1000 >"$T/log"
	record log sh -c "echo 'a line more' >>'$T/log'; tail -n 2 '$T/log'; wc -l <'$T/log'; sed -i 's/^1000\$/changed/' '$T/log'; tail -n 2 '$T/log'"
	says log 1001
	after log "$T/log"
}

case_renamed_and_deleted() {
	mkdir -p "$T/d/sub/deep"
	local f
	for f in read moved over target gone twice sub/one sub/deep/two; do echo "this was $f" >"$T/d/$f"; done
	# shellcheck disable=SC2016
	record names sh -c 'cd "$1"; mv moved new; cat new; mv over target; cat target; cat gone; rm gone; cat gone; rm twice; echo again >twice; cat twice
		mv sub other; cat other/one other/deep/two; rm -r other; ls; ln -s read link; cat link; mv read back; cat link; mv back read; cat link; truncate -s 5 read; cat read' sh "$T/d"
	says names 'this was over'
	says names 'this was sub/deep/two'
	after names "$T/d"
}

# Two names of one file.
case_hard_links() {
	mkdir "$T/d"
	echo first >"$T/d/a"
	ln "$T/d/a" "$T/d/b"
	echo other >"$T/d/c" && ln "$T/d/c" "$T/d/e"
	# shellcheck disable=SC2016
	record links sh -c 'cd "$1"; cat b; echo second >>a; cat b; stat -c %h a b; rm a; echo third >>b; cat b; stat -c %h b; ln b f; echo fourth >>f; cat b
		cat e; echo new >c.new; mv c.new c; cat e c' sh "$T/d"
	says links second
	says links fourth
	after links "$T/d"
}

case_symlinks() {
	mkdir "$T/d"
	echo a >"$T/d/a" && echo b >"$T/d/b"
	ln -s a "$T/d/relative" && ln -s "$T/d/b" "$T/d/absolute" && ln -s nowhere "$T/d/dangling" && ln -s . "$T/d/self" && ln -s loop "$T/d/loop"
	# shellcheck disable=SC2016
	record sym sh -c 'cd "$1"; cat relative absolute; echo through >>relative; cat a; readlink dangling self; cat dangling loop; echo made >dangling; cat nowhere
		ln -sf b relative; cat relative; rm absolute; ls -l self/self/self/ | cut -d " " -f 1; mv relative moved; cat moved' sh "$T/d"
	says sym through
	after sym "$T/d"
}

case_sparse() {
	needs python3
	mkdir "$T/d"
	truncate -s 50M "$T/d/sparse"
	printf start | dd of="$T/d/sparse" conv=notrunc 2>/dev/null
	printf middle | dd of="$T/d/sparse" bs=1 seek=20000000 conv=notrunc 2>/dev/null
	record sparse /usr/bin/python3 -I -c 'if True:
		import os, sys, hashlib
		fd = os.open(sys.argv[1], os.O_RDWR)
		at = 0
		while True:
		    try: data = os.lseek(fd, at, os.SEEK_DATA)
		    except OSError as e: print("end", e.errno); break
		    at = os.lseek(fd, data, os.SEEK_HOLE)
		    print(data, at)
		print(os.fstat(fd).st_size, os.fstat(fd).st_blocks)
		os.pwrite(fd, b"more", 40000000)
		print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$T/d/sparse"
	says sparse '^end 6'
	after sparse "$T/d"
}

# Extended attributes: those before, what becomes of them, what changed code finds.  Without attr(1), which may be missing, by its calls.
case_attributes() {
	needs python3
	mkdir "$T/d"
	python3 -c 'if True:
		import os, sys
		os.chdir(sys.argv[1])
		for f in "opened", "named", "listed", "hard", "removed": open(f, "w").write("content of " + f)
		try: os.setxattr("opened", "user.one", b"first")
		except OSError: sys.exit(77)
		os.setxattr("opened", "user.two", b"second\0\xff")
		for n in "a", "b", "c": os.setxattr("named", "user." + n, n.encode() * 9)
		os.setxattr("listed", "user.kept", b"as it was"); os.setxattr("removed", "user.gone", b"with its file")
		os.mkdir("sub"); os.setxattr("sub", "user.of-a-directory", b"")
		os.link("hard", "other"); os.setxattr("hard", "user.shared", b"by two names")' "$T/d" || skip "files have no extended attributes here"
	cat >"$T/program.py" <<-'PY'
		import errno, os, sys
		os.chdir(sys.argv[1])
		def tell(f, *a):
		    try: print(f.__name__, a[:2], f(*a))
		    except OSError as e: print(f.__name__, a[:2], errno.errorcode[e.errno])
		f = open("opened", "r+")
		tell(os.setxattr, "opened", "user.one", b"taken", os.XATTR_CREATE)
		tell(os.setxattr, f.fileno(), "user.one", b"changed", os.XATTR_REPLACE)
		tell(os.getxattr, "opened", "user.one")
		tell(os.removexattr, f.fileno(), "user.two"); tell(os.getxattr, f.fileno(), "user.two")
		tell(os.setxattr, "opened", "user.new", b"made here")
		tell(os.listxattr, "opened")
		tell(os.removexattr, "named", "user.a"); tell(os.removexattr, "named", "user.a")
		tell(os.setxattr, "named", "user.b", b"other", os.XATTR_REPLACE); tell(os.setxattr, "named", "user.d", b"fresh", os.XATTR_CREATE)
		tell(os.listxattr, "named"); tell(os.getxattr, "named", "user.c")
		print(open("listed").read()); tell(os.listxattr, "listed"); tell(os.getxattr, "listed", "user.kept")
		tell(os.listxattr, "sub"); tell(os.getxattr, "sub", "user.of-a-directory")
		tell(os.removexattr, "other", "user.shared"); tell(os.listxattr, "hard")
		print(open("removed").read()); tell(os.getxattr, "removed", "user.gone"); os.unlink("removed")
		tell(os.setxattr, "sub", "security.capability", b"no"); tell(os.getxattr, "opened", "security.none")
		exec(sys.argv[2] if len(sys.argv) > 2 else "")
	PY
	record attributes /usr/bin/python3 -I "$T/program.py" "$T/d"
	says attributes "removexattr ([0-9]*, 'user.two') None"
	says attributes "setxattr ('named', 'user.b') None"
	"$CAPSULE" show --events "$T/attributes.cap" >"$T/events"
	grep '^.* file .*d/opened' "$T/events" | grep -F '"user.one" of 5 bytes, "user.two" of 8 bytes' >/dev/null || fail "those before are not there: $(grep d/opened "$T/events")"
	grep '^.* output .*d/opened' "$T/events" | grep -F '"user.new" of 9 bytes, "user.one" of 7 bytes' >/dev/null || fail "those after are not there: $(grep d/opened "$T/events")"
	take_away "$T/d"
	replays_the_same attributes
	changed() {	# changed CODE: the program does that in the end, too
		replay_once attributes -- /usr/bin/python3 -I "$T/program.py" "$T/d" "$1"
	}
	changed 'tell(os.listxattr, "opened"); tell(os.getxattr, "opened", "user.new")'
	tail -n 2 "$T/attributes.replay.out" >"$T/last"
	grep -F "listxattr ('opened',) ['user.one', 'user.new']" "$T/last" && grep -F "b'made here'" "$T/last" || fail "changed code does not find what it made: $(cat "$T/last")"
	changed 'os.setxattr("named", "user.c", b"z")'
	receipt attributes first_divergence | grep -F "attributes of file $T/d/named" >/dev/null || { why_not attributes; fail "another attribute is not told"; }
	# What a program took away that only named the file was not seen in time, or was: then it is there.
	replay_once attributes -- /usr/bin/python3 -I -c 'import os, sys
os.chdir(sys.argv[1]); print(os.getxattr("named", "user.a"), os.getxattr("named", "user.c"))' "$T/d"
	receipt attributes miss_list | grep 'user.a of .*named was asked for; the capsule has it not' >/dev/null || grep -F "b'aaaaaaaaa'" "$T/attributes.replay.out" ||
		{ why_not attributes; fail "an attribute that is not known is not told"; }
	grep -F "b'ccccccccc'" "$T/attributes.replay.out" || fail "one that is known is not there"
	changed 'os.setxattr("listed", "user.more", b"z")'
	receipt attributes first_divergence | grep -F "$T/d/listed" >/dev/null || { why_not attributes; fail "an attribute of a file that had been left alone is not told"; }
}

# Of what is larger than the limit only the hash is there, and show says which.
case_beyond_the_limit() {
	head -c 300000 /dev/urandom >"$T/large"
	echo small >"$T/small"
	RECORD_OPTS='--snapshot-limit 100K' record limit sh -c "cat '$T/large' '$T/small' | sha256sum"
	"$CAPSULE" show "$T/limit.cap" >"$T/shown"
	grep -v ^command "$T/shown" >"$T/said"
	grep -qF "$T/large" "$T/said" || fail "show does not name the file that is not in the capsule: $(cat "$T/shown")"
	! grep -qF "$T/small" "$T/said" || fail "show names a file that is in it"
	"$CAPSULE" show --events "$T/limit.cap" | grep -F "file \"$T/large\"" | grep -q sha256 || fail "its hash is not there"
	replays_the_same_but_for_the_hole limit
	printf x | dd of="$T/large" conv=notrunc 2>/dev/null
	expect_status 4 "$CAPSULE" replay "$T/limit.cap"
	one_line "$T/large has changed"
}

replays_the_same_but_for_the_hole() {
	replay_once "$1"
	[ "$REPLAY_STATUS" -eq 0 ] && same_bytes "$T/$1.out" "$T/$1.replay.out" stdout || { why_not "$1"; fail "it does not replay with the file there"; }
	grep -q '1 hole' "$T/$1.replay.err" || fail "the hole is not told"
}
