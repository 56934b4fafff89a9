/* SPDX-License-Identifier: MIT */
/* exchange_events - all that happens in an exchange of xenstored that goes well. */
#ifndef XSPROXY_TESTS_UNIT_EXCHANGE_EVENTS_H
#define XSPROXY_TESTS_UNIT_EXCHANGE_EVENTS_H

#include "tests/unit/exchange_bed.h"

enum {
	BEGUN,
	LOOKED,
	RESTED,
	PARTING,
	PARTED,
	ASKING,
	ENDED,
	CAME,
	STATE,
	HANDED,
	AGAIN,
	BUSY,
	DONE
};

/* One event after the other, as it goes well. */
static inline void happens(int what)
{
	switch (what) {
	case BEGUN:
		bed_begin("/usr/sbin/other");
		break;
	case LOOKED:
	case PARTING:
	case ASKING:
		bed_look();
		break;
	case BUSY:
		bed_look();
		rig_run(&bed.rig);
		while (anew_reads(&bed.after))
			;
		while (anew_writes(&bed.after))
			;
		break;
	case RESTED:
	case PARTED:
		anew_lives(&bed.before);
		bed_answers();
		break;
	case ENDED:
		bed.waits = bed.watcher->gone(bed.exchange);
		break;
	case CAME:
		bed.news->came(bed.exchange, START_UPDATE);
		break;
	case STATE:
		bed.news->state(bed.exchange, memfd_create("state", MFD_CLOEXEC), 0);
		break;
	case HANDED:
		bed.news->came(bed.exchange, START_DAEMON);
		assert_int_equal(bed.order, START_RESTORE);
		break;
	case AGAIN:
		bed_again();
		break;
	case DONE:
		bed_look_with(&bed.after);
	}
}

#endif
