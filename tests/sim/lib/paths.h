/* SPDX-License-Identifier: MIT */
/*
 * Where the files of a Xen host are on the simulated machine. Used by the file interposers; text
 * only, it must work before anything else of the library does.
 */
#ifndef XENSIM_PATHS_H
#define XENSIM_PATHS_H

#include <limits.h>

/* Let *@path point to the path to use instead, in @buf. -1 and ENAMETOOLONG when it does not fit.
 */
int paths_redirect(const char **path, char buf[PATH_MAX]);

#endif
