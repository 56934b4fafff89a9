// SPDX-License-Identifier: MIT
/*
 * next_xen - The libxenctrl of a Xen yet to come, and with -DPLUGIN a plug-in that uses it.
 */
#include <stdint.h>
void *xc_map_foreign_range(void *xch, uint32_t domid, int size, int prot, unsigned long mfn);
#ifdef PLUGIN
int answers(void)
{
	return xc_map_foreign_range(0, 7, 4096, 3, 5) == (void *)(7 + 5);
}
#else
void *xc_map_foreign_range(void *xch, uint32_t domid, int size, int prot, unsigned long mfn)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): any value that shows who was called */
	return (void *)(domid + mfn);
}
#endif
