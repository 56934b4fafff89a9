/* SPDX-License-Identifier: MIT */
/*
 * states - a C daemon's state stream and an oxenstored's dump, with one of each thing that they can
 * have, put together field by field from Xen's docs/designs/xenstore-migration.md and xenstored.ml.
 * Nothing here came out of our writers: the numbers in front of the lines are octet offsets, which
 * the tests rely on.
 */
#ifndef XSPROXY_TESTS_GOLDEN_STATES_H
#define XSPROXY_TESTS_GOLDEN_STATES_H

#include <stdint.h>

/* clang-format off */

static const uint8_t golden_c[] = {
/*   0 */ 'x', 'e', 'n', 's', 't', 'o', 'r', 'e',    /* ident */
/*   8 */ 0x00, 0x00, 0x00, 0x02,                    /* version 2, big-endian */
/*  12 */ 0x00, 0x00, 0x00, 0x00,                    /* flags 0 */
/*  16 */ 0x01, 0x00, 0x00, 0x00,                    /* GLOBAL_DATA */
/*  20 */ 0x08, 0x00, 0x00, 0x00,                    /* length 8 */
/*  24 */ 0x05, 0x00, 0x00, 0x00,                    /* listener */
/*  28 */ 0x08, 0x00, 0x00, 0x00,                    /* event channels */
/*  32 */ 0x06, 0x00, 0x00, 0x00,                    /* GLOBAL_QUOTA_DATA */
/*  36 */ 0x28, 0x00, 0x00, 0x00,                    /* length 40 */
/*  40 */ 0x02, 0x00,                                /* for each domain */
/*  42 */ 0x01, 0x00,                                /* for all */
/*  44 */ 0xe8, 0x03, 0x00, 0x00,                    /* 1000 */
/*  48 */ 0x80, 0x00, 0x00, 0x00,                    /* 128 */
/*  52 */ 0x05, 0x00, 0x00, 0x00,                    /* 5 */
/*  56 */ 'n', 'o', 'd', 'e', 's', 0x00,
/*  62 */ 'w', 'a', 't', 'c', 'h', 'e', 's', 0x00,
/*  70 */ 't', 'o', 't', 'a', 'l', 0x00,
/*  76 */ 0x00, 0x00, 0x00, 0x00,                    /* filled up */
/*  80 */ 0x02, 0x00, 0x00, 0x00,                    /* CONNECTION_DATA */
/*  84 */ '@', 0x00, 0x00, 0x00,                     /* length 64 */
/*  88 */ 0x01, 0x00, 0x00, 0x00,                    /* id 1 */
/*  92 */ 0x00, 0x00,                                /* ring */
/*  94 */ 0x01, 0x00,                                /* with a unique id */
/*  96 */ 0x07, 0x00,                                /* domain 7 */
/*  98 */ 0x08, 0x00,                                /* target 8 */
/* 100 */ 'B', 0x00, 0x00, 0x00,                     /* port 66 */
/* 104 */ 0x0a, 0x00,                                /* 10 octets read */
/* 106 */ 0x03, 0x00,                                /* the rest of a message has 3 */
/* 108 */ 0x16, 0x00, 0x00, 0x00,                    /* 22 to be sent */
/* 112 */ 0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, /* half a header */
/* 122 */ 'x', 'y', 0x00,                            /* the rest */
/* 125 */ 0x0b, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* a reply */
/* 137 */ 0x03, 0x00, 0x00, 0x00, 'O', 'K', 0x00,
/* 144 */ 0xef, 0xcd, 0xab, 0x89, 'g', 'E', 0x23, 0x01, /* the unique id */
/* 152 */ 0x03, 0x00, 0x00, 0x00,                    /* WATCH_DATA */
/* 156 */ 0x10, 0x00, 0x00, 0x00,                    /* length 16 */
/* 160 */ 0x01, 0x00, 0x00, 0x00,                    /* connection 1 */
/* 164 */ 0x05, 0x00,                                /* path length 5 */
/* 166 */ 0x03, 0x00,                                /* token length 3 */
/* 168 */ 'd', 'a', 't', 'a', 0x00,
/* 173 */ 't', 0xff, 0x00,
/* 176 */ 0x08, 0x00, 0x00, 0x00,                    /* WATCH_DATA_EXTENDED */
/* 180 */ 0x20, 0x00, 0x00, 0x00,                    /* length 32 */
/* 184 */ 0x01, 0x00, 0x00, 0x00,                    /* connection 1 */
/* 188 */ 0x0f, 0x00,                                /* path length 15 */
/* 190 */ 0x01, 0x00,                                /* token length 1 */
/* 192 */ 0x02, 0x00,                                /* depth 2 */
/* 194 */ '@', 'r', 'e', 'l', 'e', 'a', 's', 'e', 'D', 'o', 'm', 'a',
/* 206 */ 'i', 'n', 0x00,
/* 209 */ 0x00,                                      /* no token */
/* 210 */ 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,        /* filled up */
/* 216 */ 0x04, 0x00, 0x00, 0x00,                    /* TRANSACTION_DATA */
/* 220 */ 0x08, 0x00, 0x00, 0x00,                    /* length 8 */
/* 224 */ 0x01, 0x00, 0x00, 0x00,                    /* connection 1 */
/* 228 */ 0x0c, 0x00, 0x00, 0x00,                    /* id 12 */
/* 232 */ 0x02, 0x00, 0x00, 0x00,                    /* CONNECTION_DATA */
/* 236 */ 0x18, 0x00, 0x00, 0x00,                    /* length 24 */
/* 240 */ 0x02, 0x00, 0x00, 0x00,                    /* id 2 */
/* 244 */ 0x01, 0x00,                                /* socket */
/* 246 */ 0x00, 0x00,                                /* no fields */
/* 248 */ 0x0a, 0x00, 0x00, 0x00,                    /* descriptor 10 */
/* 252 */ 0x00, 0x00, 0x00, 0x00,                    /* pad */
/* 256 */ 0x00, 0x00,                                /* nothing read */
/* 258 */ 0x00, 0x00,                                /* no rest */
/* 260 */ 0x00, 0x00, 0x00, 0x00,                    /* nothing to be sent */
/* 264 */ 0x05, 0x00, 0x00, 0x00,                    /* NODE_DATA */
/* 268 */ 0x18, 0x00, 0x00, 0x00,                    /* length 24 */
/* 272 */ 0x00, 0x00, 0x00, 0x00,                    /* committed */
/* 276 */ 0x00, 0x00, 0x00, 0x00,                    /* transaction 0 */
/* 280 */ 0x02, 0x00,                                /* path length 2 */
/* 282 */ 0x00, 0x00,                                /* value length 0 */
/* 284 */ 0x00, 0x00,                                /* access 0 */
/* 286 */ 0x01, 0x00,                                /* permissions: 1 */
/* 288 */ 'n', 0x00, 0x00, 0x00,                     /* n0 */
/* 292 */ '/', 0x00,
/* 294 */ 0x00, 0x00,                                /* filled up */
/* 296 */ 0x05, 0x00, 0x00, 0x00,                    /* NODE_DATA */
/* 300 */ 0x20, 0x00, 0x00, 0x00,                    /* length 32 */
/* 304 */ 0x00, 0x00, 0x00, 0x00,                    /* committed */
/* 308 */ 0x00, 0x00, 0x00, 0x00,                    /* transaction 0 */
/* 312 */ 0x03, 0x00,                                /* path length 3 */
/* 314 */ 0x02, 0x00,                                /* value length 2 */
/* 316 */ 0x00, 0x00,                                /* access 0 */
/* 318 */ 0x02, 0x00,                                /* permissions: 2 */
/* 320 */ 'n', 0x00, 0x07, 0x00,                     /* n7 */
/* 324 */ 'r', 0x01, 0x03, 0x00,                     /* r3, stale */
/* 328 */ '/', 'a', 0x00,
/* 331 */ 'v', 0x00,
/* 333 */ 0x00, 0x00, 0x00,                          /* filled up */
/* 336 */ 0x05, 0x00, 0x00, 0x00,                    /* NODE_DATA */
/* 340 */ 0x18, 0x00, 0x00, 0x00,                    /* length 24 */
/* 344 */ 0x01, 0x00, 0x00, 0x00,                    /* connection 1 */
/* 348 */ 0x0c, 0x00, 0x00, 0x00,                    /* transaction 12 */
/* 352 */ 0x03, 0x00,                                /* path length 3 */
/* 354 */ 0x01, 0x00,                                /* value length 1 */
/* 356 */ 0x03, 0x00,                                /* access 3 */
/* 358 */ 0x01, 0x00,                                /* permissions: 1 */
/* 360 */ 'n', 0x00, 0x07, 0x00,                     /* n7 */
/* 364 */ '/', 'a', 0x00,
/* 367 */ 'w',
/* 368 */ 0x05, 0x00, 0x00, 0x00,                    /* NODE_DATA */
/* 372 */ 0x18, 0x00, 0x00, 0x00,                    /* length 24 */
/* 376 */ 0x01, 0x00, 0x00, 0x00,                    /* connection 1 */
/* 380 */ 0x0c, 0x00, 0x00, 0x00,                    /* transaction 12 */
/* 384 */ 0x03, 0x00,                                /* path length 3 */
/* 386 */ 0x00, 0x00,                                /* value length 0 */
/* 388 */ 0x00, 0x00,                                /* access 0 */
/* 390 */ 0x00, 0x00,                                /* permissions: 0 */
/* 392 */ '/', 'b', 0x00,
/* 395 */ 0x00, 0x00, 0x00, 0x00, 0x00,              /* filled up */
/* 400 */ 0x05, 0x00, 0x00, 0x00,                    /* NODE_DATA */
/* 404 */ 0x28, 0x00, 0x00, 0x00,                    /* length 40 */
/* 408 */ 0x00, 0x00, 0x00, 0x00,                    /* committed */
/* 412 */ 0x00, 0x00, 0x00, 0x00,                    /* transaction 0 */
/* 416 */ 0x0f, 0x00,                                /* path length 15 */
/* 418 */ 0x00, 0x00,                                /* value length 0 */
/* 420 */ 0x00, 0x00,                                /* access 0 */
/* 422 */ 0x01, 0x00,                                /* permissions: 1 */
/* 424 */ 'n', 0x00, 0x00, 0x00,                     /* n0 */
/* 428 */ '@', 'r', 'e', 'l', 'e', 'a', 's', 'e', 'D', 'o', 'm', 'a',
/* 440 */ 'i', 'n', 0x00,
/* 443 */ 0x00, 0x00, 0x00, 0x00, 0x00,              /* filled up */
/* 448 */ 0x07, 0x00, 0x00, 0x00,                    /* DOMAIN_DATA */
/* 452 */ 0x18, 0x00, 0x00, 0x00,                    /* length 24 */
/* 456 */ 0x07, 0x00,                                /* domain 7 */
/* 458 */ 0x01, 0x00,                                /* 1 quota */
/* 460 */ 0x03, 0x00, 0x00, 0x00,                    /* features 3 */
/* 464 */ '2', 0x00, 0x00, 0x00,                     /* 50 */
/* 468 */ 'n', 'o', 'd', 'e', 's', 0x00,
/* 474 */ 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,        /* filled up */
/* 480 */ 0x00, 0x00, 0x00, 0x00,                    /* END */
/* 484 */ 0x00, 0x00, 0x00, 0x00,                    /* length 0 */
};

static const char golden_ox[] =
	"$xenstored-dump-format\n"
	"global,5\n"
	"evtchn-dev,7,64\n"
	"dom,7,262151,1,66\n"
	"watch,7,64617461,74ff\n"
	"watch,7,4072656c65617365446f6d61696e,,2\n"
	"dom,0,0,33\n"
	"socket,10\n"
	"watch,-10,2f61,74\n"
	"store,2f,6e30,\n"
	"store,2f61,6e37007233,7600\n"
	"store,2f612f62,6e30,\n"
	"store,2f4072656c65617365446f6d61696e,6e30,\n";

/* clang-format on */

#endif
