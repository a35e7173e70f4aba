/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * EFI status -> errno: the kernel's efivarfs table (drivers/firmware/efi/efi.c,
 * efi_status_to_err()). The only place where one becomes the other.
 */

#include <glib.h>
#include <stdint.h>

/* 0 or a positive errno. */
int fs_outcome_errno(uint64_t efi_status);
/*
 * Reads the payload of a reply that is an outcome (wire.h). Returns 0 or a positive errno (EIO if
 * the payload is none); `ret_reason` is NULL or printable UTF-8, to be freed.
 */
int fs_outcome_parse(GBytes *payload, char **ret_reason);
