/* SPDX-License-Identifier: GPL-2.0-or-later */
/* aarch64 virt: PL011, PSCI by hypervisor call, the device from the device tree. */
#include "guest.h"

#define PL011 0x09000000ul
#define PSCI_SYSTEM_OFF 0x84000008ul
#define PSCI_SYSTEM_RESET 0x84000009ul

const void *device_tree __attribute__((section(".data")));

static volatile uint32_t *uart(unsigned offset)
{
    return (volatile uint32_t *)(PL011 + offset);
}

void machine_putc(char c)
{
    while (*uart(0x18) & 0x20)
        ;
    *uart(0) = c;
}

int machine_getc(void)
{
    return *uart(0x18) & 0x10 ? -1 : (int)(*uart(0) & 0xff);
}

uint64_t machine_find_device(void)
{
    return device_tree ? fdt_find(device_tree, "qemu,uefi-vars") : 0;
}

static _Noreturn void call_psci(uint64_t function)
{
    register uint64_t x0 __asm__("x0") = function;

    __asm__ volatile("hvc #0" : "+r"(x0)::"memory");
    for (;;)
        __asm__ volatile("wfi");
}

_Noreturn void machine_reset(void)
{
    call_psci(PSCI_SYSTEM_RESET);
}

_Noreturn void machine_off(void)
{
    call_psci(PSCI_SYSTEM_OFF);
}
