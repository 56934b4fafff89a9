// SPDX-License-Identifier: MIT
/*
 * program - see program.h.
 */
#include "ctl/program.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLANKS	" \t\r\n"
#define DELETED " (deleted)" /* what the kernel says of one that was upgraded */
#define TYPE	"XENSTORETYPE="

static const char *const names[] = { [PROGRAM_C] = "xenstored", [PROGRAM_OX] = "oxenstored" };

const char *program_name(enum program_kind kind)
{
	return names[kind];
}

/* Its path; "" where it cannot be found out. */
static void read_path(struct program *program, int64_t pid)
{
	size_t deleted = strlen(DELETED), len;
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%" PRId64 "/exe", pid);
	n = readlink(link, program->path, sizeof(program->path) - 1);
	len = n < 0 ? 0 : (size_t)n;
	if (len > deleted && !memcmp(program->path + len - deleted, DELETED, deleted))
		len -= deleted;
	program->path[len] = '\0';
}

void program_running(struct program *program, const char *name, int64_t pid)
{
	program->kind = strcmp(name, names[PROGRAM_OX]) ? PROGRAM_C : PROGRAM_OX;
	read_path(program, pid);
}

/* Return: the kind of daemon that a file is by its name; or -EINVAL. */
static int kind_of(const char *path)
{
	const char *name = strrchr(path, '/');

	for (int kind = PROGRAM_C; name && kind <= PROGRAM_OX; kind++)
		if (!strcmp(name + 1, names[kind]))
			return kind;
	return -EINVAL;
}

int program_of(struct program *program, int64_t pid)
{
	int kind;

	read_path(program, pid);
	if (!program->path[0])
		return -ESRCH;
	kind = kind_of(program->path);
	program->kind = kind < 0 ? PROGRAM_C : (enum program_kind)kind;
	return kind < 0 ? kind : 0;
}

/* --- which there are */

/* Return: the kind of the daemon that a path leads to; -EACCES: no program; -EINVAL: no daemon. */
static int look(const char *path)
{
	char real[PATH_MAX];
	struct stat st;

	if (!realpath(path, real) || stat(real, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || access(real, X_OK))
		return -EACCES;
	return kind_of(real);
}

/* Return: whether one of @program's kind is in @dir; then its path is set. */
static bool is_in(struct program *program, const char *dir)
{
	int n = snprintf(program->path, sizeof(program->path), "%s/%s", dir, names[program->kind]);

	return n < (int)sizeof(program->path) && look(program->path) == (int)program->kind;
}

static bool is_beside(struct program *program, const struct program *running)
{
	char dir[PATH_MAX];
	char *slash;

	strcpy(dir, running->path);
	slash = strrchr(dir, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return is_in(program, dir);
}

/* As it stands there, "4" or "17"; at most 7 digits. */
static bool read_number(const char *path, char out[8])
{
	FILE *file = fopen(path, "re");
	bool is = file && fgets(out, 8, file);

	if (file)
		fclose(file);
	if (is)
		out[strcspn(out, "\n")] = '\0';
	return is;
}

static bool is_of_running_xen(struct program *program)
{
	char major[8], minor[8];
	char dir[64];

	if (!read_number("/sys/hypervisor/version/major", major) ||
	    !read_number("/sys/hypervisor/version/minor", minor))
		return false;
	snprintf(dir, sizeof(dir), "/usr/lib/xen-%s.%s/bin", major, minor);
	return is_in(program, dir);
}

static bool is_of_any_xen(struct program *program)
{
	glob_t found;
	bool is = false;

	if (glob("/usr/lib/xen-*/bin", 0, NULL, &found))
		return false;
	for (size_t i = 0; !is && i < found.gl_pathc; i++)
		is = is_in(program, found.gl_pathv[i]);
	globfree(&found);
	return is;
}

static int find_kind(struct program *program, const struct program *running,
		     const struct report *report)
{
	if (is_beside(program, running) || is_of_running_xen(program) || is_of_any_xen(program) ||
	    is_in(program, "/usr/sbin") || is_in(program, "/usr/local/sbin"))
		return 0;
	return report_fail(report, -ENOENT,
			   "there is no %s beside the xenstored that runs, nor where Xen has it; "
			   "name its path by --with",
			   names[program->kind]);
}

static int take_path(struct program *program, const char *path, const struct report *report)
{
	int r = look(path);

	if (r == -EINVAL)
		return report_fail(report, r,
				   "%s is no xenstored: it is called neither xenstored nor "
				   "oxenstored",
				   path);
	if (r == -EACCES)
		return report_fail(report, r, "%s is no program", path);
	if (r < 0)
		return report_fail(report, r, "%s: %s", path, report_local_reason(r));
	program->kind = (enum program_kind)r;
	return realpath(path, program->path)
		       ? 0
		       : report_fail(report, -errno, "%s: %s", path, report_local_reason(-errno));
}

int program_find(struct program *program, const char *with, const struct program *running,
		 const struct report *report)
{
	if (with && strchr(with, '/'))
		return take_path(program, with, report);
	program->kind = !with ? running->kind : strcmp(with, "c") ? PROGRAM_OX : PROGRAM_C;
	return find_kind(program, running, report);
}

/* --- what was said of it */

bool program_option(int64_t pid, const char *option, char out[PATH_MAX])
{
	size_t len = strlen(option), size = 0;
	char *word = NULL, path[64];
	bool found = false, next = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%" PRId64 "/cmdline", pid);
	file = fopen(path, "re");
	while (file && !found && getdelim(&word, &size, '\0', file) >= 0) {
		const char *value = word;

		if (!next && !strncmp(word, option, len) && word[len] == '=')
			value = word + len + 1;
		else if (!next) {
			next = !strcmp(word, option);
			continue;
		}
		found = snprintf(out, PATH_MAX, "%s", value) < PATH_MAX;
		next = false;
	}
	free(word);
	if (file)
		fclose(file);
	return found;
}

bool program_in_domain(const char *path)
{
	FILE *file = fopen(path, "re");
	bool is = false;
	char *line = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) >= 0) {
		char *at = line + strspn(line, BLANKS);

		if (!strncmp(at, "export", strlen("export")))
			at += strlen("export") + strspn(at + strlen("export"), BLANKS);
		if (strncmp(at, TYPE, strlen(TYPE)) != 0)
			continue;
		at += strlen(TYPE);
		at += strspn(at, "\"'");
		is = !strncmp(at, "domain", strlen("domain"));
	}
	free(line);
	if (file)
		fclose(file);
	return is;
}
