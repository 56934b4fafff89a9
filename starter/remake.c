// SPDX-License-Identifier: MIT
/*
 * remake - see remake.h. Two passes: what the state knows of the plan's rings, then all the rest,
 * in its order.
 */
#include "starter/remake.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "migration/ox_quotas.h"
#include "starter/remake_conns.h"
#include "starter/remake_put.h"

/* oxenstored writes its own name there, and a tool takes what it finds for it. */
#define WHO_PATH    "/tool/xenstored"
#define VALUE_LIMIT UINT32_MAX /* what one oxenstored had another takes */

/* --- nodes */

/*
 * The C daemon has nothing of a domain that it has not introduced when it reads a state: it ends at
 * a node of one, and what one may do elsewhere counts for nobody.
 */
static int is_gone_for_c(struct remake *remake, uint16_t domid)
{
	const struct remake_options *options = remake->options;

	if (!remake->lost[domid] && options->living(options->opaque, domid) > 0) {
		remake->lost[domid] = true;
		remake_lose(remake, domid, "nodes and permissions of",
			    "it is not introduced yet, and the C daemon takes nothing of such a "
			    "domain from a state; make it anew");
	}
	return true;
}

/* Return: whether @domid, which a permission names, has to be as one that is gone; or a negative
 * errno. */
static int is_gone(struct remake *remake, uint16_t domid, bool owner)
{
	int r;

	if (!domid || exchange_plan_ring(remake->options->plan, domid))
		return false;
	/* No domain ever has one of these; but one may stand for all. */
	if (domid >= EXCHANGE_DOMIDS)
		return owner;
	if (remake_to_c(remake))
		return is_gone_for_c(remake, domid);
	r = remake->options->living(remake->options->opaque, domid);
	return r < 0 ? r : !r;
}

/* Return: 0 or a negative errno. @perms: of the node, ours to change */
static int mark_gone(struct remake *remake, struct record_perm *perms, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		int r = perms[i].pad ? 0 : is_gone(remake, record_perm_domid(&perms[i]), !i);

		if (r < 0)
			return reason_set(remake->reason, r, "cannot ask Xen for domain %u: %s",
					  record_perm_domid(&perms[i]), strerror(-r));
		if (r)
			perms[i].pad |= STATE_PERM_STALE;
	}
	return 0;
}

static void note_special(struct remake *remake, const struct record_node *node)
{
	const char *path;

	for (unsigned int i = 0; (path = state_path_at(i)); i++)
		if (node->path_len == strlen(path) && !memcmp(node->path, path, node->path_len))
			remake->specials |= 1u << i;
}

/*
 * From 4.19 on the C daemon has a node for each special watch, which it makes when it starts
 * afresh, and tells nobody of a domain's end if there is none. Oxenstored has one only where
 * somebody has changed its permissions.
 */
static int put_specials(struct remake *remake)
{
	const struct record_perm owner = record_perm_make('n', 0);
	const char *path;
	int r = 0;

	for (unsigned int i = 0; !r && remake_to_c(remake) && (path = state_path_at(i)); i++) {
		struct state_item item = { .kind = STATE_NODE,
					   .node.node = { .path = path,
							  .path_len = strlen(path),
							  .perms = &owner,
							  .nr_perms = 1,
							  .value = "" } };

		if (!(remake->specials & 1u << i))
			r = remake_put(remake, &item);
	}
	return r;
}

static int put_node(struct remake *remake, struct state_item *item)
{
	struct record_node *node = &item->node.node;
	int r;

	if (item->node.pending)
		return 0;
	note_special(remake, node);
	r = buffer_reserve(&remake->perms, node->nr_perms * sizeof(*node->perms));
	if (r)
		return remake_fail(remake, r);
	memcpy(remake->perms.data, node->perms, node->nr_perms * sizeof(*node->perms));
	node->perms = remake->perms.data;
	r = mark_gone(remake, remake->perms.data, node->nr_perms);
	if (r)
		return r;
	if (remake_to_c(remake) && node->path_len == strlen(WHO_PATH) &&
	    !memcmp(node->path, WHO_PATH, node->path_len))
		node->value_len = 0;
	return remake_put(remake, item);
}

/* --- the rest */

/* The C daemon ends if it has no ring of the domain. */
static int put_domain(struct remake *remake, struct state_item *item)
{
	if (!exchange_plan_ring(remake->options->plan, item->domain.domid))
		return 0;
	return remake_put(remake, item);
}

