/* SPDX-License-Identifier: MIT */
/*
 * options - the command line of one command, parsed and checked.
 *
 * One table (options.c) holds every option with its help. A command names those that it takes and
 * what its one argument is; anything else is an error that says what is wrong.
 *
 * Called by ctl/main. Must never look at the world beyond the environment: whether a file or a
 * domain exists is found out by who uses it, and which domain a name is of by options_resolve().
 */
#ifndef XSPROXY_CTL_OPTIONS_H
#define XSPROXY_CTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "migration/confine.h"
#include "migration/format/state_stream.h"
#include "migration/report.h"
#include "migration/wire.h"
#include "trace/flow.h"

/* What a command may take. --help always belongs to them. */
enum option_bit {
	OPTION_OUTPUT = 1 << 0,
	OPTION_INPUT = 1 << 1,
	OPTION_ROOT = 1 << 2,
	OPTION_MAP_DOMID = 1 << 3,
	OPTION_MAX_STREAM = 1 << 4,
	OPTION_RESUME = 1 << 5,
	OPTION_JSON = 1 << 6,
	OPTION_SOCKET = 1 << 7,
	OPTION_CONTROL = 1 << 8,
	OPTION_LEASE = 1 << 9,
	OPTION_NEW = 1 << 10,
	OPTION_INTERVAL = 1 << 11,
	OPTION_SORT = 1 << 12,
	OPTION_BATCH = 1 << 13,
	OPTION_COUNT = 1 << 14,
	OPTION_FILTER = 1 << 15, /* several: those of struct filter */
	OPTION_WRITE = 1 << 16,	 /* several: those of capture alone */
	OPTION_REPORT = 1 << 17,
	OPTION_INTAKE = 1 << 18, /* several: those of import alone */
	OPTION_KEEP = 1 << 19,	 /* and --to */
	OPTION_STALE = 1 << 20,
	OPTION_CONVERT = 1 << 21, /* several: those of convert alone */
	OPTION_STRICT = 1 << 22,
	OPTION_REPLACE = 1 << 23, /* several: those about another xenstored */
	OPTION_TIMEOUT = 1 << 24,
	OPTION_CONFIG = 1 << 25, /* where xsproxyd is stands there */
	OPTION_STREAM = 1 << 26,
	OPTION_READ = 1 << 27,
	OPTION_ORDER = 1 << 29,	  /* --sort of domains */
	OPTION_PICK = 1 << 30,	  /* several: which rows of a table */
	OPTION_SCRATCH = 1 << 28, /* --socket, of a xenstored that nobody uses; has to be said */
};

enum option_argument {
	ARGUMENT_DOMID, /* a domain, which may be 0 */
	ARGUMENT_GUEST, /* a domain, which may not */
	ARGUMENT_ANY,	/* a domain, which may be 0 or left out */
	ARGUMENT_FILE,
	ARGUMENT_NONE,
	ARGUMENT_LEVEL,	  /* of the log; may be left out */
	ARGUMENT_DOMIDS,  /* any number of domains */
	ARGUMENT_REPLACE, /* this word */
	ARGUMENT_CHECK,	  /* likewise; may be left out */
	ARGUMENT_SPLICE,  /* two files */
	ARGUMENT_SESSION, /* a session's number; may be left out */
};

enum option_new {
	HOLD_NEW_UNSAID,
	HOLD_NEW_ON,
	HOLD_NEW_OFF,
};

/* What top sorts by. */
enum option_sort {
	SORT_REQUESTS,
	SORT_ERRORS,
	SORT_P99,
	SORT_OCTETS,
	SORT_FULL,
	SORT_WATCHES,
	SORT_DOMID,
	NR_SORTS,
};

/* What domains sorts by. */
enum option_order {
	ORDER_DOMID,
	ORDER_NAME,
	ORDER_STATE,
	ORDER_WATCHES,
	ORDER_TRANSACTIONS,
	ORDER_REQUESTS,
	ORDER_QUEUED,
	ORDER_REFUSALS,
	ORDER_QUOTA,
	NR_ORDERS,
};

/* Which frames are wanted of a trace or a capture */
struct filter {
	uint16_t *domids;
	const char **names; /* of each; NULL: a number was given */
	size_t nr_domids;   /* 0: all */
	uint32_t *ops;	    /* types of requests */
	size_t nr_ops;
	bool unknown;	  /* types without a name, too; all if this is false and nr_ops 0 */
	const char *path; /* or NULL */
	bool events;
	bool new; /* only sessions that begin from now on */
	struct wanted wanted;
	uint32_t snap; /* octets of a payload; 0: the command's default */
};

struct options {
	bool help; /* asked for; nothing else was checked */
	bool has_domid;
	bool has_session;
	uint32_t session;
	uint16_t domid;
	const char *name;     /* of the domain; NULL: a number was given */
	const char *argument; /* a file's name */
	const char *stream;   /* --stream, or splice's second argument */
	const char *file; /* --output, --input, --write, --read, or a level; NULL: none was given */
	bool lease;
	bool stale;
	bool check; /* the word */
	enum option_new hold_new;
	const char **roots;
	size_t nr_roots;
	struct confine_map *maps;
	size_t nr_maps;
	bool map_values;
	uint64_t max_stream;
	bool resume;
	bool keep;
	const char *command; /* --to */
	bool strict;
	const char *list; /* --report */
	bool has_format;
	enum state_format format; /* --to of convert */
	bool keep_permissions;
	bool drop_foreign;
	bool overwrite;
	bool recover;
	uint64_t max_nodes;
	const char *journal; /* a directory */
	const char *with;    /* a daemon; NULL: the one that runs */
	bool dry_run;
	bool force;
	bool verbose;
	uint32_t timeout_s;
	const char *config; /* a file */
	bool json;
	uint32_t interval_ms;
	enum option_sort sort;
	enum option_order order;
	uint32_t states;   /* options_wants_state(); 0: all */
	const char *match; /* a regular expression that is one; NULL: all */
	bool batch;
	uint32_t count;	      /* of tables or messages; 0: no end */
	uint64_t duration_ms; /* 0: no end */
	uint64_t file_size;   /* octets, after which another file begins; 0: none does */
	uint32_t files;	      /* how many are kept; 0: all */
	struct filter filter;
	char socket[WIRE_PATH_MAX];
	char control[WIRE_PATH_MAX];
};

/**
 * options_parse() - parse a command line.
 * @options: filled, whatever is returned; options_free() it. Points into @argv.
 * @accepts: bits of the options that the command takes
 * @argument: what its argument is
 * @argc, @argv: the command's name and what follows
 * @report: told what is wrong
 *
 * Return: 0; -EINVAL for a command line that is wrong, which has been reported; or -ENOMEM.
 */
int options_parse(struct options *options, unsigned int accepts, enum option_argument argument,
		  int argc, char **argv, const struct report *report);

/**
 * options_resolve() - find the domains that names are given of, if any; reads the store, or waits a
 * moment for it in vain.
 * @argument: as it was parsed
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int options_resolve(struct options *options, enum option_argument argument,
		    const struct report *report);

/** options_free() - free what is in it. */
void options_free(struct options *options);

/** options_sort_name() - the name of a sort key, as --sort takes it. */
const char *options_sort_name(enum option_sort sort);

/** options_order_name() - likewise of domains'. */
const char *options_order_name(enum option_order order);

/** options_wants_state() - whether domains in a state are wanted. */
bool options_wants_state(const struct options *options, const char *state);

/** options_help() - print a line of help for each option in @accepts. */
void options_help(FILE *out, unsigned int accepts);

#endif
