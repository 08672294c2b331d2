/* SPDX-License-Identifier: Apache-2.0 */
/* Refused rows, where they work: a hole when recorded, ENOSYS when replayed. Each in a process of its own. */
#include "tests/calls/calls.h"

#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define REFUSED(call, ...) \
	static void try_##call(void) { may(ENOSYS, DO(call, ##__VA_ARGS__)); } \
	CALL(call) { must(in_child(try_##call) == 0); }

static char buf[64];
static struct iovec iov = { buf, 8 };
static union bpf_attr map = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };
static struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_PAGE_FAULTS, .size = sizeof(event) };

REFUSED(ptrace, PTRACE_TRACEME, 0, 0, 0)
REFUSED(bpf, BPF_MAP_CREATE, &map, sizeof(map))
REFUSED(perf_event_open, &event, 0, -1, -1, 0)
REFUSED(userfaultfd, O_CLOEXEC)
REFUSED(process_vm_readv, getpid(), &iov, 1, &iov, 1, 0)
REFUSED(process_vm_writev, getpid(), &iov, 1, &iov, 1, 0)
REFUSED(unshare, 0)
REFUSED(add_key, "user", "capsule-test", "secret", 6, KEY_SPEC_PROCESS_KEYRING)
REFUSED(keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1, 0, 0)
REFUSED(fanotify_init, 0, O_RDONLY)
REFUSED(ioperm, 0x80, 1, 0)
REFUSED(sysfs, 3, 0, 0)
REFUSED(fsopen, "tmpfs", 0)
REFUSED(open_tree, AT_FDCWD, ".", 0)
REFUSED(pidfd_getfd, DO(pidfd_open, getpid(), 0), 1, 0)
