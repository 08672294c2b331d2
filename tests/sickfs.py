#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""sickfs.py DIR: a file system at DIR whose files fail as they are named.  Prints "ready" when it is mounted; needs root.

read-E    opens, holds 10000 bytes, and every read behind the first 4096 of them fails with E (EIO, ESTALE, ...)
write-E   takes 10000 bytes, and then fails with E (ENOSPC, EDQUOT, EIO, ...)
open-E    is there, and can't be opened
make-E    is not there, and can't be made: as a file or a directory

It speaks the kernel's side of FUSE (linux/fuse.h, version 7.31) by itself; nothing is cached.
"""
import ctypes
import errno
import os
import stat
import struct
import sys

LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, OPEN, READ, WRITE = 1, 2, 3, 4, 9, 14, 15, 16
RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, CREATE, BATCH_FORGET = 18, 20, 25, 26, 27, 28, 29, 35, 42
SIZE = 10000
content = bytes(ord("a") + i % 23 for i in range(SIZE))

names = {1: ""}         # by node number
written = {}            # bytearrays, by node number


def split(node):
    what, _, error = names[node].partition("-")
    return what, getattr(errno, error, errno.EIO)


def attributes(node):
    what = split(node)[0]
    size = SIZE if what == "read" else len(written.get(node, b""))
    mode = stat.S_IFDIR | 0o777 if node == 1 else stat.S_IFREG | 0o666
    return struct.pack("<QQQQQQIIIIIIIIII", node, size, (size + 511) // 512, 1, 1, 1, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def entry(node):
    return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + attributes(node)


def node_of(name):
    for node, known in names.items():
        if known == name:
            return node
    names[len(names) + 1] = name
    return len(names)


def answer(op, node, body):
    """The reply's bytes; an OSError is one, too."""
    if op == INIT:
        return struct.pack("<IIIIHHIIHHI7I", 7, 31, 65536, 0, 16, 12, 65536, 1, 0, 0, 0, *[0] * 7)
    if op == LOOKUP:
        name = body.rstrip(b"\0").decode()
        if name.partition("-")[0] not in ("read", "write", "open"):
            raise OSError(errno.ENOENT, name)
        return entry(node_of(name))
    if op in (GETATTR, SETATTR):
        return struct.pack("<QII", 0, 0, 0) + attributes(node)
    if op in (CREATE, MKDIR):
        name = body[16 if op == CREATE else 8:].rstrip(b"\0").decode()
        raise OSError(getattr(errno, name.partition("-")[2], errno.EIO), name)
    what, error = split(node)
    if op == OPEN and what == "open":
        raise OSError(error, what)
    if op in (OPEN, OPENDIR):
        return struct.pack("<QII", 0, 1, 0)     # FOPEN_DIRECT_IO: each call is one request
    if op in (RELEASE, RELEASEDIR, FLUSH, FSYNC, READDIR):
        return b""
    if op == READ:
        offset, size = struct.unpack_from("<8xQI", body)
        if offset >= 4096 and what == "read":
            raise OSError(error, what)
        return (content[:4096] if what == "read" else bytes(written.get(node, b"")))[offset:offset + size]
    if op == WRITE:
        offset, size = struct.unpack_from("<8xQI", body)
        if offset >= SIZE:
            raise OSError(error, what)
        size = min(size, SIZE - offset)
        data = written.setdefault(node, bytearray())
        data.extend(bytes(max(0, offset + size - len(data))))
        data[offset:offset + size] = body[40:40 + size]
        return struct.pack("<II", size, 0)
    raise OSError(errno.ENOSYS, str(op))


fuse = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = "fd=%d,rootmode=40777,user_id=0,group_id=0,allow_other" % fuse
if libc.mount(b"sick", sys.argv[1].encode(), b"fuse", 0, options.encode()) != 0:
    sys.exit("mount: " + os.strerror(ctypes.get_errno()))
print("ready", flush=True)
while True:
    try:
        request = os.read(fuse, 1 << 18)
    except OSError as e:
        if e.errno == errno.ENODEV:     # unmounted
            break
        continue
    length, op, unique, node = struct.unpack_from("<IIQQ", request)
    if op in (FORGET, BATCH_FORGET):
        continue
    try:
        error, reply = 0, answer(op, node, request[40:length])
    except OSError as e:
        error, reply = -e.errno, b""
    os.write(fuse, struct.pack("<IiQ", 16 + len(reply), error, unique) + reply)
