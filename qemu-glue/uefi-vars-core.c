/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers, as edk2's driver knows them (hw/uefi/var-service-api.h). A command is complete
 * when its write returns. Guest memory is read once, into `request`, and what was read there is
 * what is checked and sent. Only memory takes part in DMA, so no command reaches a device, this one
 * included; and QEMU lets none of its devices be entered twice.
 */
#include "qemu/osdep.h"

#include "device.h"

#include "qemu/bswap.h"
#include "qemu/crc32c.h"
#include "system/dma.h"

#define MM_HEADER_BYTES 24u /* GUID, u64 length of what follows */
#define MM_LENGTH_OFFSET 16u

static const MemTxAttrs memory_only = {.memory = 1};

/* After a state that failed to load the registers may say anything: what counts is the buffer. */
static uint32_t usable_bytes(const GlueDevice *device)
{
    return device->pio_buffer ? device->buffer_bytes : 0;
}

static hwaddr dma_address(const GlueDevice *device)
{
    return device->address_low | (hwaddr)device->address_high << 32;
}

static bool fetch(GlueDevice *device, bool dma, uint32_t offset, uint32_t bytes)
{
    if (!dma) {
        memcpy(device->request + offset, device->pio_buffer + offset, bytes);
        return true;
    }
    return dma_memory_read(&address_space_memory, dma_address(device) + offset,
                           device->request + offset, bytes, memory_only) == MEMTX_OK;
}

static bool deliver(GlueDevice *device, bool dma, const void *reply, uint32_t bytes)
{
    if (!dma) {
        memcpy(device->pio_buffer, reply, bytes);
        return true;
    }
    return dma_memory_write(&address_space_memory, dma_address(device), reply, bytes,
                            memory_only) == MEMTX_OK;
}

/* What comes back as it was sent (mostly the room for an answer) need not be written again. */
static uint32_t changed_bytes(const GlueDevice *device, const uint8_t *reply, uint32_t bytes,
                              uint32_t sent_bytes)
{
    const uint32_t step = 256;

    if (bytes > sent_bytes)
        return bytes;
    while (bytes >= step && !memcmp(reply + bytes - step, device->request + bytes - step, step))
        bytes -= step;
    return bytes;
}

static uint16_t run_mm(GlueDevice *device, bool dma)
{
    g_autoptr(GBytes) reply = NULL;
    uint64_t length;
    uint32_t status;
    const void *data;
    gsize bytes;

    if (usable_bytes(device) < MM_HEADER_BYTES || !fetch(device, dma, 0, MM_HEADER_BYTES))
        return UEFI_VARS_STS_ERR_BAD_BUFFER_SIZE;
    length = ldq_le_p(device->request + MM_LENGTH_OFFSET);
    if (length > usable_bytes(device) - MM_HEADER_BYTES ||
        !fetch(device, dma, MM_HEADER_BYTES, length))
        return UEFI_VARS_STS_ERR_BAD_BUFFER_SIZE;

    glue_pcap_add(device->pcap, device->request, MM_HEADER_BYTES + length);
    status = glue_forward_mm(device->forward, device->request, MM_HEADER_BYTES + length, &reply);
    if (!reply)
        return status;
    data = g_bytes_get_data(reply, &bytes);
    glue_pcap_add(device->pcap, data, bytes);
    if (bytes > usable_bytes(device) ||
        !deliver(device, dma, data, changed_bytes(device, data, bytes, MM_HEADER_BYTES + length)))
        return UEFI_VARS_STS_ERR_UNKNOWN;
    return status;
}

static void set_buffer_size(GlueDevice *device, uint32_t bytes)
{
    device->buffer_bytes = MIN(bytes, GLUE_BUFFER_MAX);
    g_free(device->pio_buffer);
    device->pio_buffer = g_malloc0(device->buffer_bytes);
}

static void drop_buffer(GlueDevice *device)
{
    set_buffer_size(device, 0);
    device->address_low = 0;
    device->address_high = 0;
}

static uint16_t run_command(GlueDevice *device, uint64_t command)
{
    switch (command) {
    case UEFI_VARS_CMD_RESET:
        drop_buffer(device);
        return UEFI_VARS_STS_SUCCESS;
    case UEFI_VARS_CMD_DMA_MM:
        return run_mm(device, true);
    case UEFI_VARS_CMD_PIO_MM:
        return run_mm(device, false);
    case UEFI_VARS_CMD_PIO_ZERO_OFFSET:
        device->pio_offset = 0;
        return UEFI_VARS_STS_SUCCESS;
    default:
        return UEFI_VARS_STS_ERR_NOT_SUPPORTED;
    }
}

