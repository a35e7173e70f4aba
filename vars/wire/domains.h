/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What uefivars-libvirt tells the monitor: the domains of a libvirt that are guests, and where
 * their stores are.
 *
 * One SOCK_SEQPACKET socket pair, one way only, packets as in packet.h. It first tells of each
 * domain there is, then FS_DOMAINS_ALL, then what changes. It has read what the domains' owners
 * wrote, so the monitor takes everything in it as hostile: fs_domain_valid() says what can be
 * believed, and that a path leads to a store, and to whose, the monitor finds out as for any other.
 */

#include "questions.h"

typedef enum {
    FS_DOMAIN_IS = 1, /* `guest` is a domain, or is another one now */
    FS_DOMAIN_GONE,   /* `guest` is none any more */
    FS_DOMAINS_ALL,   /* those told of are all that there are */
    FS_DOMAINS_LOST,  /* libvirt is not reached (any more); `text` says why. The last packet */
} FsDomainKind;

/* At most so many guests; a mount with more has the first ones. */
#define FS_DOMAINS_MAX 65536u

#define FS_DOMAIN_SAVED 1u /* libvirt keeps a saved state of it (virsh managedsave) */
#define FS_DOMAIN_FLAGS 1u

typedef struct {
    uint32_t kind; /* FsDomainKind */
    uint32_t flags;
    uint32_t format; /* FsFormat of its store: JSON, flash or qcow2 */
    char guest[FS_QUESTION_FILE];
    /* Of FS_DOMAIN_IS the absolute path of its store, "" if libvirt has not given it one yet. */
    char text[FS_QUESTION_TEXT];
} FsDomain;

/* Whether the texts end, nothing is out of its range, and a path is absolute and plain: no "." or
 * "..", no empty component, no control character. */
bool fs_domain_valid(const FsDomain *domain);
/* The same of a path alone. */
bool fs_domain_path_valid(const char *path);
