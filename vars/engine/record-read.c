/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "record-read.h"

#include <fcntl.h>
#include <string.h>

#include "fd.h"
#include "file-io.h"
#include "hex.h"
#include "json-gate.h"
#include "json-put.h"
#include "json-reader.h"

/* Of each file, from its end: more has not happened since an engine left its store. */
#define TAIL_BYTES_MAX (4u * 1024 * 1024)
#define DIGEST_DIGITS ((size_t)2 * UV_DIGEST_BYTES)

/* The members of a line that count here. */
typedef enum {
    VARIABLE,
    ATTRIBUTES,
    SIZE,
    DIGEST,
    STATUS,
    NOT_RECORDED,
    MEMBERS,
} Member;

static const struct {
    const char *name;
    UvJsonKind kind;
} members[MEMBERS] = {
    [VARIABLE] = {"variable", UV_JSON_STRING}, [ATTRIBUTES] = {"attributes", UV_JSON_NUMBER},
    [SIZE] = {"size", UV_JSON_NUMBER},         [DIGEST] = {"sha256", UV_JSON_STRING},
    [STATUS] = {"status", UV_JSON_NUMBER},     [NOT_RECORDED] = {"not-recorded", UV_JSON_NUMBER},
};

/* Of that kind; else there is none. */
static void find_members(const char *line, size_t size, UvJsonReader ret_values[MEMBERS])
{
    UvJsonReader at = uv_json_reader(line, size), value;
    char *name;

    while (uv_json_next_member(&at, &name, &value)) {
        for (size_t i = 0; i < MEMBERS; i++)
            if (strcmp(name, members[i].name) == 0 && uv_json_kind(&value) == members[i].kind)
                ret_values[i] = value;
        g_free(name);
    }
}

static bool read_digest(const UvJsonReader *value, UvDigest *ret_digest)
{
    g_autofree char *text = value->text ? uv_json_string(value) : g_strdup("");

    return strlen(text) == DIGEST_DIGITS && strspn(text, "0123456789abcdef") == DIGEST_DIGITS &&
           uv_hex_read(text, UV_DIGEST_BYTES, ret_digest->bytes);
}

static void read_line(UvRecordPart *part, const char *line, size_t size, UvRecordVisit visit,
                      void *data)
{
    UvJsonReader values[MEMBERS] = {0};
    UvRecorded change = {0};
    UvJsonFault fault;

    if (!uv_json_check(&uv_json_record, line, size, &fault))
        return;
    find_members(line, size, values);
    part->gap = part->gap || values[NOT_RECORDED].text;
    if (!values[VARIABLE].text || !values[STATUS].text || uv_json_number(&values[STATUS]) != 0)
        return;
    g_autofree char *variable = uv_json_string(&values[VARIABLE]);
    change.variable = variable;
    change.there = values[SIZE].text && values[ATTRIBUTES].text;
    if (change.there) {
        change.attributes = (uint32_t)uv_json_number(&values[ATTRIBUTES]);
        change.data_bytes = (uint64_t)uv_json_number(&values[SIZE]);
        if (!read_digest(&values[DIGEST], &change.digest))
            return;
    }
    visit(&change, data);
}

/* The beginnings are as long in all lines, and are ordered as their times. */
UvRecordPart uv_record_read_lines(const char *text, size_t size, int64_t since_us,
                                  UvRecordVisit visit, void *data)
{
    g_autoptr(GString) since = g_string_new("{");
    const char *end = text + size, *feed;
    UvRecordPart part = {0};

    uv_json_put_time(since, "time", since_us);
    for (; text < end && (feed = memchr(text, '\n', (size_t)(end - text))); text = feed + 1) {
        const size_t line_bytes = (size_t)(feed - text);

        if (line_bytes <= since->len)
            continue;
        if (memcmp(text, since->str, since->len) < 0)
            part.reaches_back = true;
        else
            read_line(&part, text, line_bytes, visit, data);
    }
    return part;
}

/* Its last part; a line that the part cuts is no line. NULL: no such file. */
static GBytes *read_tail(UvFolder *folder, UvFileRole role)
{
    uv_autofd int fd = uv_folder_open(folder, role, O_RDONLY, NULL);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return NULL;
    const size_t size = (size_t)MIN(st.st_size, (off_t)TAIL_BYTES_MAX);
    g_autofree char *bytes = g_malloc(size);
    const ssize_t got = uv_pread_all(fd, bytes, size, st.st_size - (off_t)size);
    return got < 0 ? NULL : g_bytes_new_take(g_steal_pointer(&bytes), (gsize)got);
}

static UvRecordPart read_part(GBytes *part, int64_t since_us, UvRecordVisit visit, void *data)
{
    gsize size = 0;
    const char *text = part ? g_bytes_get_data(part, &size) : "";
    const char *feed = size == TAIL_BYTES_MAX ? memchr(text, '\n', size) : NULL;

    if (feed) {
        size -= (size_t)(feed - text);
        text = feed;
    }
    return uv_record_read_lines(text, size, since_us, visit, data);
}

bool uv_record_read(UvFolder *folder, int64_t since_us, UvRecordVisit visit, void *data)
{
    g_autoptr(GBytes) older = read_tail(folder, UV_FILE_RECORD_OLD);
    g_autoptr(GBytes) newer = read_tail(folder, UV_FILE_RECORD);
    const UvRecordPart first = read_part(older, since_us, visit, data);
    const UvRecordPart second = read_part(newer, since_us, visit, data);

    if (first.gap || second.gap)
        return false;
    /* Before an older part there may have been another one. */
    return first.reaches_back || second.reaches_back ||
           (!older && (!newer || g_bytes_get_size(newer) < TAIL_BYTES_MAX));
}