/* The next `size` bytes of the transfer buffer, or NULL at its end: then nothing moves. */
static uint8_t *next_transfer(GlueDevice *device, unsigned size)
{
    uint32_t usable = usable_bytes(device);
    uint8_t *at;

    if (device->pio_offset > usable || size > usable - device->pio_offset)
        return NULL;
    at = device->pio_buffer + device->pio_offset;
    device->pio_offset += size;
    return at;
}

static uint64_t read_register(GlueDevice *device, hwaddr address, unsigned size)
{
    const uint8_t *from;

    switch (address) {
    case UEFI_VARS_REG_MAGIC:
        return UEFI_VARS_MAGIC_VALUE;
    case UEFI_VARS_REG_CMD_STS:
        return device->status;
    case UEFI_VARS_REG_BUFFER_SIZE:
        return device->buffer_bytes;
    case UEFI_VARS_REG_DMA_BUFFER_ADDR_LO:
        return device->address_low;
    case UEFI_VARS_REG_DMA_BUFFER_ADDR_HI:
        return device->address_high;
    case UEFI_VARS_REG_PIO_BUFFER_TRANSFER:
        from = next_transfer(device, size);
        return from ? ldn_le_p(from, size) : 0;
    case UEFI_VARS_REG_PIO_BUFFER_CRC32C:
        if (device->pio_offset > usable_bytes(device))
            return 0;
        return crc32c(0xffffffff, device->pio_buffer, device->pio_offset);
    case UEFI_VARS_REG_FLAGS:
        return device->use_pio ? UEFI_VARS_FLAG_USE_PIO : 0;
    default:
        return UINT64_MAX;
    }
}

static void write_register(GlueDevice *device, hwaddr address, uint64_t value, unsigned size)
{
    uint8_t *to;

    switch (address) {
    case UEFI_VARS_REG_CMD_STS:
        device->status = run_command(device, value);
        break;
    case UEFI_VARS_REG_BUFFER_SIZE:
        set_buffer_size(device, MIN(value, GLUE_BUFFER_MAX));
        break;
    case UEFI_VARS_REG_DMA_BUFFER_ADDR_LO:
        device->address_low = value;
        break;
    case UEFI_VARS_REG_DMA_BUFFER_ADDR_HI:
        device->address_high = value;
        break;
    case UEFI_VARS_REG_PIO_BUFFER_TRANSFER:
        to = next_transfer(device, size);
        if (to)
            stn_le_p(to, size, value);
        break;
    }
}

/* Eight bytes are one access of the transfer window, and two of anything else. */
static bool is_split(hwaddr address, unsigned size)
{
    return size == 8 && address != UEFI_VARS_REG_PIO_BUFFER_TRANSFER;
}

static uint64_t glue_read(void *opaque, hwaddr address, unsigned size)
{
    GlueDevice *device = opaque;

    if (is_split(address, size))
        return (uint32_t)read_register(device, address, 4) | read_register(device, address + 4, 4)
                                                                 << 32;
    return read_register(device, address, size);
}

static void glue_write(void *opaque, hwaddr address, uint64_t value, unsigned size)
{
    GlueDevice *device = opaque;

    if (is_split(address, size)) {
        write_register(device, address, (uint32_t)value, 4);
        write_register(device, address + 4, value >> 32, 4);
        return;
    }
    write_register(device, address, value, size);
}

static const MemoryRegionOps glue_ops = {
    .read = glue_read,
    .write = glue_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {.min_access_size = 1, .max_access_size = 8},
    .impl = {.min_access_size = 1, .max_access_size = 8},
};

void glue_core_init(GlueDevice *device)
{
    memory_region_init_io(&device->mr, OBJECT(device), &glue_ops, device, "uefi-vars",
                          UEFI_VARS_REGS_SIZE);
}

void glue_core_reset(GlueDevice *device)
{
    drop_buffer(device);
    device->pio_offset = 0;
    device->status = UEFI_VARS_STS_SUCCESS;
    glue_forward_reset(device->forward);
}
