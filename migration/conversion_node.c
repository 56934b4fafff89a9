// SPDX-License-Identifier: MIT
/*
 * conversion_node - see conversion_node.h.
 */
#include "migration/conversion_node.h"

#include "migration/format/rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 32

/* --- which nodes */

static bool is_wanted(const struct conversion *conversion, const struct record_node *node)
{
	const struct conversion_options *options = conversion->options;
	char home[TEXT_MAX];
	int len = snprintf(home, sizeof(home), "/local/domain/%u", options->domid);

	if (!options->one || rules_path_below(node->path, node->path_len, home, (size_t)len))
		return true;
	for (size_t i = 0; i < options->nr_roots; i++)
		if (rules_path_below(node->path, node->path_len, options->roots[i],
				     strlen(options->roots[i])))
			return true;
	return false;
}

/* Return: 0, so that leaving out is one statement, or -ENOMEM. */
static int leave_out(struct conversion *conversion, const struct record_node *node, const char *why)
{
	struct omission omission = { .kind = OMISSION_LEFT_OUT,
				     .what = "node",
				     .path = node->path,
				     .path_len = node->path_len,
				     .why = why };

	omissions_add(conversion->omissions, &omission);
	return pathset_add(&conversion->left_out, node->path, node->path_len);
}

/* Whether @node is, or is below, what oxenstored has in the place of a special watch. */
static bool looks_special(const struct record_node *node)
{
	const char *end = node->path + node->path_len;
	const char *slash = memchr(node->path + 1, '/', node->path_len - 1);

	return state_path_known(node->path + 1, (size_t)((slash ? slash : end) - node->path - 1));
}

/* A node of the C daemon's has such a path only if somebody wanted to make trouble. */
static const char *why_not_special(struct conversion *conversion, const struct record_node *node)
{
	bool below = memchr(node->path + 1, '/', node->path_len - 1);

	if (!looks_special(node))
		return NULL;
	if (state_format_is_ox(conversion->options->to))
		return below ? NULL : "its path is that of a special watch in oxenstored";
	conversion->plain |= !below;
	return conversion->plain ? NULL : "it is below a special watch, which no node can be here";
}

/* Why the format has no place for it; NULL if it has. */
static const char *why_not(struct conversion *conversion, const struct record_node *node,
			   struct record_fault *fault)
{
	size_t max = conversion->options->max_value;
	bool special = state_path_special(node->path, node->path_len);
	const char *why;

	if (special && conversion->options->to == STATE_LIBXL)
		return "a stream of one domain has no place for it";
	if (special && !state_path_known(node->path, node->path_len))
		return "no daemon knows this special watch";
	if (special)
		return NULL;
	why = why_not_special(conversion, node);
	if (why)
		return why;
	if (rules_node_path(node->path, node->path_len, 0, fault))
		return fault->reason;
	if (conversion->options->max_path && node->path_len > conversion->options->max_path)
		return "the daemon would have it, but serve no path of so many octets";
	if (state_format_is_ox(conversion->options->to) &&
	    node->value_len > (max ? max : CONVERSION_OX_VALUE))
		return "oxenstored takes no value of so many octets";
	if (state_format_is_c(conversion->options->to) &&
	    (node->value_len > UINT16_MAX || node->nr_perms > UINT16_MAX))
		return "a C state stream takes no value of so many octets";
	return NULL;
}

/* --- permissions */

static void list_perm(struct conversion *conversion, const struct record_node *node,
		      const struct record_perm *was, const struct record_perm *now)
{
	struct omission omission = { .kind = now ? OMISSION_REWRITTEN : OMISSION_LEFT_OUT,
				     .what = "permission",
				     .path = node->path,
				     .path_len = node->path_len,
				     .why = was->pad & STATE_PERM_ODD ? "this is no domain"
								      : "this domain is gone" };
	char before[STATE_PERM_TEXT_MAX], after[STATE_PERM_TEXT_MAX];

	omission.detail_len = state_perm_text(before, was);
	omission.detail = before;
	if (now) {
		omission.now_len = state_perm_text(after, now);
		omission.now = after;
	}
	omissions_add(conversion->omissions, &omission);
}

