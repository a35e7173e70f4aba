/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What guests/G/trace.pcap holds behind the file's header, which the front writes: packets of link
 * type 302 (EDK2 MM), little endian, as QEMU's own device writes them with pcapfile=. A packet is a
 * u32 kind and, of requests and replies, the message: EFI_MM_COMMUNICATE_HEADER and as much as that
 * says.
 */

#include "trace-line.h"

/* Nothing is told of a request that QEMU's device does not take either: a buffer smaller than its
 * message, a store that is released. */
bool uv_trace_pcap_takes(const UvTraceCall *call);
/* The request and its reply. */
#define UV_TRACE_PCAP_CALL 2u
void uv_trace_pcap_call(GString *out, const UvTraceCall *call);
/* A reset of the machine. */
void uv_trace_pcap_reset(GString *out, int64_t time_us);
