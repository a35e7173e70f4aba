/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Streams to several readers: who keeps up gets all, who does not is told how much it lost. */

#include "trace-stream.h"

#include <string.h>

static void add(FsTraceStream *stream, uint64_t lost, uint32_t count, size_t size, char fill)
{
    g_autofree char *bytes = g_strnfill(size, fill);
    g_autoptr(GBytes) block = g_bytes_new(bytes, size);

    fs_trace_stream_add(stream, lost, count, block);
}

/* "text", "!3" for three lost ones, "" for nothing. */
static char *take(FsTraceCursor *cursor, const FsTraceStream *stream, size_t size)
{
    uint64_t lost = 0;
    g_autoptr(GBytes) part = fs_trace_cursor_take(cursor, stream, size, &lost);
    gsize got;
    const char *bytes = part ? g_bytes_get_data(part, &got) : "";

    g_assert_true(!part || lost == 0);
    return lost > 0 ? g_strdup_printf("!%" G_GUINT64_FORMAT, (guint64)lost)
                    : g_strndup(bytes, part ? got : 0);
}

static void expect(FsTraceCursor *cursor, const FsTraceStream *stream, size_t size,
                   const char *expected)
{
    g_autofree char *got = take(cursor, stream, size);

    g_assert_cmpstr(got, ==, expected);
}

static void test_keeping_up(void)
{
    FsTraceStream stream = {0};
    FsTraceCursor first, second;

    add(&stream, 0, 1, 5, 'o'); /* before anybody reads */
    fs_trace_cursor_init(&first, &stream);
    fs_trace_cursor_init(&second, &stream);
    g_assert_false(fs_trace_cursor_has(&first, &stream));
    expect(&first, &stream, 10, "");
    add(&stream, 0, 2, 4, 'a');
    add(&stream, 0, 1, 2, 'b');
    g_assert_cmpuint(fs_trace_cursor_backlog(&first, &stream), ==, 6);
    expect(&first, &stream, 3, "aaa");
    g_assert_cmpuint(fs_trace_cursor_backlog(&first, &stream), ==, 3);
    g_assert_true(fs_trace_cursor_has(&first, &stream));
    expect(&first, &stream, 3, "a");
    expect(&second, &stream, 10, "aaaa");
    expect(&first, &stream, 10, "bb");
    expect(&first, &stream, 10, "");
    g_assert_false(fs_trace_cursor_has(&first, &stream));
    g_assert_cmpuint(fs_trace_cursor_backlog(&first, &stream), ==, 0);
    fs_trace_stream_trim(&stream, MIN(first.bytes, second.bytes));
    g_assert_cmpuint(stream.blocks.length, ==, 1);
    expect(&second, &stream, 10, "bb");
    fs_trace_cursor_clear(&first);
    fs_trace_cursor_clear(&second);
    fs_trace_stream_clear(&stream);
}

static void test_lost_before(void)
{
    FsTraceStream stream = {0};
    FsTraceCursor cursor;

    fs_trace_cursor_init(&cursor, &stream);
    add(&stream, 3, 1, 2, 'a');
    expect(&cursor, &stream, 10, "!3");
    expect(&cursor, &stream, 10, "aa");
    fs_trace_stream_add(&stream, 4, 0, NULL);
    g_assert_true(fs_trace_cursor_has(&cursor, &stream));
    g_assert_cmpuint(fs_trace_cursor_backlog(&cursor, &stream), ==, 0);
    fs_trace_stream_add(&stream, 5, 0, NULL);
    expect(&cursor, &stream, 10, "!9");
    expect(&cursor, &stream, 10, "");
    fs_trace_stream_clear(&stream);
}

/* The block that it has begun stays whole; then it goes on with the oldest that is kept. */
static void test_falling_behind(void)
{
    FsTraceStream stream = {0};
    FsTraceCursor slow, still;
    unsigned pieces = 0, lost = 0;

    fs_trace_cursor_init(&slow, &stream);
    fs_trace_cursor_init(&still, &stream);
    add(&stream, 0, 7, 10, 'a');
    expect(&slow, &stream, 1, "a");
    for (int i = 0; i < 10000; i++) {
        add(&stream, 0, 2, 1000, 'b');
        g_assert_cmpuint(stream.kept_bytes, <=, 1024 * 1024);
        g_assert_cmpuint(stream.blocks.length, <=, 1024);
    }
    expect(&slow, &stream, 100, "aaaaaaaaa");
    for (;;) {
        g_autofree char *got = take(&slow, &stream, 4096);
        if (!*got)
            break;
        if (*got == '!')
            lost += (unsigned)g_ascii_strtoull(got + 1, NULL, 10);
        else
            pieces += 2;
    }
    g_assert_cmpuint(pieces + lost, ==, 20000);
    g_assert_cmpuint(pieces, >, 1500);
    g_autofree char *first = take(&still, &stream, 1);
    g_autofree char *expected = g_strdup_printf("!%u", lost + 7);
    g_assert_cmpstr(first, ==, expected);
    fs_trace_stream_trim(&stream, UINT64_MAX);
    g_assert_cmpuint(stream.kept_bytes, ==, 0);
    fs_trace_cursor_clear(&slow);
    fs_trace_cursor_clear(&still);
    fs_trace_stream_clear(&stream);
}

/* One that is larger than the limit is kept by itself. */
static void test_large(void)
{
    FsTraceStream stream = {0};
    FsTraceCursor cursor;

    fs_trace_cursor_init(&cursor, &stream);
    add(&stream, 0, 1, 10, 'a');
    add(&stream, 0, 1, 2 * 1024 * 1024, 'b');
    expect(&cursor, &stream, 1, "!1");
    expect(&cursor, &stream, 1, "b");
    g_assert_cmpuint(stream.blocks.length, ==, 1);
    fs_trace_cursor_clear(&cursor);
    fs_trace_stream_clear(&stream);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/trace-stream/keeping-up", test_keeping_up);
    g_test_add_func("/trace-stream/lost-before", test_lost_before);
    g_test_add_func("/trace-stream/falling-behind", test_falling_behind);
    g_test_add_func("/trace-stream/large", test_large);
    return g_test_run();
}
