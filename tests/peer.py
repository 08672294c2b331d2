#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""peer.py MODE PORT [ARG]...: a peer on loopback that behaves as MODE says.  Prints "ready" when it can be spoken to.

reset      an HTTP answer that promises 200000 bytes, gives 60000 and resets the connection
fickle     an HTTP answer with a body that is different every time
text WORD  an HTTP answer with the body WORD
hole       accepts, reads, closes without a word
silent     accepts, reads, says nothing
datagrams DIR   UDP on PORT, unix datagram DIR/dgram, unix seqpacket DIR/seq
calls DIR  does what it is asked to, by lines: TCP and UDP on PORT, unix sockets DIR/peer.stream, peer.seq, peer.dgram;
           give N: N random bytes; give N M: M times; come PORT: connects there and says hello; urgent: a byte out of band;
           signal PID N: sends it after 50 ms; later N: N random bytes after 50 ms
stream     sends 64 bytes for each byte it gets, as fast as they come (for measuring)
"""
import os
import select
import socket
import struct
import sys
import threading
import time

mode, port, args = sys.argv[1], int(sys.argv[2]), sys.argv[3:]


def ready():
    print("ready", flush=True)


def request(c):
    got = b""
    while b"\r\n\r\n" not in got:
        more = c.recv(65536)
        if not more:
            break
        got += more
    return got


def http(c, body, length=None):
    request(c)
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
              % (len(body) if length is None else length, body))


def reset(c):
    http(c, os.urandom(30000).hex().encode(), 200000)
    time.sleep(0.3)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def stream(c):
    while True:
        got = c.recv(4096)
        if not got:
            return
        c.sendall(b"x" * 64 * len(got))


def serve(answer):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.listen()
    ready()
    while True:
        c, _ = s.accept()
        try:
            answer(c)
        except OSError:
            pass
        c.close()


def datagrams(where):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("127.0.0.1", port))
    d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    d.bind(where + "/dgram")
    q = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    q.bind(where + "/seq")
    q.listen()
    for name in "dgram", "seq":
        os.chmod(where + "/" + name, 0o777)
    ready()
    talks = []
    while True:
        for s in select.select([u, d, q] + talks, [], [])[0]:
            if s is q:
                talks.append(s.accept()[0])
                continue
            got, sender = s.recvfrom(65536)
            if s in talks and not got:
                talks.remove(s)
                continue
            answer = b"%s, says the peer at %d with %s" % (got, time.time_ns(), os.urandom(8).hex().encode())
            if got == b"long":
                answer *= 20
            for _ in range(2 if got == b"twice" else 1):
                s.send(answer) if s in talks else s.sendto(answer, sender)


def do(line, send, s):
    what, *words = line.decode().split()
    if what in ("give", "later"):
        if what == "later":
            time.sleep(0.05)
        for _ in range(int(words[1]) if len(words) > 1 else 1):
            send(os.urandom(int(words[0])).hex()[:int(words[0])].encode())
    elif what == "urgent":
        s.send(b"!", socket.MSG_OOB)
    elif what == "signal":
        time.sleep(0.05)
        os.kill(int(words[0]), int(words[1]))
    elif what == "come":
        c = socket.create_connection(("127.0.0.1", int(words[0])))
        c.sendall(b"hello %d" % time.time_ns())
        c.recv(1000)
        c.close()


def in_threads(accepting, talk):
    def accept():
        while True:
            threading.Thread(target=talk, args=(accepting.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()


def calls(where):
    def lines(c):
        f = c.makefile("rb")
        for line in f:
            do(line, c.sendall, c)
        c.close()

    def messages(c):
        while got := c.recv(65536):
            do(got, c.send, c)
        c.close()

    def datagrams(s):
        while True:
            got, sender = s.recvfrom(65536)
            do(got, lambda b: s.sendto(b, sender), s)

    for family, kind, name, how in ((socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port), lines),
                                    (socket.AF_UNIX, socket.SOCK_STREAM, "stream", lines),
                                    (socket.AF_UNIX, socket.SOCK_SEQPACKET, "seq", messages),
                                    (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port), datagrams),
                                    (socket.AF_UNIX, socket.SOCK_DGRAM, "dgram", datagrams)):
        s = socket.socket(family, kind)
        if family == socket.AF_INET:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(name)
        else:
            s.bind(where + "/peer." + name)
            os.chmod(where + "/peer." + name, 0o777)
        if kind == socket.SOCK_DGRAM:
            threading.Thread(target=how, args=(s,), daemon=True).start()
        else:
            s.listen()
            in_threads(s, how)
    ready()
    threading.Event().wait()


if mode == "datagrams":
    datagrams(args[0])
elif mode == "calls":
    calls(args[0])
else:
    serve({
        "reset": reset,
        "fickle": lambda c: http(c, os.urandom(32).hex().encode() + b"\n"),
        "text": lambda c: http(c, args[0].encode() + b"\n"),
        "hole": request,
        "silent": lambda c: c.recv(1 << 20) and time.sleep(60),
        "stream": stream,
    }[mode])
