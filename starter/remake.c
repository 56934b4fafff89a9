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

#include "migration/conversion.h"
#include "migration/format/state_stream.h"
#include "migration/ox_quotas.h"
#include "text/buffer.h"

/* oxenstored writes its own name there, and a tool takes what it finds for it. */
#define WHO_PATH    "/tool/xenstored"
#define VALUE_LIMIT UINT32_MAX /* what one oxenstored had another takes */

/* What the state knows of a ring of the plan. */
struct known {
	bool has_target;
	uint16_t target;
	bool has_unique_id;
	uint64_t unique_id;
	bool written;
};

struct remake {
	const struct remake_options *options;
	struct reason *reason;
	struct omissions *omissions;
	struct state_reader *reader;
	struct state_writer *writer;
	struct conversion_options how;
	struct conversion *conversion;
	struct known *known;	    /* by the ring's place in the plan */
	struct buffer perms;	    /* of the current node */
	bool lost[EXCHANGE_DOMIDS]; /* that a domain which lives has lost what it had was said */
};

static int fail(const struct remake *remake, int r)
{
	return reason_set(remake->reason, r, "cannot make the state: %s", strerror(-r));
}

static bool to_c(const struct remake *remake)
{
	return remake->options->to == RINGS_FLAVOUR_C;
}

/* Through conversion, and out. Return: 1; 0, if it was left out; or a negative errno. */
static int put_item(struct remake *remake, struct state_item *item)
{
	struct record_fault fault;
	int r = conversion_item(remake->conversion, item);

	if (r <= 0)
		return r ? fail(remake, r) : 0;
	r = state_writer_append(remake->writer, item, &fault);
	if (r == -EBADMSG)
		return reason_set(remake->reason, r, "cannot write record %" PRIu64 ": %s",
				  fault.record, fault.reason);
	return r ? fail(remake, r) : 1;
}

static void lose(const struct remake *remake, uint32_t domid, const char *what, const char *why)
{
	char detail[STATE_PEER_TEXT_MAX];
	struct omission omission = { .kind = OMISSION_LEFT_OUT, .what = what, .why = why };

	omission.detail = state_peer_text(detail, (struct state_peer){ .number = domid });
	omission.detail_len = strlen(detail);
	omissions_add(remake->omissions, &omission);
}

/* --- rings */

static struct known *known_of(const struct remake *remake, const struct exchange_ring *ring)
{
	return &remake->known[ring - remake->options->plan->rings];
}

static void learn(const struct remake *remake, const struct state_connection *connection)
{
	const struct exchange_ring *ring =
		exchange_plan_ring(remake->options->plan, connection->peer.number);
	struct known *known;

	if (connection->peer.socket || !ring)
		return;
	known = known_of(remake, ring);
	known->has_target = connection->has_target;
	known->target = connection->target;
	known->has_unique_id = connection->has_unique_id;
	known->unique_id = connection->unique_id;
}

static int learn_all(struct remake *remake)
{
	struct state_item item;
	int r;

	while ((r = state_reader_next(remake->reader, &item)) > 0)
		if (item.kind == STATE_CONNECTION)
			learn(remake, &item.connection);
	if (!r)
		r = state_reader_rewind(remake->reader);
	return r ? fail(remake, r) : 0;
}

/* The plan knows better than the state. */
static void use_plan(const struct remake *remake)
{
	const struct exchange_plan *plan = remake->options->plan;

	for (size_t i = 0; i < plan->nr_rings; i++)
		if (plan->rings[i].has_target) {
			remake->known[i].has_target = true;
			remake->known[i].target = plan->rings[i].target;
		}
}

static int put_ring(struct remake *remake, const struct exchange_ring *ring, bool with_target)
{
	struct known *known = known_of(remake, ring);
	struct state_item item = {
		.kind = STATE_CONNECTION,
		.connection = { .peer = { .number = ring->domid },
				.has_target = with_target && to_c(remake),
				.target = known->target,
				.has_local = to_c(remake),
				.local = RINGS_PORT_BASE + ring->domid,
				.has_remote = true,
				.remote = ring->port,
				.gfn = ring->gfn,
				.has_unique_id = known->has_unique_id,
				.unique_id = known->unique_id },
	};
	int r = put_item(remake, &item);

	known->written = true;
	return r < 0 ? r : 0;
}

