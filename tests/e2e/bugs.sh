# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Real bugs of real programs: Debian's source package is built with one of its patches taken back, which is the broken build,
# and with it, which is the fixed one.  The failure is recorded once; check, verify and replay tell the builds apart.

# two_builds SOURCE PATCH PROGRAM COMMAND: $T/fixed and $T/broken, the PROGRAM that COMMAND builds in the source's tree
two_builds() {
	needs gcc make patch
	[ -d "$O/sources/$1" ] || skip "the source of $1 is not here (make test-deps fetches it)"
	cp -a "$O/sources/$1" "$T/source"
	[ -e "$T/source/debian/patches/$2" ] || fail "Debian's $1 has no patch $2 any more"
	(cd "$T/source" && eval "$4") >"$T/build.log" 2>&1 || fail "$(tail -n 5 "$T/build.log")"
	cp "$T/source/$3" "$T/fixed"
	patch -d "$T/source" -sRp1 <"$T/source/debian/patches/$2" || fail "$2 can't be taken back"
	(cd "$T/source" && eval "$4") >"$T/build.log" 2>&1 || fail "$(tail -n 5 "$T/build.log")"
	cp "$T/source/$3" "$T/broken"
	! cmp -s "$T/fixed" "$T/broken" || fail "both builds are the same"
	mv "$T/broken" "$T/program"
}

# told_apart NAME: $T/NAME.cap, recorded with $T/program, has a failure that $T/fixed has not
told_apart() {
	expect_status 1 as_stranger "$CAPSULE" check "$T/$1.cap"
	one_line 'the failure is there'
	expect_status 0 as_stranger "$CAPSULE" check --bind "$T/fixed:$T/program" "$T/$1.cap"
	one_line 'the failure is gone'
	expect_status 0 as_stranger "$CAPSULE" verify --runs 3 --patch "$T/fixed:$T/program" "$T/$1.cap"
	grep -q "^cured .*$1.cap\$" "$T/out" && tail -n 1 "$T/out" | grep -q '^proved: 1 cured, ' || fail "$(cat "$T/out")"
	expect_status 1 as_stranger "$CAPSULE" verify --runs 3 --patch "$T/program:$T/program" "$T/$1.cap"
	grep -q '^not cured ' "$T/out" || fail "$(cat "$T/out")"
}

# CVE-2022-28805: a constant _ENV is taken for a register.  The script comes on stdin.
limit_lua=300
case_lua() {
	two_builds lua5.4 0004-cve-2022-28805.patch src/lua \
		'echo "#define DEB_HOST_MULTIARCH \"\"" >src/lua5.4-deb-multiarch.h; cd src && make -s -f /dev/null CFLAGS="-O1 -g -w -DLUA_USE_POSIX" LDLIBS="-lm -ldl" $(ls l*.c | grep -v luac.c | sed s/c\$/o/) && gcc -o lua l*.o -lm -ldl'
	cat >"$T/lua.in" <<-'LUA'
		print("compiling")
		assert(load("local _ENV <const> = 1.5; print('never run')"))
		print("compiled")
	LUA
	record lua "$T/program" -
	ended 1
	grep -q 'needs too many registers' "$T/lua.err" || fail "$(cat "$T/lua.err")"
	told_apart lua
}

# CVE-2022-0530: a name in an archive that is no UTF-8, whose conversion is not checked: SIGSEGV, which unzip catches to say so.
limit_unzip=300
case_unzip() {
	needs python3
	two_builds unzip 28-cve-2022-0529-and-cve-2022-0530.patch unzip 'make -s -f unix/Makefile D_USE_BZ2= LF2= \
		CF="-O1 -g -w -I. -DUNIX -DUNICODE_SUPPORT -DUNICODE_WCHAR -DUTF8_MAYBE_NATIVE -DNO_LCHMOD -DHAVE_DIRENT_H -DHAVE_TERMIOS_H" unzip'
	python3 - >"$T/bad.zip" <<-'PY'
		import struct, sys, zlib
		name, data = b'a.txt', b'hello\n'
		unicode_path = struct.pack('<HHBI', 0x7075, 7, 1, zlib.crc32(name)) + b'\xff\xfe'
		both = struct.pack('<HHHHHIIIHH', 10, 0, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(name), len(unicode_path))
		local = b'PK\3\4' + both + name + unicode_path + data
		central = b'PK\1\2' + struct.pack('<H', 3 << 8 | 20) + both + struct.pack('<HHHII', 0, 0, 0, 0o100644 << 16, 0) + name + unicode_path
		sys.stdout.buffer.write(local + central + b'PK\5\6' + struct.pack('<HHHHIIH', 0, 0, 1, 1, len(central), len(local), 0))
	PY
	LC_ALL=C record unzip "$T/program" -l "$T/bad.zip"
	ended 3
	grep -q 'segmentation violation' "$T/unzip.err" || fail "$(cat "$T/unzip.err")"
	take_away "$T/bad.zip"
	told_apart unzip
}

# CVE-2023-49606: a request with the header "Connection: Connection" has it freed twice; the proxy aborts.
limit_tinyproxy=300
case_tinyproxy() {
	needs python3
	private_network
	two_builds tinyproxy 0002-CVE-2023-49606.patch src/tinyproxy \
		'[ -e Makefile ] || ./configure --disable-manpage_support CFLAGS="-O1 -g -w" && make -s -C src && make -s -C data/templates'
	printf 'Port 8888\nListen 127.0.0.1\nTimeout 10\nMaxClients 4\nDefaultErrorFile "/nonexistent"\nLogLevel Warning\n' >"$T/proxy.conf"
	mkdir "$T/web" && echo page >"$T/web/page"
	start web.log python3 -m http.server 8000 --bind 127.0.0.1 --directory "$T/web"
	wait_for listens 127.0.0.1 8000
	serve proxy "$T/program" -d -c "$T/proxy.conf"
	wait_for listens 127.0.0.1 8888
	through_proxy() { printf 'GET http://127.0.0.1:8000/page HTTP/1.0\r\nHost: a\r\n%s\r\n' "$1" | timeout 10 python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", 8888))
s.sendall(sys.stdin.buffer.read())
while d := s.recv(4096): sys.stdout.buffer.write(d)' || :; }
	through_proxy '' >"$T/first"
	grep -q page "$T/first" || fail "the proxy gives no page: $(cat "$T/first" "$T/proxy.err")"
	through_proxy $'Connection: Connection\r\n' >"$T/second"
	wait "$SERVING" || :
	[ "$(cat "$T/proxy.status")" = 134 ] || fail "the proxy ended with $(cat "$T/proxy.status"): $(tail -c 500 "$T/proxy.err")"
	stop_servers
	chmod 644 "$T/proxy.cap"
	told_apart proxy
}