static int put_rest_of(struct remake *remake, struct state_item *item)
{
	switch (item->kind) {
	case STATE_NODE:
		return put_node(remake, item);
	case STATE_DOMAIN:
		return put_domain(remake, item);
	case STATE_QUOTAS:
	case STATE_UNKNOWN:
		return remake_put(remake, item);
	case STATE_GLOBAL:
	case STATE_CONNECTION:
	case STATE_WATCH:
	case STATE_TRANSACTION:
		break;
	}
	return 0;
}

static int put_rest(struct remake *remake)
{
	struct state_item item;
	int r;

	while ((r = state_reader_next(remake->reader, &item)) > 0) {
		r = put_rest_of(remake, &item);
		if (r)
			return r;
	}
	return r ? remake_fail(remake, r) : 0;
}

static int put_global(struct remake *remake)
{
	const struct remake_options *options = remake->options;
	struct state_item item = { .kind = STATE_GLOBAL,
				   .global = { .socket = options->listener,
					       .evtchn = options->evtchn,
					       .has_virq = options->virq,
					       .virq = options->virq,
					       .read_only = STATE_NO_FD } };

	return remake_put(remake, &item);
}

static int learn_all(struct remake *remake)
{
	struct state_item item;
	int r;

	while ((r = state_reader_next(remake->reader, &item)) > 0)
		if (item.kind == STATE_CONNECTION)
			remake_conns_learn(remake, &item.connection);
		else if (item.kind == STATE_NODE && !item.node.pending)
			remake_conns_learn_node(remake, &item.node.node);
	if (!r)
		r = state_reader_rewind(remake->reader);
	return r ? remake_fail(remake, r) : 0;
}

static int put_all(struct remake *remake)
{
	int r = learn_all(remake);

	if (!r)
		r = put_global(remake);
	if (!r)
		r = remake_conns_put(remake);
	if (!r)
		r = put_rest(remake);
	if (!r)
		r = put_specials(remake);
	if (r)
		return r;
	r = state_writer_finish(remake->writer);
	return r ? remake_fail(remake, r) : 0;
}

static void choose_format(struct remake *remake)
{
	enum state_format from = state_reader_format(remake->reader);

	if (remake->options->quotas)
		ox_quotas_read(&remake->how, remake->options->quotas);
	remake->how.max_path = 0; /* what it does not serve it has all the same */
	if (state_format_is_ox(from))
		remake->how.max_value = VALUE_LIMIT;
	if (!remake_to_c(remake))
		remake->how.to = STATE_OX;
	else
		remake->how.to =
			from == STATE_C_2 && remake->options->takes_c2 ? STATE_C_2 : STATE_C;
}

/* Return: 0 or a negative errno. */
static int read_state(struct remake *remake, int fd)
{
	struct record_fault fault;
	int r = state_reader_open(&remake->reader, fd, LIBXL_STREAM_MAX, &fault);

	if (r == -EBADMSG)
		return reason_set(remake->reason, r, "the state: record %" PRIu64 ": %s",
				  fault.record, fault.reason);
	if (r)
		return reason_set(remake->reason, r, "cannot read the state: %s", strerror(-r));
	if (state_reader_libxl(remake->reader))
		return reason_set(remake->reason, -EBADMSG,
				  "the state is a stream of one domain's");
	return 0;
}

static int start(struct remake *remake, FILE *file)
{
	int r;

	choose_format(remake);
	remake->known = calloc(remake->options->plan->nr_rings, sizeof(*remake->known));
	r = remake->known ? conversion_new(&remake->conversion, &remake->how, remake->omissions)
			  : -ENOMEM;
	if (!r)
		r = state_writer_new(&remake->writer, file, remake->how.to);
	return r ? remake_fail(remake, r) : 0;
}

int remake_state(int fd, FILE *file, const struct remake_options *options,
		 struct omissions *omissions, struct reason *reason)
{
	struct remake *remake;
	int r;

	/* It makes "/" when it reads domain 0's ring; dom0's kernel is served by neither without.
	 */
	if (!exchange_plan_ring(options->plan, 0))
		return reason_set(reason, -EBADMSG, "the plan has no ring of domain 0");
	remake = calloc(1, sizeof(*remake));
	if (!remake)
		return reason_set(reason, -ENOMEM, "%s", strerror(ENOMEM));
	remake->options = options;
	remake->omissions = omissions;
	remake->reason = reason;
	r = read_state(remake, fd);
	if (!r)
		r = start(remake, file);
	if (!r)
		r = put_all(remake);
	state_writer_free(remake->writer);
	conversion_free(remake->conversion);
	state_reader_free(remake->reader);
	free(remake->known);
	free(remake->perms.data);
	free(remake);
	return r;
}
