// SPDX-License-Identifier: MIT
/* record - see record.h. */
#include "migration/format/record.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int record_refuse(struct record_fault *fault, uint64_t offset, const char *format, ...)
{
	va_list args;

	if (!fault)
		return -EBADMSG;
	fault->record = 0;
	fault->offset = offset;
	va_start(args, format);
	vsnprintf(fault->reason, sizeof(fault->reason), format, args);
	va_end(args);
	return -EBADMSG;
}

struct record_perm record_perm_make(char letter, uint16_t domid)
{
	struct record_perm perm = { .letter = (uint8_t)letter };
	uint16_t le = htole16(domid);

	memcpy(perm.domid, &le, sizeof(le));
	return perm;
}

uint16_t record_perm_domid(const struct record_perm *perm)
{
	uint16_t le;

	memcpy(&le, perm->domid, sizeof(le));
	return le16toh(le);
}
