/* SPDX-License-Identifier: GPL-2.0-or-later */
/* q35 or pc: COM1, fw_cfg's etc/hardware-info by port I/O. */
#include "guest.h"

#define COM1 0x3f8
#define FW_CFG_SELECT 0x510
#define FW_CFG_DATA 0x511
#define FW_CFG_DIRECTORY 0x19
#define HARDWARE_INFO_UEFI_VARS 2

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static void out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void machine_putc(char c)
{
    while (!(in8(COM1 + 5) & 0x20))
        ;
    out8(COM1, c);
}

int machine_getc(void)
{
    return in8(COM1 + 5) & 1 ? in8(COM1) : -1;
}

static uint64_t read_config(unsigned bytes, bool big_endian)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        uint64_t byte = in8(FW_CFG_DATA);

        value = big_endian ? value << 8 | byte : value | byte << (8 * i);
    }
    return value;
}

static bool select_file(const char *wanted)
{
    uint32_t count;

    out16(FW_CFG_SELECT, FW_CFG_DIRECTORY);
    count = read_config(4, true);
    while (count--) {
        char name[56];
        uint16_t key;

        read_config(4, true);
        key = read_config(2, true);
        read_config(2, true);
        for (unsigned i = 0; i < sizeof(name); i++)
            name[i] = in8(FW_CFG_DATA);
        if (equal(name, wanted)) {
            out16(FW_CFG_SELECT, key);
            return true;
        }
    }
    return false;
}

/* edk2 takes exactly one entry. */
uint64_t machine_find_device(void)
{
    if (!select_file("etc/hardware-info") || read_config(8, false) != HARDWARE_INFO_UEFI_VARS ||
        read_config(8, false) != 8)
        return 0;
    return read_config(8, false);
}

_Noreturn void machine_reset(void)
{
    out8(0xcf9, 2);
    out8(0xcf9, 6);
    for (;;)
        __asm__ volatile("hlt");
}

_Noreturn void machine_off(void)
{
    out16(0x604, 0x2000); /* q35's PM1a control: S5 */
    for (;;)
        __asm__ volatile("hlt");
}
