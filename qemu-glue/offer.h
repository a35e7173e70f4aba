/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Between hw-uefi-vars.so and hw-uefi-vars-engine.so: the latter registers its types only when it
 * was asked to. The function answers NULL, and it will; or a text that says why it does not fit
 * this QEMU, and it will not.
 */
typedef const char *(*GlueOffer)(void);
#define GLUE_OFFER_NAME "glue_offer_1"
