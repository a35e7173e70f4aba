/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"

#include "offer.h"

#include "device.h"
#include "layout.h"

const char *glue_offer_1(void);

bool glue_is_asked_for;

const char *glue_offer_1(void)
{
    const char *differs = glue_layout_difference();

    glue_is_asked_for = !differs;
    return differs;
}
