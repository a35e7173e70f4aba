/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers, used as edk2's VirtMmCommunicationDxe uses them. */
#include "guest.h"

#define MAGIC 0x00
#define COMMAND 0x02
#define BUFFER_SIZE 0x04
#define ADDRESS_LOW 0x08
#define ADDRESS_HIGH 0x0c
#define WINDOW 0x10
#define CRC 0x18

#define COMMAND_RESET 1
#define COMMAND_MM_DMA 2
#define COMMAND_MM_PIO 3
#define COMMAND_PIO_ZERO 4

#define STATUS_BAD_CRC 0xcc /* our own: what was transferred is not what was meant */

__attribute__((aligned(4096))) uint8_t buffer[BUFFER_BYTES];
static uintptr_t base;
static bool use_pio;

static void write16(uint32_t offset, uint16_t value)
{
    *(volatile uint16_t *)(base + offset) = value;
}

static void write32(uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(base + offset) = value;
}

static uint16_t read16(uint32_t offset)
{
    return *(volatile uint16_t *)(base + offset);
}

static uint32_t read32(uint32_t offset)
{
    return *(volatile uint32_t *)(base + offset);
}

static uint32_t command(uint16_t value)
{
    __asm__ volatile("" ::: "memory");
    write16(COMMAND, value);
    __asm__ volatile("" ::: "memory");
    return read16(COMMAND);
}

bool device_open(uint64_t address)
{
    base = address;
    if (read16(MAGIC) != 0xef1 || command(COMMAND_RESET) != 0)
        return false;
    write32(BUFFER_SIZE, BUFFER_BYTES);
    write32(ADDRESS_LOW, (uintptr_t)buffer);
    write32(ADDRESS_HIGH, (uint64_t)(uintptr_t)buffer >> 32);
    return read32(BUFFER_SIZE) == BUFFER_BYTES;
}

void device_use_pio(bool pio)
{
    use_pio = pio;
}

/* CRC-32C of the buffer's first `bytes`. */
static uint32_t checksum(uint32_t bytes)
{
    uint32_t crc = 0xffffffff;

    for (uint32_t i = 0; i < bytes; i++) {
        crc ^= buffer[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static uint32_t call_by_pio(uint32_t bytes)
{
    uint32_t words = (bytes + 3) / 4, status;

    command(COMMAND_PIO_ZERO);
    for (uint32_t i = 0; i < words; i++)
        write32(WINDOW, ((uint32_t *)buffer)[i]);
    if (read32(CRC) != checksum(words * 4))
        return STATUS_BAD_CRC;
    status = command(COMMAND_MM_PIO);
    if (status)
        return status;
    command(COMMAND_PIO_ZERO);
    for (uint32_t i = 0; i < words; i++)
        ((uint32_t *)buffer)[i] = read32(WINDOW);
    return read32(CRC) == checksum(words * 4) ? 0 : STATUS_BAD_CRC;
}

uint32_t device_call(uint32_t bytes)
{
    return use_pio ? call_by_pio(bytes) : command(COMMAND_MM_DMA);
}
