/* SPDX-License-Identifier: Apache-2.0 */

/*
 * lack - runs a program on a kernel that seems to lack system calls
 *
 *	lack NUMBER... -- PROGRAM [ARG...]
 *
 * They and all that the program starts are answered with ENOSYS.
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS_MAX 64

int main(int argc, char **argv)
{
	struct sock_filter code[2 * CALLS_MAX + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog program = { .filter = code };
	unsigned short n = 1;
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0 && i <= CALLS_MAX; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)atoi(argv[i]), 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
							 SECCOMP_RET_ERRNO | ENOSYS);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = n;
	if (i + 1 >= argc) {
		(void)fprintf(stderr, "usage: lack NUMBER... -- PROGRAM [ARG...]\n");
		return 64;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) {
		perror("lack");
		return 71;
	}
	(void)execv(argv[i + 1], argv + i + 1);
	perror(argv[i + 1]);
	return 71;
}
