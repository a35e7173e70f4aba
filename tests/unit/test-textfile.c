/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Collected texts: when they have ended, in whatever pieces they come. */

#include "textfile.h"

#include <string.h>

#define TEXT_MAX 4096

static FsTextFileState put(FsTextFile *text, const char *piece, size_t offset)
{
    return fs_textfile_write(text, piece, strlen(piece), offset, false);
}

static void test_one_piece(void)
{
    static const struct {
        const char *text;
        FsTextFileState state;
    } rows[] = {
        {"{}", FS_TEXTFILE_COMPLETE},
        {" \n{\"a\": [1, {\"b\": \"}]\\\"}\"}]}\n\t ", FS_TEXTFILE_COMPLETE},
        {"{\"a\": \"\\\\\"}", FS_TEXTFILE_COMPLETE},
        {"", FS_TEXTFILE_INCOMPLETE},
        {"  ", FS_TEXTFILE_INCOMPLETE},
        {"{\"a\"", FS_TEXTFILE_INCOMPLETE},
        {"{\"}", FS_TEXTFILE_INCOMPLETE},
        {"[]", FS_TEXTFILE_SPOILED},
        {"x", FS_TEXTFILE_SPOILED},
        {"{]", FS_TEXTFILE_SPOILED},
        {"{[}", FS_TEXTFILE_SPOILED},
        {"{}x", FS_TEXTFILE_SPOILED},
        {"{}{}", FS_TEXTFILE_SPOILED},
        {"{\"size\": 0b10", FS_TEXTFILE_SPOILED},
        {"{\"a\": \"\\x", FS_TEXTFILE_SPOILED},
        {"{\"a\": \"\\ud800x", FS_TEXTFILE_SPOILED},
        {"{\"a\": \"\n", FS_TEXTFILE_SPOILED},
        {"{\"a\": 1,}", FS_TEXTFILE_SPOILED},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(FsTextFile) text = fs_textfile_new(&uv_json_store, TEXT_MAX);
        g_test_message("%s", rows[i].text);
        g_assert_cmpint(put(text, rows[i].text, 0), ==, rows[i].state);
    }
}

static void test_every_cut(void)
{
    static const char whole[] = " {\"a\": [\"\\\"}\", {}], \"b\": {\"c\": \"{\"}} \n";
    const char *end = strrchr(whole, '}');

    for (size_t cut = 0; cut < sizeof(whole); cut++) {
        g_autoptr(FsTextFile) text = fs_textfile_new(&uv_json_store, TEXT_MAX);
        g_autofree char *head = g_strndup(whole, cut);
        FsTextFileState first = put(text, head, 0), second = put(text, whole + cut, cut);
        bool in_head = whole + cut > end;

        g_assert_cmpint(first, ==, in_head ? FS_TEXTFILE_COMPLETE : FS_TEXTFILE_INCOMPLETE);
        g_assert_cmpint(second, ==, in_head ? FS_TEXTFILE_AFTER : FS_TEXTFILE_COMPLETE);
        g_assert_false(fs_textfile_is_unfinished(text));
    }
}

static void test_places(void)
{
    g_autoptr(FsTextFile) text = fs_textfile_new(&uv_json_store, TEXT_MAX);
    g_autoptr(GBytes) content = NULL;

    g_assert_cmpint(put(text, "{\"a", 0), ==, FS_TEXTFILE_INCOMPLETE);
    g_assert_true(fs_textfile_is_unfinished(text));
    g_assert_cmpint(put(text, "x", 5), ==, FS_TEXTFILE_GAP);
    g_assert_cmpint(put(text, "b\"", 2), ==, FS_TEXTFILE_INCOMPLETE); /* over what was there */
    g_assert_cmpint(fs_textfile_write(text, ":1}", 3, 0, true), ==, FS_TEXTFILE_COMPLETE);
    content = fs_textfile_content(text);
    g_assert_cmpmem(g_bytes_get_data(content, NULL), g_bytes_get_size(content), "{\"b\":1}", 7);
    g_assert_cmpint(put(text, "{}", 0), ==, FS_TEXTFILE_COMPLETE); /* a new one */
    g_assert_cmpint(put(text, "{\"b\":1}", 0), ==, FS_TEXTFILE_COMPLETE);
    g_assert_cmpint(put(text, "2", 5), ==, FS_TEXTFILE_COMPLETE); /* says something else now */
    g_assert_cmpint(put(text, "\n", 7), ==, FS_TEXTFILE_AFTER);
    g_assert_cmpint(put(text, "junk", 7), ==, FS_TEXTFILE_SPOILED);
    g_assert_cmpint(put(text, "{}", 0), ==, FS_TEXTFILE_COMPLETE);
}

static void test_truncate(void)
{
    g_autoptr(FsTextFile) text = fs_textfile_new(&uv_json_store, TEXT_MAX);

    put(text, "{\"a\": ", 0);
    fs_textfile_truncate(text, 1);
    g_assert_cmpint(put(text, "}", 1), ==, FS_TEXTFILE_COMPLETE);
    fs_textfile_truncate(text, 0);
    g_assert_false(fs_textfile_is_unfinished(text));
    g_assert_cmpint(put(text, "{}", 0), ==, FS_TEXTFILE_COMPLETE);
}

static void test_limits(void)
{
    g_autoptr(FsTextFile) text = fs_textfile_new(&uv_json_store, 4);
    g_autoptr(FsTextFile) deep = fs_textfile_new(&uv_json_store, TEXT_MAX);
    g_autofree char *brackets = g_strnfill(100, '[');

    g_assert_cmpint(put(text, "{   }", 0), ==, FS_TEXTFILE_TOO_LARGE);
    g_assert_cmpint(put(text, "{  }", 0), ==, FS_TEXTFILE_COMPLETE);
    put(deep, "{\"a\":", 0);
    g_assert_cmpint(put(deep, brackets, 5), ==, FS_TEXTFILE_SPOILED);
}

static void test_reason(void)
{
    g_autoptr(FsTextFile) text = fs_textfile_new(&uv_json_config, TEXT_MAX);
    g_autofree char *reason = NULL;

    put(text, "{\n \"size\": ", 0);
    g_assert_cmpint(put(text, "0x10}", 11), ==, FS_TEXTFILE_SPOILED);
    reason = fs_textfile_reason(text, "config.json");
    g_assert_cmpstr(reason, ==, "config.json:2:11: size: expected ',' or '}'");
}

/* Whoever writes the first byte of a long text again and again makes it be read again. */
static void test_too_often(void)
{
    g_autoptr(FsTextFile) text = fs_textfile_new(&uv_json_config, TEXT_MAX);
    g_autofree char *blanks = g_strnfill(TEXT_MAX - 1, ' ');
    FsTextFileState state;
    unsigned n = 0;

    g_assert_cmpint(put(text, blanks, 0), ==, FS_TEXTFILE_INCOMPLETE);
    while ((state = put(text, " ", 1)) == FS_TEXTFILE_INCOMPLETE)
        n++;
    g_assert_cmpint(state, ==, FS_TEXTFILE_TOO_OFTEN);
    g_assert_cmpuint(n, ==, 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/textfile/one-piece", test_one_piece);
    g_test_add_func("/textfile/every-cut", test_every_cut);
    g_test_add_func("/textfile/places", test_places);
    g_test_add_func("/textfile/truncate", test_truncate);
    g_test_add_func("/textfile/limits", test_limits);
    g_test_add_func("/textfile/reason", test_reason);
    g_test_add_func("/textfile/too-often", test_too_often);
    return g_test_run();
}
