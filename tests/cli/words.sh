# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The command line: its tables, its man page, its manners.  And what the source may include.

COMMANDS='record attach hook watch trigger replay check test bisect verify diff minimize show redact policy audit images doctor'

case_help_is_on_stdout() {
	local c
	expect_status 0 "$CAPSULE" --help
	[ ! -s "$T/err" ] || fail "--help wrote to stderr"
	for c in $COMMANDS; do grep -qw "$c" "$T/out" || fail "--help does not name $c"; done
	for c in $COMMANDS; do
		expect_status 0 "$CAPSULE" "$c" --help
		[ ! -s "$T/err" ] || fail "$c --help wrote to stderr"
		grep -q "^usage: capsule $c " "$T/out" || fail "$c --help has no usage line"
	done
	expect_status 0 "$CAPSULE" --version
	grep -q '^capsule [0-9]' "$T/out" || fail "--version: $(cat "$T/out")"
	expect_status 2 "$CAPSULE"
	[ ! -s "$T/out" ] || fail "the usage of a wrong call is on stdout"
}

case_unknown_command() {
	expect_status 2 "$CAPSULE" recrod
	one_line "'recrod'" "'record'"
	expect_status 2 "$CAPSULE" quite-another
	one_line "'quite-another'" --help
	expect_status 2 "$CAPSULE" "$(printf 'x%.0s' $(seq 5000))"
	expect_status 2 "$CAPSULE" ''
}

case_every_option_is_in_the_man_page() {
	local c o
	for c in $COMMANDS; do
		grep -q "^\*capsule $c\*" "$top/capsule.1.scd" || fail "the synopsis has no '*capsule $c*'"
		"$CAPSULE" complete "$c" >"$T/options"
		# the command's own section, from its heading to the next
		awk -v head="## capsule $c" '$0 == head { on = 1; next } /^#/ { on = 0 } on' "$top/capsule.1.scd" >"$T/section"
		while IFS="=	" read -r o _; do
			grep -qE -- "\*$o\*" "$T/section" || fail "capsule.1.scd does not describe $o of $c"
		done <"$T/options"
		# and the other way round: the page promises nothing that is not there
		for o in $(grep -oE '^(\*-[a-z]\*, )?\*--[a-z-]+\*' "$T/section" | grep -oE -- '--[a-z-]+'); do
			[ "$o" = --help ] || grep -qE -- "^$o(=|	)" "$T/options" || fail "the man page promises $o of $c"
		done
	done
}

case_man_pages_render() {
	needs scdoc
	local f
	for f in "$top"/capsule.1.scd "$top"/format/*.scd; do
		scdoc <"$f" >"$T/page" 2>"$T/err" || fail "$f: $(cat "$T/err")"
		[ -s "$T/page" ] || fail "$f is empty"
	done
}

case_completion() {
	bash -n "$top/capsule.bash"
	local got
	got=$(PATH=$BIN:$PATH bash -c '. "$0"; COMP_WORDS=(capsule re) COMP_CWORD=1; _capsule; echo "${COMPREPLY[*]}"' "$top/capsule.bash")
	[ "$got" = 'record replay redact' ] || fail "re<TAB> gives '$got'"
	got=$(PATH=$BIN:$PATH bash -c '. "$0"; COMP_WORDS=(capsule replay --str) COMP_CWORD=2; _capsule; echo "${COMPREPLY[*]}"' "$top/capsule.bash")
	[ "$got" = '--strict' ] || fail "replay --str<TAB> gives '$got'"
}

case_install() {
	make -s -C "$top" O="$O" DESTDIR="$T/dest" PREFIX=/usr install >"$T/log" 2>&1 || fail "$(tail -n 5 "$T/log")"
	local f
	for f in bin/capsule share/man/man1/capsule.1 share/man/man5/capsule.5 share/bash-completion/completions/capsule \
		share/doc/capsule/policy.yaml lib/systemd/system/capsule-watch.service; do
		[ -s "$T/dest/usr/$f" ] || fail "$f was not installed"
	done
	expect_status 0 "$T/dest/usr/bin/capsule" --version
	python3 - "$T/dest/usr/share/containers/oci/hooks.d/capsule.json" <<-'PY' || fail "the hook is not as podman wants it"
		import json, sys
		h = json.load(open(sys.argv[1]))
		assert h["version"] == "1.0.0" and h["hook"]["path"] == "/usr/bin/capsule" and h["hook"]["args"] == ["capsule", "hook"]
		assert h["stages"] == ["createRuntime", "poststop"] and list(h["when"]["annotations"]) == [r"^capsule\.record$"]
	PY
}

# Includes point down only: watch -> recorder, replayer -> sandbox -> format; recorder and replayer never each other; what runs in the
# kernel or in the guest takes headers of format/ and its own.
case_includes_point_down() {
	local folder allowed bad
	while read -r folder allowed; do
		bad=$(cd "$top" && grep -rnE '^#include "' --include='*.[chS]' "$folder" | grep -vE "#include \"($allowed)" || :)
		[ -z "$bad" ] || fail "$folder/ includes what it may not: $bad"
	done <<-'RULES'
		format format/|linux/
		sandbox sandbox/|format/
		watch watch/|recorder/|sandbox/|format/|bpf/|preload/shim\.h
		recorder recorder/|sandbox/|format/|bpf/|preload/shim\.h
		proof proof/|replayer/|sandbox/|format/
		replayer replayer/|sandbox/|format/|preload/shim\.h|preload/vdso\.h
		bpf bpf/|format/
		preload preload/|format/
	RULES
	# only headers, and the one table that is meant to be expanded
	bad=$(cd "$top" && grep -rnE '^#include "[^"]*\.c"' format sandbox recorder watch replayer proof bpf preload || :)
	[ -z "$bad" ] || fail "a .c file is included: $bad"
	bad=$(cd "$top" && grep -LE 'SPDX-License-Identifier' ./*.c ./*/*.[chS] tests/*/*.[ch] tests/*.sh tests/*/*.sh Makefile 2>/dev/null || :)
	[ -z "$bad" ] || fail "without an SPDX line: $bad"
}

# Nothing prints but main.c and the commands.
case_only_commands_print() {
	local bad
	bad=$(cd "$top" && grep -nE '\<(v?printf|puts|putchar|perror)\(|\<(v?fprintf|fputs|fputc|fwrite|putc)\(([^"]*, *)?std(out|err)\>' format/*.c sandbox/*.c recorder/*.c watch/*.c replayer/*.c proof/*.c |
		grep -vE '^[a-z]+/(cmd_[a-z_]*|cli)\.c:' || :)
	[ -z "$bad" ] || fail "$bad"
}
