/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is written to a key variable through secure-boot/: told by looking at it.
 *
 *   a signed update       EFI_VARIABLE_AUTHENTICATION_2 and content, without an attribute word
 *   a signature list      EFI_SIGNATURE_LIST, one or several
 *   certificates          PEM, one or several, or one in DER
 *   lines of hashes       64 hex digits (SHA-256), or "TYPE HEX" as secure-boot/VAR/hashes has them
 */

#include <glib.h>
#include <stdbool.h>

typedef enum {
    UV_KEY_INPUT_NONE, /* none of these */
    UV_KEY_INPUT_SIGNED,
    UV_KEY_INPUT_LISTS,
} UvKeyInputKind;

typedef struct {
    UvKeyInputKind kind;
    GBytes *bytes; /* signed: as written; lists: EFI_SIGNATURE_LISTs. NULL: none */
} UvKeyInput;

/*
 * `known` (nullable) is what the variable holds: certificates and hashes that are in it, whatever
 * owner is written beside them, are left out of the lists that are made of them.
 */
void uv_key_input_read(GBytes *input, GBytes *known, UvKeyInput *ret_input);
void uv_key_input_clear(UvKeyInput *input);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UvKeyInput, uv_key_input_clear)
