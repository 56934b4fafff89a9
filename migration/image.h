/* SPDX-License-Identifier: MIT */
/*
 * image - a domain's Xenstore session inside the file that `xl save` has written of the domain, as
 * the proposal has it: DOMAIN_XENSTORE_DATA records in libxl's stream.
 *
 * Splicing puts the records of a stream that export wrote before the image's END; splitting takes
 * them out again. All other octets stay as they are, so what was spliced and is split is what it
 * was. xl, which knows no such records, restores what splitting leaves.
 *
 * An image has as many octets as the guest: they pass through, in constant memory. A stream's
 * records are checked as import checks them before the first octet of a result can be seen, or,
 * where that is standard output, before END.
 *
 * Called by xsproxyctl. Must never leave half a file behind, or touch a store.
 */
#ifndef XSPROXY_MIGRATION_IMAGE_H
#define XSPROXY_MIGRATION_IMAGE_H

#include <stdint.h>

#include "migration/format/libxl_stream.h"
#include "migration/report.h"

struct image_options {
	const char *image;   /* a file; NULL: standard input */
	const char *name;    /* of it, for people */
	const char *file;    /* gets the other image; NULL: standard output */
	const char *stream;  /* split: gets the records; NULL: standard output */
	uint64_t max_stream; /* split: the most octets that it may have */
};

/**
 * image_splice() - write the image with the records of @reader in it. Signals are caught as
 * interrupt.h says.
 * @reader: before its first record
 * @report: told about failures, a line each
 *
 * Return: 0, or a negative errno, which has been reported: -EBADMSG for an image that is no good,
 * -EEXIST for one that has such records.
 */
int image_splice(const struct image_options *options, struct libxl_reader *reader,
		 const struct report *report);

/**
 * image_split() - write the image without such records, and the stream that is made of these.
 * Signals are caught as interrupt.h says.
 * @report: told about failures, a line each
 *
 * Return: 0, or a negative errno, which has been reported: -EBADMSG for an image or records that
 * are no good, -ENODATA for one that has no such records.
 */
int image_split(const struct image_options *options, const struct report *report);

#endif
