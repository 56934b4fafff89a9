/* SPDX-License-Identifier: MIT */
/*
 * ox_format - how oxenstored's dump lies in octets: lines of fields with commas between them, what
 * guests wrote in hex (xenstored.ml, of Xen's and of XAPI's).
 *
 *	$xenstored-dump-format
 *	global,FD                               the listener; -1: none; another one may follow
 *	evtchn-dev,FD,PORT                      the handle, and where VIRQ_DOM_EXC comes in
 *	dom,DOMID,GFN,REMOTE-PORT,LOCAL-PORT    the last one may be missing
 *	socket,FD
 *	watch,DOMID or -FD,PATH,TOKEN,DEPTH     the last one of XAPI's alone, and if there is one
 *	store,PATH,PERMISSIONS,VALUE            with a NUL between two permissions
 *
 * The special watches, which have permissions like nodes, are nodes in the root there: what is
 * "@releaseDomain" everywhere else has the path "/@releaseDomain".
 *
 * For ox_dump_reader.c and ox_dump_writer.c alone.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_OX_FORMAT_H
#define XSPROXY_MIGRATION_FORMAT_OX_FORMAT_H

#define OX_HEADER   "$xenstored-dump-format"
#define OX_PERM_MAX 8 /* octets of "n65535" and NUL */

#endif
