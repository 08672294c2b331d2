/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/rights.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/capability.h>

static const struct {
	cap_value_t cap;
	const char *why;
	bool containers;	/* for theirs only */
} kept[] = {
	{ CAP_BPF, "the maps: who is followed, and how closely" },
	{ CAP_PERFMON, "what new processes have, by iterators" },
	{ CAP_SYS_PTRACE, "their clocks; their /proc" },
	{ CAP_DAC_OVERRIDE, "/proc/PID/mem of other users' processes; the files that they read" },
	{ CAP_KILL, "who was stopped at an exec goes on" },
	{ CAP_SYS_ADMIN, "a container's namespaces, and its image as a mount of our own", true },
	/* Without these skopeo takes itself for another user's, and asks a store of its own. */
	{ CAP_CHOWN, "skopeo(1)", true },
	{ CAP_FOWNER, "skopeo(1)", true },
	{ CAP_FSETID, "skopeo(1)", true },
	{ CAP_MKNOD, "skopeo(1)", true },
	{ CAP_SETFCAP, "skopeo(1)", true },
};

static bool is_kept(cap_value_t cap, bool containers)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (kept[i].cap == cap)
			return containers || !kept[i].containers;
	return false;
}

int rights_give_up(bool containers, struct err *err)
{
	cap_t caps = cap_get_proc();
	int e = caps ? 0 : errno;

	for (cap_value_t cap = 0; !e && cap < cap_max_bits(); cap++) {
		if (is_kept(cap, containers))
			continue;
		/* What it starts as root would have it again by its exec. Without CAP_SETPCAP nothing can be started as root either. */
		if (cap_drop_bound(cap) < 0 && errno != EPERM)
			e = errno;
		for (cap_flag_t set = CAP_EFFECTIVE; !e && set <= CAP_INHERITABLE; set++)
			if (cap_set_flag(caps, set, 1, &cap, CAP_CLEAR) < 0)
				e = errno;
	}
	if (!e && cap_set_proc(caps) < 0)
		e = errno;
	cap_free(caps);
	return e ? err_sys(err, e, "giving up capabilities") : 0;
}

bool rights_for_containers(void)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t has = CAP_CLEAR;

	if (caps)
		cap_get_flag(caps, CAP_SYS_ADMIN, CAP_EFFECTIVE, &has);
	cap_free(caps);
	return has == CAP_SET;
}
