// SPDX-License-Identifier: MIT
#include "trace/pcapng_read.h"

#include <string.h>

#include "trace/pcapng_block.h"

static uint32_t u32(const char *octets)
{
	uint32_t value;

	memcpy(&value, octets, sizeof(value));
	return value;
}

static ssize_t bad(struct pcapng_reader *reader, const char *wrong)
{
	reader->wrong = wrong;
	return -EBADMSG;
}

static ssize_t read_section(struct pcapng_reader *reader, const char *block, size_t size)
{
	struct pcapng_section section;

	if (size < sizeof(section) + BLOCK_END)
		return bad(reader, "a section's header is too short");
	memcpy(&section, block, sizeof(section));
	if (section.major != PCAPNG_VERSION)
		return bad(reader, "the section is of another version of pcapng");
	reader->section = true;
	reader->interfaces = 0;
	return (ssize_t)size;
}

static ssize_t read_interface(struct pcapng_reader *reader, const char *block, size_t size)
{
	struct pcapng_interface interface;

	if (size < sizeof(interface) + BLOCK_END)
		return bad(reader, "an interface's description is too short");
	memcpy(&interface, block, sizeof(interface));
	if (interface.linktype != LINKTYPE_USER0)
		return bad(reader, "its packets are not Xenstore's, but of another link type");
	reader->interfaces++;
	return (ssize_t)size;
}

static ssize_t read_packet(struct pcapng_reader *reader, const char *block, size_t size,
			   struct view *view)
{
	struct pcapng_packet packet;

	if (size < sizeof(packet) + BLOCK_END)
		return bad(reader, "a packet's block is too short");
	memcpy(&packet, block, sizeof(packet));
	if (packet.interface >= reader->interfaces)
		return bad(reader, "a packet is of an interface that is not described");
	if (packet.captured > size - sizeof(packet) - BLOCK_END)
		return bad(reader, "a packet is longer than its block");
	if (view_parse(view, block + sizeof(packet), packet.captured) != (ssize_t)packet.captured ||
	    !packet.captured)
		return bad(reader, "a packet is no message of a capture, or cut since");
	return (ssize_t)size;
}

static bool is_known(uint32_t type)
{
	return type == BLOCK_SECTION || type == BLOCK_INTERFACE || type == BLOCK_PACKET;
}

/* A block that is there in full. */
static ssize_t read_block(struct pcapng_reader *reader, const char *block, size_t size,
			  struct view *view)
{
	if (u32(block + size - BLOCK_END) != size)
		return bad(reader, "the two lengths of a block differ");
	switch (u32(block)) {
	case BLOCK_SECTION:
		return read_section(reader, block, size);
	case BLOCK_INTERFACE:
		return read_interface(reader, block, size);
	default:
		return read_packet(reader, block, size, view);
	}
}

/* What says how the rest is to be read. Return: 0, or -EBADMSG. */
static ssize_t check_order(struct pcapng_reader *reader, const char *block)
{
	uint32_t magic = u32(block + offsetof(struct pcapng_section, magic));

	if (magic == BYTE_ORDER_MAGIC)
		return 0;
	return bad(reader, magic == __builtin_bswap32(BYTE_ORDER_MAGIC)
				   ? "it is of a machine with the other order of octets"
				   : "a section's header has no order of octets");
}

static ssize_t pass_over(struct pcapng_reader *reader, size_t len)
{
	size_t part = len < reader->skip ? len : reader->skip;

	reader->skip -= (uint32_t)part;
	return (ssize_t)part;
}

ssize_t pcapng_read(struct pcapng_reader *reader, const void *octets, size_t len, struct view *view)
{
	const char *block = octets;
	uint32_t type, size;

	*view = (struct view){ 0 };
	if (reader->skip)
		return pass_over(reader, len);
	if (len < BLOCK_MIN)
		return 0;
	type = u32(block);
	if (!reader->section && type != BLOCK_SECTION)
		return bad(reader, "it is no pcapng file");
	if (type == BLOCK_SECTION && check_order(reader, block))
		return -EBADMSG;
	if (type == BLOCK_SIMPLE || type == BLOCK_OLD)
		return bad(reader, "a packet's block is of a kind that no capture has");
	size = u32(block + sizeof(type));
	if (size < BLOCK_MIN || size % 4 || (is_known(type) && size > PCAPNG_BLOCK_MAX))
		return bad(reader, "a block's length cannot be true");
	if (!is_known(type)) {
		reader->skip = size;
		return pass_over(reader, len);
	}
	return len < size ? 0 : read_block(reader, block, size, view);
}
