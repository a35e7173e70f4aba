/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A bare-metal guest, started with -kernel, that finds the uefi-vars device as firmware does and
 * obeys commands from its serial line (main.c). Freestanding: no library, no interrupts, no MMU.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* x86.c, arm.c: the machine */
void machine_putc(char c);
int machine_getc(void);             /* -1: nothing typed */
uint64_t machine_find_device(void); /* 0: none */
_Noreturn void machine_reset(void);
_Noreturn void machine_off(void);

/* fdt.c: where the node that is compatible with `wanted` lies, or 0 */
uint64_t fdt_find(const void *tree, const char *wanted);

/* device.c */
#define BUFFER_BYTES 65536u
extern uint8_t buffer[BUFFER_BYTES]; /* the communicate buffer */
bool device_open(uint64_t address);
void device_use_pio(bool pio);
/* Sends the first `bytes` of the buffer and puts the answer there; the device status. */
uint32_t device_call(uint32_t bytes);

/* messages.c: a device error shows as (1 << 62) | device status */
#define DEVICE_FAILED (1ull << 62)
#define NV_BS_RT 7u
#define APPEND 0x40u
#define NAME_UNITS_MAX 128u
typedef struct {
    uint8_t guid[16];
    uint16_t name[NAME_UNITS_MAX];
} Variable;
extern const uint8_t test_guid[16];
uint64_t variable_set(const char *name, uint32_t attributes, const void *data, uint32_t bytes);
/* `data` points into the buffer. */
uint64_t variable_get(const uint8_t *guid, const char *name, uint32_t *attributes,
                      const uint8_t **data, uint32_t *bytes);
uint64_t variable_next(Variable *at);
uint64_t variable_query(uint32_t attributes);
uint64_t event_send(const char *which);

/* print.c */
void print(const char *text);
void print_hex(uint64_t value);
void print_number(uint32_t value);
bool parse_hex(const char *text, uint64_t *value);
bool equal(const char *a, const char *b);
