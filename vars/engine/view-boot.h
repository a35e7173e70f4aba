/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of boot/ share: view-boot.c (the files), boot-options.c (the variables behind
 * them), boot-write.c (changes), boot-summary.c. */

#include "load-option.h"
#include "view.h"

#define UV_BOOT_TO_FIRMWARE UINT64_C(1) /* EFI_OS_INDICATIONS_BOOT_TO_FW_UI */

/* Exactly four upper-case hex digits. */
bool uv_boot_number_parse(const char *text, size_t size, unsigned *ret_number);
/* Of Boot####, ascending; of uint16_t. */
GArray *uv_boot_numbers(const UvService *service);
/* As BootOrder has them, whether they are there or not; of uint16_t. */
GArray *uv_boot_order(const UvService *service);
/* A global variable of `bytes` bytes (2 or 8); false: none of that size. */
bool uv_boot_read_number(const UvService *service, const char *name, size_t bytes,
                         uint64_t *ret_value);
bool uv_boot_has(const UvService *service, unsigned number); /* a load option or not */
/* false: no Boot####, or it is no load option. */
bool uv_boot_option(const UvService *service, unsigned number, UvLoadOption *ret_option);
/* Never NULL: what is no device path is shown as hexadecimal. */
char *uv_boot_path_text(GBytes *path);
/* The same of the begin, where it is hexadecimal. */
char *uv_boot_path_brief(GBytes *path);
/* The begin of a Boot#### that is no load option, as hexadecimal. */
char *uv_boot_broken_text(const UvService *service, unsigned number);
GBytes *uv_boot_summary(const UvService *service);

void uv_boot_make_option(UvServer *server, unsigned number, UvViewOutcome *outcome);
void uv_boot_remove_option(UvServer *server, unsigned number, UvViewOutcome *outcome);
void uv_boot_write_option(UvServer *server, unsigned number, const char *file, GBytes *content,
                          UvViewOutcome *outcome);
/* order, next, timeout, firmware-setup; `content` NULL: the file is removed. */
void uv_boot_write_setting(UvServer *server, const char *file, GBytes *content,
                           UvViewOutcome *outcome);
