// SPDX-License-Identifier: MIT
/*
 * large_pages - A kernel whose pages have 64 KiB, as far as programs ask for that.
 */
int getpagesize(void)
{
	return 65536;
}