/* Whether the C daemon would find the ring's target: it must have read that one before. */
static bool is_ready(const struct remake *remake, const struct known *known)
{
	const struct exchange_ring *target;

	if (!known->has_target)
		return true;
	target = exchange_plan_ring(remake->options->plan, known->target);
	return target && known_of(remake, target)->written;
}

/* Return: how many rings are written now, or a negative errno. */
static int put_ready_once(struct remake *remake)
{
	const struct exchange_plan *plan = remake->options->plan;
	int nr = 0;

	for (size_t i = 0; i < plan->nr_rings; i++) {
		const struct known *known = &remake->known[i];
		int r;

		if (known->written || !is_ready(remake, known))
			continue;
		r = put_ring(remake, &plan->rings[i], known->has_target);
		if (r)
			return r;
		nr++;
	}
	return nr;
}

/* Targets first, and those of targets. */
static int put_ready(struct remake *remake)
{
	int r;

	do {
		r = put_ready_once(remake);
	} while (r > 0);
	return r;
}

static int put_rings(struct remake *remake)
{
	const struct exchange_plan *plan = remake->options->plan;
	int r;

	use_plan(remake);
	r = put_ready(remake);
	for (size_t i = 0; !r && i < plan->nr_rings; i++) {
		if (remake->known[i].written)
			continue;
		lose(remake, plan->rings[i].domid, "target of",
		     "it has no ring, or targets this one");
		r = put_ring(remake, &plan->rings[i], false);
		if (!r)
			r = put_ready(remake);
	}
	return r;
}

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
		lose(remake, domid, "nodes and permissions of",
		     "it is not introduced yet, and the C daemon takes nothing of such a domain "
		     "from a state; make it anew");
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
	if (to_c(remake))
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

static int put_node(struct remake *remake, struct state_item *item)
{
	struct record_node *node = &item->node.node;
	int r;

	if (item->node.pending)
		return 0;
	r = buffer_reserve(&remake->perms, node->nr_perms * sizeof(*node->perms));
	if (r)
		return fail(remake, r);
	memcpy(remake->perms.data, node->perms, node->nr_perms * sizeof(*node->perms));
	node->perms = remake->perms.data;
	r = mark_gone(remake, remake->perms.data, node->nr_perms);
	if (r)
		return r;
	if (to_c(remake) && node->path_len == strlen(WHO_PATH) &&
	    !memcmp(node->path, WHO_PATH, node->path_len))
		node->value_len = 0;
	r = put_item(remake, item);
	return r < 0 ? r : 0;
}

/* --- the rest */

/* The C daemon ends if it has no ring of the domain. */
static int put_domain(struct remake *remake, struct state_item *item)
{
	int r;

	if (!exchange_plan_ring(remake->options->plan, item->domain.domid))
		return 0;
	r = put_item(remake, item);
	return r < 0 ? r : 0;
}

static int put_rest_of(struct remake *remake, struct state_item *item)
{
	int r;

	switch (item->kind) {
	case STATE_NODE:
		return put_node(remake, item);
	case STATE_DOMAIN:
		return put_domain(remake, item);
	case STATE_QUOTAS:
	case STATE_UNKNOWN:
		r = put_item(remake, item);
		return r < 0 ? r : 0;
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
	return r ? fail(remake, r) : 0;
}

static int put_global(struct remake *remake)
{
	struct state_item item = { .kind = STATE_GLOBAL,
				   .global = { .socket = remake->options->listener,
					       .evtchn = STATE_NO_FD,
					       .read_only = STATE_NO_FD } };
	int r = put_item(remake, &item);

	return r < 0 ? r : 0;
}

static int put_all(struct remake *remake)
{
	int r = learn_all(remake);

	if (!r)
		r = put_global(remake);
	if (!r)
		r = put_rings(remake);
	if (!r)
		r = put_rest(remake);
	if (r)
		return r;
	r = state_writer_finish(remake->writer);
	return r ? fail(remake, r) : 0;
}

static void choose_format(struct remake *remake)
{
	enum state_format from = state_reader_format(remake->reader);

	if (remake->options->quotas)
		ox_quotas_read(&remake->how, remake->options->quotas);
	remake->how.max_path = 0; /* what it does not serve it has all the same */
	if (state_format_is_ox(from))
		remake->how.max_value = VALUE_LIMIT;
	if (!to_c(remake))
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
	return r ? fail(remake, r) : 0;
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
