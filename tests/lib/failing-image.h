/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* An image in memory that fails: at its n-th step, and then so many times. */

#include "memory-image.h"

typedef struct {
    UvImage image; /* what the code under test is given */
    UvImage *inner;
    bool reads;          /* a read is a step, too; else only a write or a flush is */
    unsigned steps;      /* so far */
    unsigned fail_at;    /* from 1; 0: never */
    unsigned n_failures; /* 1 */
} FailingImage;

/* Over a copy of what `image` holds. */
void failing_image_init(FailingImage *failing, UvImage *image);
void failing_image_clear(FailingImage *failing);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FailingImage, failing_image_clear)
