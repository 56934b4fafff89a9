// SPDX-License-Identifier: MIT
/*
 * living - see living.h.
 */
#include "starter/living.h"

#include <errno.h>
#include <stdlib.h>
#include <xenevtchn.h>

#include "starter/exchange_plan.h"

enum answer { NOT_ASKED, GONE, LIVES };

struct living {
	xenevtchn_handle *xce;		  /* NULL: nothing was asked yet */
	uint8_t answers[EXCHANGE_DOMIDS]; /* enum answer: the same each time, whatever happens */
};

struct living *living_new(void)
{
	return calloc(1, sizeof(struct living));
}

void living_free(struct living *living)
{
	if (!living)
		return;
	if (living->xce)
		xenevtchn_close(living->xce);
	free(living);
}

static enum answer ask(struct living *living, uint16_t domid)
{
	int port = xenevtchn_bind_interdomain(living->xce, domid, 0);

	if (port >= 0)
		xenevtchn_unbind(living->xce, (evtchn_port_t)port);
	return port < 0 && errno == ESRCH ? GONE : LIVES;
}

int living_has(void *opaque, uint16_t domid)
{
	struct living *living = opaque;

	if (!living->xce)
		living->xce = xenevtchn_open(NULL, 0);
	if (!living->xce)
		return -errno;
	if (living->answers[domid] == NOT_ASKED)
		living->answers[domid] = (uint8_t)ask(living, domid);
	return living->answers[domid] == LIVES;
}
