// SPDX-License-Identifier: MIT
#include "proxy/mirror/called.h"

#include <stdio.h>
#include <string.h>

#include "proxy/mirror/mirror.h"
#include "proxy/mirror/tree.h"

#define VM	 "/vm/"
#define PATH_LEN sizeof("/local/domain/4294967295/name")

static struct called value_of(const struct mirror *mirror, uint32_t domid, const char *name)
{
	struct tree_content content;
	char path[PATH_LEN];
	uint32_t node;
	int len;

	if (!mirror)
		return (struct called){ 0 };
	len = snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, name);
	node = tree_look_up(mirror->tree, path, (size_t)len, NULL);
	if (node == TREE_NONE || !tree_get(mirror->tree, node, &content))
		return (struct called){ 0 };
	return (struct called){ (const char *)content.value, content.value_len };
}

struct called called_name(const struct mirror *mirror, uint32_t domid)
{
	return value_of(mirror, domid, "name");
}

struct called called_uuid(const struct mirror *mirror, uint32_t domid)
{
	struct called vm = value_of(mirror, domid, "vm");

	if (vm.len < strlen(VM) || memcmp(vm.octets, VM, strlen(VM)))
		return (struct called){ 0 };
	return (struct called){ vm.octets + strlen(VM), vm.len - (uint32_t)strlen(VM) };
}
