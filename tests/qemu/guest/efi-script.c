/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A UEFI application that does what its load options say, before ExitBootServices and with the real
 * firmware's variable driver: lines of ASCII, each a command whose status (and value) is written to
 * the serial port as «script NUMBER STATUS VALUE».
 *
 *   set NAME GUID ATTRIBUTES DATA    hexadecimal; «-» for no data
 *   get NAME GUID                    attributes and data
 *   list                             each variable: «variable NAME GUID ATTRIBUTES SIZE»
 *   query ATTRIBUTES                 storage, remaining and largest
 *   policy-add ENTRY                 a VARIABLE_POLICY_ENTRY
 *   policy-lock, policy-disable, policy-enabled
 *   policy-dump                      the size of all entries, and the entries
 *   reset cold|warm|off
 *
 * After a reset it goes on behind the line that asked for it: the variable «Stage» counts them.
 */
#include <stdbool.h>
#include <stddef.h>

#include "efi-script.h"

#define DATA_BYTES_MAX 32768u
#define NAME_UNITS_MAX 512u
#define INVALID_PARAMETER (1ull << 63 | 2)

static const Guid loaded_image_guid = {
    0x5b1b31a1, 0x9562, 0x11d2, {0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const Guid serial_guid = {
    0xbb25cf6f, 0xf1d4, 0x11d2, {0x9a, 0x0c, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0xfd}};
static const Guid policy_guid = {
    0x81d1675c, 0x86f6, 0x48df, {0xbd, 0x95, 0x9a, 0x6e, 0x4f, 0x09, 0x25, 0xc3}};
static const Guid stage_guid = {
    0x4f3a2b1c, 0x5d6e, 0x4f70, {0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8}};
static const Char16 stage_name[] = {'S', 't', 'a', 'g', 'e', 0};

static RuntimeServices *runtime;
static SerialIo *serial;
static VariablePolicy *policy;
static uint8_t data[DATA_BYTES_MAX];
static Char16 name[NAME_UNITS_MAX];

void *memcpy(void *to, const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((volatile uint8_t *)to)[i] = (uint8_t)value;
    return to;
}

/* Output */

static void print(const char *text)
{
    uint64_t bytes = 0;
    while (text[bytes])
        bytes++;
    serial->write(serial, &bytes, text);
}

static void print_hex(uint64_t value, int digits)
{
    char text[17] = {0};
    for (int i = 0; i < digits; i++)
        text[i] = "0123456789abcdef"[value >> 4 * (digits - 1 - i) & 15];
    print(text);
}

static void print_field(uint64_t value)
{
    print(" ");
    print_hex(value, 8);
}

static void print_data(uint64_t bytes)
{
    print(" ");
    for (uint64_t i = 0; i < bytes; i++)
        print_hex(data[i], 2);
}

/* The script's words */

typedef struct {
    const uint8_t *at, *end;
} Line;

/* The next word, its end moved past; false at the line's end. */
static bool take_word(Line *line, Line *word)
{
    while (line->at < line->end && *line->at == ' ')
        line->at++;
    word->at = line->at;
    while (line->at < line->end && *line->at != ' ')
        line->at++;
    word->end = line->at;
    return word->at < word->end;
}

static bool is(const Line *word, const char *text)
{
    const uint8_t *at = word->at;
    while (at < word->end && *text && *at == (uint8_t)*text) {
        at++;
        text++;
    }
    return at == word->end && !*text;
}

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_number(Line *line, uint64_t *ret_value)
{
    Line word;
    if (!take_word(line, &word))
        return false;
    *ret_value = 0;
    for (; word.at < word.end; word.at++) {
        if (digit(*word.at) < 0)
            return false;
        *ret_value = *ret_value << 4 | (uint64_t)digit(*word.at);
    }
    return true;
}

static bool take_data(Line *line, uint64_t *ret_bytes)
{
    Line word;
    *ret_bytes = 0;
    if (!take_word(line, &word))
        return false;
    if (is(&word, "-"))
        return true;
    for (; word.at + 1 < word.end && *ret_bytes < DATA_BYTES_MAX; word.at += 2)
        data[(*ret_bytes)++] = (uint8_t)(digit(word.at[0]) << 4 | digit(word.at[1]));
    return word.at == word.end;
}

/* NAME and GUID, this one as 32 digits in the order of its bytes. */
static bool take_variable(Line *line, Guid *ret_guid)
{
    Line word;
    if (!take_word(line, &word) || word.end - word.at >= (ptrdiff_t)NAME_UNITS_MAX)
        return false;
    size_t units = 0;
    for (; word.at < word.end; word.at++)
        name[units++] = *word.at;
    name[units] = 0;
    uint64_t bytes;
    if (!take_data(line, &bytes) || bytes != sizeof(Guid))
        return false;
    memcpy(ret_guid, data, sizeof(Guid));
    return true;
}

/* Commands: each prints its status and what it got */

static void print_status(EfiStatus status)
{
    print(" ");
    print_hex(status, 16);
}

static void do_set(Line *line)
{
    Guid guid;
    uint64_t attributes, bytes;
    if (!take_variable(line, &guid) || !take_number(line, &attributes) || !take_data(line, &bytes))
        print(" malformed");
    else
        print_status(runtime->set_variable(name, &guid, (uint32_t)attributes, bytes, data));
}

static void do_get(Line *line)
{
    Guid guid;
    if (!take_variable(line, &guid)) {
        print(" malformed");
        return;
    }
    uint32_t attributes = 0;
    uint64_t bytes = sizeof(data);
    EfiStatus status = runtime->get_variable(name, &guid, &attributes, &bytes, data);
    print_status(status);
    if (status)
        return;
    print_field(attributes);
    print_data(bytes);
}

static void print_variable(const Guid *guid)
{
    print("\r\nvariable ");
    for (size_t i = 0; name[i]; i++) {
        char text[2] = {name[i] < 0x7f ? (char)name[i] : '?', 0};
        print(text);
    }
    memcpy(data, guid, sizeof(*guid));
    print_data(sizeof(*guid));
    uint32_t attributes = 0;
    uint64_t bytes = sizeof(data);
    runtime->get_variable(name, guid, &attributes, &bytes, data);
    print_field(attributes);
    print_field(bytes);
}

static void do_list(Line *line)
{
    (void)line;
    static Guid guid;
    name[0] = 0;
    for (;;) {
        uint64_t bytes = sizeof(name);
        EfiStatus status = runtime->get_next_variable_name(&bytes, name, &guid);
        if (status) {
            print("\r\nlisted");
            print_status(status);
            return;
        }
        print_variable(&guid);
    }
}

static void do_query(Line *line)
{
    uint64_t attributes, storage = 0, remaining = 0, largest = 0;
    if (!take_number(line, &attributes)) {
        print(" malformed");
        return;
    }
    EfiStatus status =
        runtime->query_variable_info((uint32_t)attributes, &storage, &remaining, &largest);
    print_status(status);
    print_field(storage);
    print_field(remaining);
    print_field(largest);
}

static void do_policy_add(Line *line)
{
    uint64_t bytes;
    if (!take_data(line, &bytes))
        print(" malformed");
    else
        print_status(policy ? policy->add(data) : INVALID_PARAMETER);
}

static void do_policy_lock(Line *line)
{
    (void)line;
    print_status(policy ? policy->lock() : INVALID_PARAMETER);
}

static void do_policy_disable(Line *line)
{
    (void)line;
    print_status(policy ? policy->disable() : INVALID_PARAMETER);
}

static void do_policy_enabled(Line *line)
{
    (void)line;
    uint8_t enabled = 0xff;
    print_status(policy ? policy->is_enabled(&enabled) : INVALID_PARAMETER);
    print_field(enabled);
}

static void do_policy_dump(Line *line)
{
    (void)line;
    uint32_t bytes = sizeof(data);
    EfiStatus status = policy ? policy->dump(data, &bytes) : INVALID_PARAMETER;
    print_status(status);
    print_field(bytes);
    if (!status)
        print_data(bytes);
}

static void do_reset(Line *line)
{
    Line word;
    uint8_t stage = 0;
    uint32_t attributes;
    uint64_t bytes = 1;
    runtime->get_variable(stage_name, &stage_guid, &attributes, &bytes, &stage);
    stage++;
    print_status(runtime->set_variable(stage_name, &stage_guid, 7, 1, &stage));
    print("\r\n");
    take_word(line, &word);
    runtime->reset_system(is(&word, "cold") ? 0 : is(&word, "warm") ? 1 : 2, 0, 0, NULL);
}

static const struct {
    const char *word;
    void (*run)(Line *);
} commands[] = {
    {"set", do_set},
    {"get", do_get},
    {"list", do_list},
    {"query", do_query},
    {"policy-add", do_policy_add},
    {"policy-lock", do_policy_lock},
    {"policy-disable", do_policy_disable},
    {"policy-enabled", do_policy_enabled},
    {"policy-dump", do_policy_dump},
    {"reset", do_reset},
};

static void run_line(Line line, uint64_t number)
{
    Line word;
    if (!take_word(&line, &word))
        return;
    print("\r\nscript ");
    print_hex(number, 4);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        if (is(&word, commands[i].word)) {
            commands[i].run(&line);
            print("\r\n");
            return;
        }
    print(" unknown\r\n");
}

static void run_script(Line script)
{
    uint8_t skip = 0;
    uint32_t attributes;
    uint64_t bytes = 1;
    runtime->get_variable(stage_name, &stage_guid, &attributes, &bytes, &skip);
    for (uint64_t number = 1; script.at < script.end; number++) {
        Line line = {script.at, script.at}, rest, word;
        while (line.end < script.end && *line.end != '\n')
            line.end++;
        script.at = line.end + 1;
        rest = line;
        if (!skip)
            run_line(line, number);
        else if (take_word(&rest, &word) && is(&word, "reset"))
            skip--;
    }
}

EfiStatus efi_main(void *image, SystemTable *system)
{
    LoadedImage *loaded;
    runtime = system->runtime;
    EfiStatus status = system->boot->handle_protocol(image, &loaded_image_guid, (void **)&loaded);
    if (!status)
        status = system->boot->locate_protocol(&serial_guid, NULL, (void **)&serial);
    if (status)
        return status;
    system->boot->locate_protocol(&policy_guid, NULL, (void **)&policy);
    run_script((Line){loaded->options, loaded->options + loaded->options_bytes});
    return 0;
}
