/* SPDX-License-Identifier: MIT */
/*
 * libxl_image - what `xl save` writes, taken apart piece by piece: which octets are Xenstore's
 * records, and where the stream ends.
 *
 *	xl's header     magic, byte order, flags; optional data, as long as it says
 *	libxl's header  as of libxl_stream.h
 *	records         framed as there; behind LIBXC_CONTEXT lies all of libxc's stream, whose
 *			length nobody knows but by reading its records up to its own END
 *	END             nothing follows
 *
 * (Xen's xl, libxl-migration-stream.pandoc and libxc-migration-stream.pandoc.) All octets of an
 * image come out again as pieces, in order, so whoever writes them down has it once more. A memory
 * image has as many octets as the guest, so none is kept: there is one buffer, and headers are
 * checked as they pass.
 *
 * What is in libxc's records, and in optional ones, is Xen's business; those of which Xen makes
 * checkpoints (Remus, COLO) are refused, for then several images are in one. So is what is
 * big-endian: no Xen writes it.
 *
 * Called by migration/image. Must never change an octet, or take more from its source than there
 * is room for.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_LIBXL_IMAGE_H
#define XSPROXY_MIGRATION_FORMAT_LIBXL_IMAGE_H

#include <stddef.h>
#include <sys/types.h>

#include "migration/format/record.h"

enum libxl_image_kind {
	LIBXL_IMAGE_OTHER,
	LIBXL_IMAGE_XENSTORE, /* of a DOMAIN_XENSTORE_DATA record: header, body or padding */
	LIBXL_IMAGE_END,      /* all of the END record: the last piece */
};

struct libxl_image_piece {
	enum libxl_image_kind kind;
	const void *data; /* valid until the next call on the image */
	size_t len;
};

struct libxl_image;

/*
 * Where an image comes from: up to @size octets to @data. Return: how many; 0 at the end; or a
 * negative errno.
 */
typedef ssize_t (*libxl_image_read_fn)(void *arg, void *data, size_t size);

/**
 * libxl_image_new() - before the first piece; nothing is read yet.
 * @out: gets the image; libxl_image_free() it
 * @read, @arg: called for its octets
 *
 * Return: 0 or -ENOMEM.
 */
int libxl_image_new(struct libxl_image **out, libxl_image_read_fn read, void *arg);

/**
 * libxl_image_next() - the next piece.
 * @fault: for -EBADMSG gets the number of libxl's record, where the offending field or octet is, or
 *	where the image stops, and the reason
 *
 * Return: 1; 0 behind END, which is the last thing in the image; -EBADMSG; or what reading failed
 * with. After a failure there is no further piece.
 */
int libxl_image_next(struct libxl_image *image, struct libxl_image_piece *piece,
		     struct record_fault *fault);

/** libxl_image_free() - free @image, which may be NULL. */
void libxl_image_free(struct libxl_image *image);

#endif
