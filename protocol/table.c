// SPDX-License-Identifier: MIT
#include "protocol/table.h"

#include <errno.h>
#include <sodium/crypto_shorthash.h>
#include <string.h>
#include <sys/random.h>

_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "SipHash-2-4");

static uint8_t secret[crypto_shorthash_KEYBYTES];

int table_seed(void)
{
	ssize_t n = getrandom(secret, sizeof(secret), GRND_INSECURE);

	/* Linux before 5.6 does not know that flag. */
	if (n < 0 && errno == EINVAL)
		n = getrandom(secret, sizeof(secret), 0);
	if (n < 0)
		return -errno;
	return n == sizeof(secret) ? 0 : -EIO;
}

uint64_t table_hash(const void *octets, size_t len)
{
	uint8_t out[crypto_shorthash_BYTES];
	uint64_t hash;

	crypto_shorthash(out, octets, len, secret);
	memcpy(&hash, out, sizeof(hash));
	return hash;
}
