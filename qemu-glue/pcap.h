/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * pcapfile=: each message of the guest and its answer, as QEMU's own device writes them (link type
 * EDK2_MM, which Wireshark knows). No QEMU header is needed here.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct GluePcap GluePcap;

/* Begins the file anew. */
GluePcap *glue_pcap_new(const char *path, GError **error);
void glue_pcap_free(GluePcap *pcap);
/* A file that can't be written any more is given up, silently: the guest goes first. */
void glue_pcap_add(GluePcap *pcap, const void *message, size_t bytes);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(GluePcap, glue_pcap_free)
