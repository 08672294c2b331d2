/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private network: `lo` alone, up, with the routes "local 0.0.0.0/0" and
 * "local ::/0" (AnyIP), so that every address can be bound to and connected
 * to here.  rtnetlink(7).
 */
#include "sandbox/internal.h"

#include "format/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define LO 1	/* LOOPBACK_IFINDEX, include/net/net_namespace.h */

struct batch {
	_Alignas(struct nlmsghdr) char buf[512];
	size_t len;
	unsigned int count;
};

static void *batch_add(struct batch *b, int type, int flags, size_t len)
{
	struct nlmsghdr *h = (void *)(b->buf + b->len);

	h->nlmsg_len = NLMSG_LENGTH(len);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	h->nlmsg_seq = b->count++;
	b->len += NLMSG_SPACE(len);
	return NLMSG_DATA(h);
}

static void add_route(struct batch *b, int family, int table, int type, int scope)
{
	struct {
		struct rtmsg rt;
		struct rtattr attr;
		uint32_t oif;
	} *r = batch_add(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*r));

	r->rt = (struct rtmsg){
		.rtm_family = family, .rtm_table = table, .rtm_protocol = RTPROT_STATIC,
		.rtm_scope = scope, .rtm_type = type,
	};
	r->attr = (struct rtattr){ .rta_len = RTA_LENGTH(sizeof(r->oif)), .rta_type = RTA_OIF };
	r->oif = LO;
}

/* One answer for each message; @optional has a bit for each that may fail (a kernel without IPv6). */
static int read_acks(int fd, unsigned int count, unsigned int optional, struct err *err)
{
	_Alignas(struct nlmsghdr) char buf[4096];

	while (count > 0) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EPROTO, "asking the kernel for routes");
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n) && count > 0; h = NLMSG_NEXT(h, n)) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			count--;
			if (e->error && !(optional >> e->msg.nlmsg_seq & 1))
				return err_sys(err, -e->error, h->nlmsg_seq ? "adding the route to every address to lo" :
					       "bringing the loopback interface up");
		}
	}
	return 0;
}

static int bring_up(struct err *err)
{
	struct batch b = { .len = 0 };
	struct ifinfomsg *link = batch_add(&b, RTM_NEWLINK, 0, sizeof(*link));
	struct timeval limit = { .tv_sec = 10 };

	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return err_sys(err, errno, "opening rtnetlink");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	*link = (struct ifinfomsg){ .ifi_index = LO, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	add_route(&b, AF_INET, RT_TABLE_LOCAL, RTN_LOCAL, RT_SCOPE_HOST);
	add_route(&b, AF_INET, RT_TABLE_MAIN, RTN_UNICAST, RT_SCOPE_LINK);
	add_route(&b, AF_INET6, RT_TABLE_LOCAL, RTN_LOCAL, RT_SCOPE_UNIVERSE);
	add_route(&b, AF_INET6, RT_TABLE_MAIN, RTN_UNICAST, RT_SCOPE_UNIVERSE);
	if (send(fd, b.buf, b.len, 0) < 0)
		return err_sys(err, errno, "bringing the loopback interface up");
	return read_acks(fd, b.count, 1 << 2 | 1 << 3 | 1 << 4, err);
}

/* Comfort that a kernel may lack: failure is no error. /proc/sys/net shows the opener's own namespace. */
static void set_sysctl(int net, const char *name, const char *value)
{
	_cleanup_fd_ int fd = openat(net, name, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, value, strlen(value)) < 0)
		return;
}

static void set_sysctls(gid_t egid)
{
	static const char *const settings[][2] = {
		{ "ipv6/conf/all/disable_ipv6", "0" },
		{ "ipv6/conf/default/disable_ipv6", "0" },
		{ "ipv6/conf/lo/disable_ipv6", "0" },
		{ "ipv4/ip_nonlocal_bind", "1" },
		{ "ipv6/ip_nonlocal_bind", "1" },
		{ "ipv4/ip_unprivileged_port_start", "0" },
		/* A peer's whole chunk must fit: it is written at once. */
		{ "ipv4/tcp_rmem", "4096 16777216 67108864" },
		{ "ipv4/tcp_wmem", "4096 16777216 67108864" },
		/* Addresses come again as soon as they did when recorded, and a replay takes less time. */
		{ "ipv4/tcp_tw_reuse", "1" },
		{ "ipv4/tcp_tw_reuse_delay", "0" },
	};
	char range[32];

	_cleanup_fd_ int net = open("/proc/sys/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (net < 0)
		return;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		set_sysctl(net, settings[i][0], settings[i][1]);
	snprintf(range, sizeof(range), "%u %u", egid, egid);	/* others are not mapped */
	set_sysctl(net, "ipv4/ping_group_range", range);
}

int network_setup(gid_t egid, struct err *err)
{
	set_sysctls(egid);
	return bring_up(err);
}
