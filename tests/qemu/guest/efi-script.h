/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What efi-script.c uses of the UEFI specification (2.10, chapters 4 to 8) as far as it is needed,
 * and of edk2's variable policy protocol. Compiled for Windows, whose calling convention is UEFI's.
 */
#pragma once

#include <stdint.h>

typedef uint64_t EfiStatus;
typedef uint16_t Char16;

typedef struct {
    uint32_t a;
    uint16_t b, c;
    uint8_t d[8];
} Guid;

typedef struct {
    uint8_t header[24];
    void *time[4];
    void *memory[2];
    EfiStatus (*get_variable)(const Char16 *, const Guid *, uint32_t *, uint64_t *, void *);
    EfiStatus (*get_next_variable_name)(uint64_t *, Char16 *, Guid *);
    EfiStatus (*set_variable)(const Char16 *, const Guid *, uint32_t, uint64_t, const void *);
    void *get_next_high_monotonic_count;
    void (*reset_system)(uint32_t, EfiStatus, uint64_t, void *);
    void *capsules[2];
    EfiStatus (*query_variable_info)(uint32_t, uint64_t *, uint64_t *, uint64_t *);
} RuntimeServices;

typedef struct {
    uint8_t header[24];
    void *to_handle_protocol[16];
    EfiStatus (*handle_protocol)(void *, const Guid *, void **);
    void *to_locate_protocol[20];
    EfiStatus (*locate_protocol)(const Guid *, void *, void **);
} BootServices;

typedef struct {
    uint8_t header[24];
    void *vendor;
    uint64_t revision;
    void *consoles[6];
    RuntimeServices *runtime;
    BootServices *boot;
} SystemTable;

typedef struct {
    uint64_t revision;
    void *to_options[5];
    uint32_t options_bytes;
    const uint8_t *options;
} LoadedImage;

typedef struct SerialIo SerialIo;
struct SerialIo {
    uint64_t revision;
    void *to_write[4];
    EfiStatus (*write)(SerialIo *, uint64_t *, const void *);
};

typedef struct {
    uint64_t revision;
    EfiStatus (*disable)(void);
    EfiStatus (*is_enabled)(uint8_t *);
    EfiStatus (*add)(const void *entry);
    EfiStatus (*dump)(void *, uint32_t *);
    EfiStatus (*lock)(void);
} VariablePolicy;
