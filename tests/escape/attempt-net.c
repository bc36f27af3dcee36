/* SPDX-License-Identifier: Apache-2.0 */

/* Attempts on sockets and on System V and POSIX objects of the host. */

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "attempt.h"

static int say(int fd, const struct sockaddr *to, socklen_t len, const char *text)
{
	if (fd < 0 || connect(fd, to, len) < 0)
		return errno;
	return told(send(fd, text, strlen(text), MSG_NOSIGNAL));
}

static int say_4(int type, char **arg)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)number(arg[0])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return say(socket(AF_INET, type, 0), (const struct sockaddr *)&to, sizeof(to),
		   arg[1]);
}

/* PORT TEXT */
static int tcp(char **arg)
{
	return say_4(SOCK_STREAM, arg);
}

/* PORT TEXT */
static int udp(char **arg)
{
	return say_4(SOCK_DGRAM, arg);
}

/* PORT TEXT */
static int tcp6(char **arg)
{
	const struct sockaddr_in6 to = {
		.sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)number(arg[0])),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};

	return say(socket(AF_INET6, SOCK_STREAM, 0), (const struct sockaddr *)&to,
		   sizeof(to), arg[1]);
}

static int say_unix(int type, const char *name, size_t lead, const char *text)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = strlen(name);

	memcpy(to.sun_path + lead, name, n);
	return say(socket(AF_UNIX, type, 0), (const struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + lead + n), text);
}

/* NAME TEXT */
static int abstract_stream(char **arg)
{
	return say_unix(SOCK_STREAM, arg[0], 1, arg[1]);
}

/* NAME TEXT */
static int abstract_datagram(char **arg)
{
	return say_unix(SOCK_DGRAM, arg[0], 1, arg[1]);
}

/* PATH TEXT */
static int pathname_socket(char **arg)
{
	return say_unix(SOCK_STREAM, arg[0], 0, arg[1]);
}

/* NAME: an interface of the host's. */
static int see_interface(char **arg)
{
	return if_nametoindex(arg[0]) ? 0 : errno;
}

/* Kinds of sockets that few have looked at. */

static int alg_socket(char **arg)
{
	(void)arg;
	return told(socket(AF_ALG, SOCK_SEQPACKET, 0));
}

static int vsock_socket(char **arg)
{
	(void)arg;
	return told(socket(AF_VSOCK, SOCK_STREAM, 0));
}

static int netlink_generic(char **arg)
{
	(void)arg;
	return told(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC));
}

static int netlink_netfilter(char **arg)
{
	(void)arg;
	return told(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
}

static int netlink_audit(char **arg)
{
	(void)arg;
	return told(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT));
}

static int netlink_diag(char **arg)
{
	(void)arg;
	return told(socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG));
}

/* With all rights in a network of one's own. */
static int raw_socket(char **arg)
{
	(void)arg;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return errno;
	return told(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int packet_socket(char **arg)
{
	(void)arg;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return errno;
	return told(socket(AF_PACKET, SOCK_RAW, 0));
}

/* Objects with a number or a name, made by the test with access for all. */

/* KEY TEXT */
static int shared_memory(char **arg)
{
	int id = shmget((key_t)number(arg[0]), 0, 0);
	char *at = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

	if (at == (void *)-1)
		return errno;
	memcpy(at, arg[1], strlen(arg[1]));
	return 0;
}

/* KEY VALUE */
static int semaphore(char **arg)
{
	int id = semget((key_t)number(arg[0]), 0, 0);

	return id < 0 ? errno : told(semctl(id, 0, SETVAL, (int)number(arg[1])));
}

/* KEY TEXT */
static int message_queue(char **arg)
{
	struct {
		long type;
		char text[32];
	} msg = { .type = 1 };
	int id = msgget((key_t)number(arg[0]), 0);

	if (id < 0)
		return errno;
	(void)strncpy(msg.text, arg[1], sizeof(msg.text) - 1);
	return told(msgsnd(id, &msg, strlen(arg[1]), IPC_NOWAIT));
}

/* NAME TEXT */
static int posix_queue(char **arg)
{
	mqd_t q = mq_open(arg[0], O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	return q < 0 ? errno : told(mq_send(q, arg[1], strlen(arg[1]), 0));
}

/* NAME: that the host goes by. */
static int see_hostname(char **arg)
{
	struct utsname u;

	if (uname(&u) < 0)
		return errno;
	return strcmp(u.nodename, arg[0]) == 0 ? 0 : NOTHING_CAME;
}

const struct attempt net_attempts[] = {
	{ "tcp", tcp },
	{ "udp", udp },
	{ "tcp6", tcp6 },
	{ "abstract_stream", abstract_stream },
	{ "abstract_datagram", abstract_datagram },
	{ "pathname_socket", pathname_socket },
	{ "see_interface", see_interface },
	{ "alg_socket", alg_socket },
	{ "vsock_socket", vsock_socket },
	{ "netlink_generic", netlink_generic },
	{ "netlink_netfilter", netlink_netfilter },
	{ "netlink_audit", netlink_audit },
	{ "netlink_diag", netlink_diag },
	{ "raw_socket", raw_socket },
	{ "packet_socket", packet_socket },
	{ "shared_memory", shared_memory },
	{ "semaphore", semaphore },
	{ "message_queue", message_queue },
	{ "posix_queue", posix_queue },
	{ "see_hostname", see_hostname },
	{ 0 },
};
