#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""history.py LANGUAGE DIR BUG [COMMITS]: a repository of 64 commits in c, go, python or node with a bug from commit BUG on.

The program asks two servers, whose ports are its arguments, for a number each and adds them up.  From commit BUG on it
fails if the first one is above 5.  The other commits change its log, read the clock, ask the servers in another order, add
a header, rename the source, raise the version of the protocol, or do not build.  "sh build.sh" makes out/app.
"""
import os, random, subprocess, sys

language, where, bug = sys.argv[1], sys.argv[2], int(sys.argv[3])
commits = int(sys.argv[4]) if len(sys.argv) > 4 else 64
chance = random.Random(bug * 7 + len(language))

C = r'''
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
static int ask(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char buf[4096] = "", *body;
	int s = socket(AF_INET, SOCK_STREAM, 0), n = 0, k;
	if (connect(s, (void *)&a, sizeof(a)) < 0)
		exit(9);
	dprintf(s, "GET /?v=@PROTOCOL@ HTTP/1.0\r\n@HEADER@\r\n");
	while ((k = read(s, buf + n, sizeof(buf) - 1 - n)) > 0)
		n += k;
	close(s);
	body = strstr(buf, "\r\n\r\n");
	return body ? atoi(body + 4) : -1;
}
int main(int argc, char **argv)
{
	int a, b;
	@LOG@
	@CLOCK@
	if (@A_FIRST@) { a = ask(atoi(argv[1])); b = ask(atoi(argv[2])); }
	else { b = ask(atoi(argv[2])); a = ask(atoi(argv[1])); }
	if (@BUG@ && a > 5) { fprintf(stderr, "Assertion failed: %d is too much\n", a); return 3; }
	printf("%d\n", a + b);
	return 0;
}
'''
GO = r'''
package main
import ("fmt"; "io"; "net"; "os"; "strings"; "strconv"; "time")
var _ = time.Now
func ask(port string) int {
	c, err := net.Dial("tcp", "127.0.0.1:" + port)
	if err != nil { os.Exit(9) }
	fmt.Fprintf(c, "GET /?v=@PROTOCOL@ HTTP/1.0\r\n@HEADER@\r\n")
	all, _ := io.ReadAll(c)
	c.Close()
	parts := strings.SplitN(string(all), "\r\n\r\n", 2)
	if len(parts) < 2 { return -1 }
	n, _ := strconv.Atoi(strings.TrimSpace(parts[1]))
	return n
}
func main() {
	var a, b int
	@LOG@
	@CLOCK@
	if @A_FIRST@ { a = ask(os.Args[1]); b = ask(os.Args[2]) } else { b = ask(os.Args[2]); a = ask(os.Args[1]) }
	if @BUG@ && a > 5 { panic(fmt.Sprintf("%d is too much", a)) }
	fmt.Println(a + b)
}
'''
PYTHON = r'''
import socket, sys, time
def ask(port):
    s = socket.create_connection(("127.0.0.1", int(port)))
    s.sendall(b"GET /?v=@PROTOCOL@ HTTP/1.0\r\n@HEADER@\r\n")
    got = b""
    while True:
        more = s.recv(4096)
        if not more: break
        got += more
    return int(got.split(b"\r\n\r\n", 1)[1])
@LOG@
@CLOCK@
if @A_FIRST@:
    a = ask(sys.argv[1]); b = ask(sys.argv[2])
else:
    b = ask(sys.argv[2]); a = ask(sys.argv[1])
if @BUG@ and a > 5: raise ValueError("%d is too much" % a)
print(a + b)
'''
NODE = r'''
const net = require("net");
const ask = (port) => new Promise((done, fail) => {
	const s = net.connect(Number(port), "127.0.0.1", () => s.write("GET /?v=@PROTOCOL@ HTTP/1.0\r\n@HEADER@\r\n"));
	let got = "";
	s.on("data", (d) => { got += d; });
	s.on("end", () => done(parseInt(got.split("\r\n\r\n")[1])));
	s.on("error", fail);
});
async function main() {
	let a, b;
	@LOG@
	@CLOCK@
	if (@A_FIRST@) { a = await ask(process.argv[2]); b = await ask(process.argv[3]); }
	else { b = await ask(process.argv[3]); a = await ask(process.argv[2]); }
	if (@BUG@ && a > 5) throw new RangeError(a + " is too much");
	console.log(a + b);
}
main();
'''
LANGUAGES = {
    'c': (C, 'c', 'gcc -o out/app @SOURCE@', lambda s: f'fprintf(stderr, "{s}\\n");', 'time(NULL);', ('1', '0')),
    'go': (GO, 'go', 'CGO_ENABLED=0 go build -o out/app @SOURCE@', lambda s: f'fmt.Fprintln(os.Stderr, "{s}")', '_ = time.Now()', ('true', 'false')),
    'python': (PYTHON, 'py', 'python3 -m py_compile @SOURCE@ && cp @SOURCE@ out/app', lambda s: f'print("{s}", file=sys.stderr)', 'time.time()', ('True', 'False')),
    'node': (NODE, 'js', 'node --check @SOURCE@ && cp @SOURCE@ out/app', lambda s: f'console.error("{s}");', 'Date.now();', ('true', 'false')),
}
text, suffix, build, log, clock, (yes, no) = LANGUAGES[language]


def git(*args):
    subprocess.run(['git', '-C', where, '-c', 'user.email=a@b.c', '-c', 'user.name=nobody', *args], check=True, stdout=subprocess.DEVNULL)


os.makedirs(where)
git('init', '-q', '-b', 'main')
logs, clocks, headers, protocol, a_first, name = [], 0, 0, 1, True, 'app'
for i in range(commits):
    kind = 'bug' if i == bug else chance.choice(['log', 'clock', 'order', 'header', 'rename', 'protocol', 'log', 'broken'])
    # ends that build, and a neighbourhood of the bug that can be told apart
    if kind == 'broken' and (i in (0, commits - 1) or abs(i - bug) <= 1):
        kind = 'log'
    if kind == 'log': logs = logs[-3:] + [f'step {i}']
    if kind == 'clock': clocks = (clocks + 1) % 4
    if kind == 'order': a_first = not a_first
    if kind == 'header': headers = (headers + 1) % 3
    if kind == 'rename': name = f'app{i}'
    if kind == 'protocol': protocol += 1
    source = text
    for key, value in {
        'PROTOCOL': str(protocol), 'HEADER': ''.join(f'X-{k}: {k}\\r\\n' for k in range(headers)), 'LOG': '\n'.join(map(log, logs)),
        'CLOCK': '\n'.join([clock] * clocks), 'A_FIRST': yes if a_first else no, 'BUG': yes if i >= bug else no,
    }.items():
        # Python's indentation is its syntax, and the lines that are put in stand at the left.
        source = source.replace(f'@{key}@', value)
    if kind == 'broken': source += '\n) this does not build (\n'
    for old in os.listdir(where):
        if old.endswith('.' + suffix): os.remove(os.path.join(where, old))
    with open(os.path.join(where, f'{name}.{suffix}'), 'w') as f: f.write(source)
    with open(os.path.join(where, 'build.sh'), 'w') as f: f.write('set -e\nmkdir -p out\n' + build.replace('@SOURCE@', f'{name}.{suffix}') + '\n')
    git('add', '-A')
    git('commit', '-q', '--allow-empty', '-m', f'commit {i}: {kind}')
