/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * banned - functions that have no right use here
 *
 * Force-included by the build before every source file. The system headers that
 * declare the functions come first, since they must still be able to.
 *
 *	strcpy strcat stpcpy sprintf vsprintf gets	no bound: snprintf, struct buf
 *	strtok						hidden state: strtok_r, strchr
 *	atoi atol atoll atof				no errors: num.h
 *	alloca						unbounded stack
 *	system popen					a shell by surprise
 *	tmpnam tempnam mktemp				a name is no file: mkstemp, memfd
 *	localtime gmtime ctime asctime			static result: clock.h, gmtime_r
 */

#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef alloca
#undef strcpy
#undef strcat
#undef stpcpy
#undef sprintf
#undef vsprintf
#undef strtok

#pragma GCC poison strcpy strcat stpcpy sprintf vsprintf gets
#pragma GCC poison strtok
#pragma GCC poison atoi atol atoll atof
#pragma GCC poison alloca
#pragma GCC poison system popen
#pragma GCC poison tmpnam tempnam mktemp
#pragma GCC poison localtime gmtime ctime asctime
