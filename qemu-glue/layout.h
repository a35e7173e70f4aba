/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Whether this QEMU's structures are those of the headers that the module was built with. NULL:
 * all that can be checked is the same; else which is not. To be called when QEMU's types are there.
 */
const char *glue_layout_difference(void);
