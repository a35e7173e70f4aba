/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One command a line, one answer a line (list and write: several), numbers in hex:
 *   mode dma|pio      set NAME ATTRIBUTES BYTES     get NAME [GUID]     delete NAME     list
 *   event end-of-dxe|ready-to-boot|exit-boot-services
 *   write FIRST COUNT STEP    appends FIRST, FIRST+1, ... (u32) to Log-0, and to Log-1 after STEP
 * of them, and so on: «w N» when acknowledged, «e N STATUS» when not (it is not tried again). Any
 * key ends it. reset     off
 */
#include "guest.h"

#define LINE_MAX 8192u
#define WORDS_MAX 5

void guest_main(void);

static uint8_t data[LINE_MAX / 2];

static uint32_t parse_bytes(const char *text)
{
    uint32_t bytes = 0;
    uint64_t value;

    for (; text[0] && text[1]; text += 2) {
        char pair[3] = {text[0], text[1], 0};

        if (!parse_hex(pair, &value))
            break;
        data[bytes++] = value;
    }
    return bytes;
}

static void answer(const char *command, const char *name, uint64_t status)
{
    print(command);
    print(" ");
    print(name);
    print(" ");
    print_hex(status);
}

/* The test's own, unless there are 16 bytes of another. */
static const uint8_t *parse_guid(const char *text)
{
    return parse_bytes(text) == 16 ? data : test_guid;
}

static void run_get(const char *name, const char *guid)
{
    uint32_t attributes, bytes;
    const uint8_t *found;
    uint64_t status = variable_get(parse_guid(guid), name, &attributes, &found, &bytes);

    answer("get", name, status);
    if (!status) {
        print(" ");
        print_hex(attributes);
        print(" ");
        for (uint32_t i = 0; i < bytes; i++) {
            machine_putc("0123456789abcdef"[found[i] >> 4]);
            machine_putc("0123456789abcdef"[found[i] & 15]);
        }
    }
    print("\n");
}

static void run_list(void)
{
    Variable at = {{0}, {0}};
    uint32_t count = 0;
    uint64_t status;

    while (!(status = variable_next(&at))) {
        print("name ");
        for (uint32_t i = 0; i < NAME_UNITS_MAX && at.name[i]; i++)
            machine_putc(at.name[i] < 0x80 ? at.name[i] : '?');
        print("\n");
        count++;
    }
    print("list ");
    print_number(count);
    print(" ");
    print_hex(status);
    print("\n");
}

static void name_log(char *name, uint32_t number)
{
    static const char prefix[] = "Log-";
    char digits[10];
    unsigned count = 0, at = 0;

    for (; prefix[at]; at++)
        name[at] = prefix[at];
    do
        digits[count++] = '0' + number % 10;
    while (number /= 10);
    while (count)
        name[at++] = digits[--count];
    name[at] = 0;
}

static void run_write(uint32_t first, uint32_t count, uint32_t step)
{
    char name[20];

    for (uint32_t i = first; i < first + count && machine_getc() < 0; i++) {
        uint8_t bytes[4] = {i, i >> 8, i >> 16, i >> 24};
        uint64_t status;

        name_log(name, i / step);
        status = variable_set(name, NV_BS_RT | APPEND, bytes, sizeof(bytes));
        print(status ? "e " : "w ");
        print_number(i);
        if (status) {
            print(" ");
            print_hex(status);
        }
        print("\n");
    }
    print("written\n");
}

static uint64_t bench_once(const char *which, uint32_t number, Variable *at)
{
    uint32_t attributes, bytes;
    const uint8_t *found;

    data[0] = number;
    data[1] = number >> 8;
    data[2] = number >> 16;
    if (equal(which, "set"))
        return variable_set("Bench", NV_BS_RT, data, 100);
    if (equal(which, "volatile"))
        return variable_set("BenchVolatile", NV_BS_RT & ~1u, data, 100);
    if (equal(which, "get"))
        return variable_get(test_guid, "Bench", &attributes, &found, &bytes);
    if (equal(which, "query"))
        return variable_query(NV_BS_RT);
    if (!equal(which, "next"))
        return DEVICE_FAILED;
    if (variable_next(at)) {
        at->name[0] = 0;
        return variable_next(at);
    }
    return 0;
}

static void run_bench(const char *which, uint32_t count)
{
    Variable at = {{0}, {0}};
    uint64_t status = 0;

    for (uint32_t i = 0; i < count && !status; i++)
        status = bench_once(which, i, &at);
    answer("bench", which, status);
    print("\n");
}

static void run(char **word, int words)
{
    uint64_t a = 0, b = 0, c = 0;

    if (equal(word[0], "mode") && words == 2) {
        device_use_pio(equal(word[1], "pio"));
        print("mode\n");
    } else if (equal(word[0], "set") && words >= 3 && parse_hex(word[2], &a)) {
        answer("set", word[1],
               variable_set(word[1], a, data, words > 3 ? parse_bytes(word[3]) : 0));
        print("\n");
    } else if (equal(word[0], "get") && words >= 2) {
        run_get(word[1], words > 2 ? word[2] : "");
    } else if (equal(word[0], "delete") && words == 2) {
        answer("delete", word[1], variable_set(word[1], 0, data, 0));
        print("\n");
    } else if (equal(word[0], "list")) {
        run_list();
    } else if (equal(word[0], "event") && words == 2) {
        answer("event", word[1], event_send(word[1]));
        print("\n");
    } else if (equal(word[0], "write") && words == 4 && parse_hex(word[1], &a) &&
               parse_hex(word[2], &b) && parse_hex(word[3], &c) && c) {
        run_write(a, b, c);
    } else if (equal(word[0], "bench") && words == 3 && parse_hex(word[2], &a)) {
        run_bench(word[1], a);
    } else if (equal(word[0], "reset")) {
        machine_reset();
    } else if (equal(word[0], "off")) {
        machine_off();
    } else {
        print("what?\n");
    }
}

static void run_line(char *line)
{
    char *word[WORDS_MAX];
    int words = 0;

    while (words < WORDS_MAX) {
        while (*line == ' ')
            *line++ = 0;
        if (!*line)
            break;
        word[words++] = line;
        while (*line && *line != ' ')
            line++;
    }
    if (words)
        run(word, words);
}

void guest_main(void)
{
    static char line[LINE_MAX];
    uint64_t address = machine_find_device();
    uint32_t length = 0;

    if (!address || !device_open(address)) {
        print("no device\n");
        machine_off();
    }
    print("ready ");
    print_hex(address);
    print("\n");
    for (;;) {
        int c = machine_getc();

        if (c == '\n') {
            line[length] = 0;
            length = 0;
            run_line(line);
        } else if (c >= 0 && length < LINE_MAX - 1) {
            line[length++] = c;
        }
    }
}
