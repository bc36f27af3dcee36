/* SPDX-License-Identifier: Apache-2.0 */

/* Attempts on files: those of the host, /proc's, devices, and set-id ones. */

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attempt.h"

/* Younger than some headers; the same on all architectures. */
#define NR_OPENAT2 437
#define NR_FCHMODAT2 452

/* PATH TEXT */
static int read_file(char **arg)
{
	int fd = open(arg[0], O_RDONLY | O_CLOEXEC), e;

	if (fd < 0)
		return errno;
	e = expect(fd, arg[1]);
	(void)close(fd);
	return e;
}

/* PATH TEXT */
static int write_file(char **arg)
{
	int fd = open(arg[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 ? errno : told(write(fd, arg[1], strlen(arg[1])));
}

/* PATH: what is there, once more. Changes nothing. */
static int rewrite_file(char **arg)
{
	int fd = open(arg[0], O_RDWR | O_CLOEXEC);
	char buf[4096];
	ssize_t n;

	if (fd < 0)
		return errno;
	n = read(fd, buf, sizeof(buf));
	return n < 0 ? errno : told(pwrite(fd, buf, (size_t)n, 0));
}

/* PATH: opened to be written to, which is all. */
static int open_to_write(char **arg)
{
	return told(open(arg[0], O_WRONLY | O_CLOEXEC));
}

/* PATH */
static int open_device(char **arg)
{
	int fd = open(arg[0], O_RDONLY | O_CLOEXEC);
	char byte;

	/* It is a copy of /dev/zero. */
	if (fd < 0)
		return errno;
	return read(fd, &byte, 1) == 1 && byte == 0 ? 0 : NOTHING_CAME;
}

/* TARGET LINK TEXT: reads through a link of one's own. */
static int read_through_link(char **arg)
{
	(void)unlink(arg[1]);
	if (symlink(arg[0], arg[1]) < 0)
		return errno;
	return read_file(arg + 1);
}

/* PATH LINK: a second name, in the workspace. */
static int hard_link(char **arg)
{
	return told(link(arg[0], arg[1]));
}

/* PATH NEW */
static int rename_file(char **arg)
{
	return told(rename(arg[0], arg[1]));
}

/* PATH DEPTH TEXT: by so many "..". */
static int read_upwards(char **arg)
{
	char path[1024] = "";
	char *words[] = { path, arg[2], NULL };

	for (long i = 0; i < number(arg[1]); i++)
		(void)strncat(path, "../", sizeof(path) - strlen(path) - 1);
	(void)strncat(path, arg[0] + 1, sizeof(path) - strlen(path) - 1);
	return read_file(words);
}

static void exchange(void)
{
	(void)syscall(SYS_renameat2, AT_FDCWD, "race-dir", AT_FDCWD, "race-link",
		      2 /* RENAME_EXCHANGE */);
}

/* PATH TEXT: a directory is exchanged for a link while the path is walked. */
static int read_by_race(char **arg)
{
	int e = NOTHING_CAME;
	int begun[2];
	char path[1024], byte = 0;
	char *words[] = { path, arg[1], NULL };
	pid_t pid;

	(void)mkdir("race-dir", 0755);
	(void)unlink("race-link");
	(void)snprintf(path, sizeof(path), "%.*s", (int)(strrchr(arg[0], '/') - arg[0]),
		       arg[0]);
	if (symlink(path, "race-link") < 0 || pipe(begun) < 0)
		return errno;
	(void)snprintf(path, sizeof(path), "race-dir/%s", strrchr(arg[0], '/') + 1);
	pid = fork();
	if (pid == 0) {
		exchange();
		(void)!write(begun[1], &byte, 1);
		for (;;)
			exchange();
	}
	(void)!read(begun[0], &byte, 1);
	for (int i = 0; e && i < 20000; i++)
		e = read_file(words);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return e;
}

/* Set-id files: NAME in the workspace. */

static int fresh(const char *name)
{
	(void)unlink(name);
	return open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
}

static int suid_chmod(char **arg)
{
	return fresh(arg[0]) < 0 ? errno :
				   told(syscall(SYS_fchmodat, AT_FDCWD, arg[0], 04755));
}

static int suid_fchmod(char **arg)
{
	int fd = fresh(arg[0]);

	return fd < 0 ? errno : told(fchmod(fd, 06755));
}

static int suid_fchmodat2(char **arg)
{
	return fresh(arg[0]) < 0 ?
		       errno :
		       told(syscall(NR_FCHMODAT2, AT_FDCWD, arg[0], 04755, 0));
}

static int suid_open(char **arg)
{
	(void)unlink(arg[0]);
	return told(open(arg[0], O_CREAT | O_WRONLY | O_CLOEXEC, 04755));
}

static int suid_openat2(char **arg)
{
	uint64_t how[3] = { O_CREAT | O_WRONLY | O_CLOEXEC, 04755, 0 };

	(void)unlink(arg[0]);
	return told(syscall(NR_OPENAT2, AT_FDCWD, arg[0], how, sizeof(how)));
}

static int suid_mknod(char **arg)
{
	(void)unlink(arg[0]);
	return told(mknod(arg[0], S_IFREG | 04755, 0));
}

/* A temporary file without a name gets one. */
static int suid_tmpfile(char **arg)
{
	int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 04755);
	char path[64];

	if (fd < 0)
		return errno;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return told(linkat(AT_FDCWD, path, AT_FDCWD, arg[0], AT_SYMLINK_FOLLOW));
}

/* NAME: a device of number 0:0, which overlayfs takes for "removed". */
static int whiteout(char **arg)
{
	return told(mknod(arg[0], S_IFCHR | 0666, 0));
}

/* NAME: what /dev/null is. */
static int device_node(char **arg)
{
	return told(mknod(arg[0], S_IFCHR | 0666, makedev(1, 3)));
}

/* Through the descriptor of a directory of the host's, which comes by stdin. */

static int taken(void)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec part = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(STDIN_FILENO, &msg, 0) <= 0)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	if (c)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* NAME TEXT */
static int read_at(char **arg)
{
	int fd = openat(taken(), arg[0], O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : expect(fd, arg[1]);
}

/* NAME TEXT */
static int write_at(char **arg)
{
	int fd = openat(taken(), arg[0], O_WRONLY | O_TRUNC | O_CLOEXEC);

	return fd < 0 ? errno : told(write(fd, arg[1], strlen(arg[1])));
}

/* NAME */
static int make_at(char **arg)
{
	return told(mkdirat(taken(), arg[0], 0755));
}

/* NAME */
static int remove_at(char **arg)
{
	return told(unlinkat(taken(), arg[0], 0));
}

/* NAME NEW */
static int rename_at(char **arg)
{
	int dir = taken();

	return told(renameat(dir, arg[0], dir, arg[1]));
}

const struct attempt file_attempts[] = {
	{ "read_file", read_file },
	{ "write_file", write_file },
	{ "rewrite_file", rewrite_file },
	{ "open_to_write", open_to_write },
	{ "open_device", open_device },
	{ "read_through_link", read_through_link },
	{ "hard_link", hard_link },
	{ "rename_file", rename_file },
	{ "read_upwards", read_upwards },
	{ "read_by_race", read_by_race },
	{ "suid_chmod", suid_chmod },
	{ "suid_fchmod", suid_fchmod },
	{ "suid_fchmodat2", suid_fchmodat2 },
	{ "suid_open", suid_open },
	{ "suid_openat2", suid_openat2 },
	{ "suid_mknod", suid_mknod },
	{ "suid_tmpfile", suid_tmpfile },
	{ "whiteout", whiteout },
	{ "device_node", device_node },
	{ "read_at", read_at },
	{ "write_at", write_at },
	{ "make_at", make_at },
	{ "remove_at", remove_at },
	{ "rename_at", rename_at },
	{ 0 },
};
