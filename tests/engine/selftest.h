/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Tries what confinement forbids; only in programs that are built for tests. */

/* For UV_HOST_SELFTEST, with the path of another guest's store: "attempt: result" a line;
 * allocated. "keeper": what an engine that was taken over can do through its keeper. */
char *uv_selftest(const char *other_store);