/* Whether the format has @perm as it is. No daemon has a node whose owner counts for nobody. */
static bool perm_fits(const struct conversion *conversion, const struct record_perm *perm,
		      bool owner)
{
	return !perm->pad || (!owner && state_format_is_c(conversion->options->to) &&
			      !(perm->pad & ~STATE_PERM_STALE));
}

static bool perms_fit(const struct conversion *conversion, const struct record_node *node)
{
	for (size_t i = 0; i < node->nr_perms; i++)
		if (!perm_fits(conversion, &node->perms[i], !i))
			return false;
	return true;
}

/*
 * The owner's entry stays: a node whose owner is gone becomes domain 0's, with what it lets others
 * do, for otherwise the next domain of that number would own it. The others that count for nobody
 * are left out: the next domain of that number could do what they say.
 */
static int convert_perms(struct conversion *conversion, struct record_node *node)
{
	struct record_perm *perms;
	size_t nr = 0;
	int r;

	if (perms_fit(conversion, node))
		return 0;
	r = buffer_reserve(&conversion->perms, node->nr_perms * sizeof(*perms));
	if (r)
		return r;
	perms = conversion->perms.data;
	for (size_t i = 0; i < node->nr_perms; i++) {
		const struct record_perm *perm = &node->perms[i];

		if (perm_fits(conversion, perm, !i)) {
			perms[nr++] = *perm;
		} else if (!i) {
			perms[nr++] = record_perm_make((char)perm->letter, 0);
			list_perm(conversion, node, perm, &perms[0]);
		} else if ((perm->pad & STATE_PERM_ODD) && !conversion->options->pass_odd) {
			list_perm(conversion, node, perm, NULL);
		}
	}
	node->perms = perms;
	node->nr_perms = nr;
	return 0;
}

/* The C daemon ends if Xen does not have it: that much cannot be seen from here. */
static void check_owner(struct conversion *conversion, const struct record_node *node)
{
	uint16_t domid = record_perm_domid(&node->perms[0]);
	char detail[TEXT_MAX];
	struct omission omission = { .kind = OMISSION_KEPT,
				     .what = "its owner, domain",
				     .path = node->path,
				     .path_len = node->path_len,
				     .detail = detail,
				     .why = "has no connection; if Xen has no such domain, the C "
					    "daemon ends when it reads this" };

	if (!state_format_is_c(conversion->options->to) || conversion->options->one || !domid ||
	    conversion->owners[domid])
		return;
	conversion->owners[domid] = true; /* one line of each is enough */
	omission.detail_len = (size_t)snprintf(detail, sizeof(detail), "%u", domid);
	omissions_add(conversion->omissions, &omission);
}

void conversion_node_owner(struct conversion *conversion, uint16_t domid)
{
	conversion->owners[domid] = true;
}

/* --- a node */

/* What a transaction has changed: only with it (conversion.c), and libxl has none of that. */
static int convert_pending(struct conversion *conversion, const struct state_node *node)
{
	struct omission omission = { .kind = OMISSION_LEFT_OUT,
				     .what = "node in a transaction",
				     .path = node->node.path,
				     .path_len = node->node.path_len,
				     .why = "no daemon takes it from a state" };
	bool one = conversion->options->one;

	if (one && (node->peer.socket || node->peer.number != conversion->options->domid))
		return 0;
	if (one && state_format_is_c(conversion->options->to))
		return 1;
	omissions_add(conversion->omissions, &omission);
	return 0;
}

int conversion_node(struct conversion *conversion, struct state_node *node)
{
	struct record_fault fault;
	const char *why;
	int r;

	if (node->pending)
		return convert_pending(conversion, node);
	if (!is_wanted(conversion, &node->node))
		return 0;
	if (pathset_cover(conversion->left_out, node->node.path, node->node.path_len))
		return leave_out(conversion, &node->node, "it is below a node that is left out");
	why = why_not(conversion, &node->node, &fault);
	if (why)
		return leave_out(conversion, &node->node, why);
	r = convert_perms(conversion, &node->node);
	if (r)
		return r;
	check_owner(conversion, &node->node);
	return 1;
}
