// SPDX-License-Identifier: MIT
#include "trace/pcapng.h"

#include <string.h>

#include "trace/pcapng_block.h"

#define TSRESOL_NS 9

enum option {
	OPT_END = 0,
	SHB_USERAPPL = 4,
	IF_NAME = 2,
	IF_DESCRIPTION = 3,
	IF_TSRESOL = 9,
	EPB_FLAGS = 2,
	ISB_STARTTIME = 2,
	ISB_ENDTIME = 3,
	ISB_IFRECV = 4,
	ISB_IFDROP = 5,
};

/* epb_flags: the direction */
#define FLAG_INBOUND  1u
#define FLAG_OUTBOUND 2u

static void add_u16(struct outbuf *out, uint16_t value)
{
	outbuf_add(out, &value, sizeof(value));
}

static void add_u32(struct outbuf *out, uint32_t value)
{
	outbuf_add(out, &value, sizeof(value));
}

static void add_time(struct outbuf *out, uint64_t ns)
{
	add_u32(out, (uint32_t)(ns >> 32));
	add_u32(out, (uint32_t)ns);
}

/* Zeros up to the next multiple of four octets, as everything in a block has them. */
static void pad(struct outbuf *out, size_t len)
{
	outbuf_add(out, "\0\0\0", -len & 3);
}

static void add_option(struct outbuf *out, enum option option, const void *value, size_t len)
{
	add_u16(out, (uint16_t)option);
	add_u16(out, (uint16_t)len);
	outbuf_add(out, value, len);
	pad(out, len);
}

/* Return: where the block begins, for block_end(). */
static size_t block_begin(struct outbuf *out, enum block type)
{
	size_t start = out->len;

	add_u32(out, type);
	add_u32(out, 0); /* its length, which is known at its end */
	return start;
}

static void block_end(struct outbuf *out, size_t start)
{
	uint32_t len;

	add_option(out, OPT_END, NULL, 0);
	len = (uint32_t)(out->len + sizeof(len) - start);
	add_u32(out, len);
	if (!out->failed)
		memcpy(out->data + start + sizeof(uint32_t), &len, sizeof(len));
}

void pcapng_begin(struct pcapng *pcapng, struct outbuf *out, const char *program, uint32_t snap,
		  uint64_t now)
{
	static const char name[] = "xsproxy";
	static const char description[] = "Xenstore messages: struct frame, xsd_sockmsg, payload";
	uint64_t unknown = UINT64_MAX; /* length of the section */
	uint8_t tsresol = TSRESOL_NS;
	size_t block;

	*pcapng = (struct pcapng){ .start = now };

	block = block_begin(out, BLOCK_SECTION);
	add_u32(out, BYTE_ORDER_MAGIC);
	add_u16(out, PCAPNG_VERSION); /* 1.0 */
	add_u16(out, 0);
	outbuf_add(out, &unknown, sizeof(unknown));
	add_option(out, SHB_USERAPPL, program, strlen(program));
	block_end(out, block);

	block = block_begin(out, BLOCK_INTERFACE);
	add_u16(out, LINKTYPE_USER0);
	add_u16(out, 0);
	add_u32(out, (uint32_t)(sizeof(struct frame) + sizeof(struct xsd_sockmsg)) + snap);
	add_option(out, IF_NAME, name, strlen(name));
	add_option(out, IF_DESCRIPTION, description, strlen(description));
	add_option(out, IF_TSRESOL, &tsresol, sizeof(tsresol));
	block_end(out, block);
}

/* How long the packet was before it was cut; whatever length a guest claims. */
static uint32_t full_size(const struct view *view)
{
	uint32_t cut = view_cut(view);

	return cut < FRAME_MAX - view->frame.size ? view->frame.size + cut : FRAME_MAX;
}

static void add_packet(struct outbuf *out, const struct view *view)
{
	uint32_t flags = view->frame.kind == FRAME_REQUEST ? FLAG_INBOUND : FLAG_OUTBOUND;
	size_t block = block_begin(out, BLOCK_PACKET);

	add_u32(out, 0); /* interface */
	add_time(out, view->frame.time);
	add_u32(out, view->frame.size);
	add_u32(out, full_size(view));
	outbuf_add(out, &view->frame, sizeof(view->frame));
	if (view->frame.kind != FRAME_LOST) {
		outbuf_add(out, &view->msg, sizeof(view->msg));
		outbuf_add(out, view->payload, view->len);
		pad(out, view->len);
		add_option(out, EPB_FLAGS, &flags, sizeof(flags));
	}
	block_end(out, block);
}

void pcapng_frame(struct pcapng *pcapng, struct outbuf *out, const struct view *view)
{
	add_packet(out, view);
	if (view->frame.kind != FRAME_LOST) {
		pcapng->frames++;
		return;
	}
	pcapng->lost += view->frame.number;
	pcapng_statistics(pcapng, out, view->frame.time);
}

void pcapng_statistics(const struct pcapng *pcapng, struct outbuf *out, uint64_t now)
{
	uint64_t received = pcapng->frames + pcapng->lost;
	uint32_t start[2] = { (uint32_t)(pcapng->start >> 32), (uint32_t)pcapng->start };
	uint32_t end[2] = { (uint32_t)(now >> 32), (uint32_t)now };
	size_t block = block_begin(out, BLOCK_STATISTICS);

	add_u32(out, 0); /* interface */
	add_time(out, now);
	add_option(out, ISB_STARTTIME, start, sizeof(start));
	add_option(out, ISB_ENDTIME, end, sizeof(end));
	add_option(out, ISB_IFRECV, &received, sizeof(received));
	add_option(out, ISB_IFDROP, &pcapng->lost, sizeof(pcapng->lost));
	block_end(out, block);
}
