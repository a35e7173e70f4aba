/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * EFI_LOAD_OPTION (UEFI 2.11, 3.1.3): what Boot#### holds.
 *
 *   u32 attributes, u16 bytes of the device path, description (UTF-16 with NUL), device path,
 *   optional data to the end
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_OPTION_ACTIVE 0x00000001u
#define LOAD_OPTION_HIDDEN 0x00000008u

typedef struct {
    uint32_t attributes;
    GBytes *description; /* UTF-16LE, without NUL; never NULL once read */
    GBytes *path;        /* one device path or several packed ones, as they are */
    GBytes *data;
} UvLoadOption;

/* false: not a load option; `ret_option` is empty then. */
bool uv_load_option_read(GBytes *bytes, UvLoadOption *ret_option);
void uv_load_option_clear(UvLoadOption *option);
/* NULL: larger than `max_bytes`, or a path of more than 65,535 bytes. */
GBytes *uv_load_option_write(const UvLoadOption *option, size_t max_bytes);

/*
 * The description as one line of UTF-8: control characters, lone surrogates and a backslash before
 * 'u' and four hex digits are \uXXXX, so that every description comes back as it was.
 */
char *uv_load_option_description(const UvLoadOption *option);
/* false: not such a line (UTF-8 without control characters). */
bool uv_load_option_set_description(UvLoadOption *option, const char *text);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UvLoadOption, uv_load_option_clear)
