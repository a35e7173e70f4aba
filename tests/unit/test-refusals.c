/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The list of what was refused and not made good. */

#include "refusals.h"

#include <errno.h>

static void add(FsRefusals *refusals, const char *path, int error, bool passing)
{
    const FsRefusal refusal = {
        .at_us = INT64_C(1767323045) * G_USEC_PER_SEC,
        .error = error,
        .operation = "write",
        .path = path,
        .text = "why",
        .passing = passing,
    };

    fs_refusals_add(refusals, &refusal);
}

static void assert_last(const FsRefusals *refusals, const char *path, const char *expected)
{
    const FsRefusal *refusal = fs_refusals_last(refusals, path);

    g_assert_cmpstr(refusal ? refusal->path : NULL, ==, expected);
}

static void test_last(void)
{
    g_autoptr(FsRefusals) refusals = fs_refusals_new();

    assert_last(NULL, "", NULL);
    g_assert_true(fs_refusals_is_empty(NULL) && fs_refusals_is_empty(refusals));
    add(refusals, "vars/A", EINVAL, false);
    add(refusals, "vars/B", EACCES, false);
    add(refusals, "boot/0001/path", EINVAL, false);
    assert_last(refusals, "", "boot/0001/path");
    assert_last(refusals, "vars", "vars/B");
    assert_last(refusals, "vars/A", "vars/A");
    assert_last(refusals, "boot/0001", "boot/0001/path");
    assert_last(refusals, "boot/00", NULL);
    add(refusals, "vars/A", EROFS, false);
    assert_last(refusals, "vars", "vars/A");
    g_assert_cmpint(fs_refusals_last(refusals, "vars")->error, ==, EROFS);
}

static void test_succeeded(void)
{
    g_autoptr(FsRefusals) refusals = fs_refusals_new();

    add(refusals, "vars/A", EINVAL, false);
    add(refusals, "vars/.A.x1y2z3", EFBIG, true);
    add(refusals, "config.json.new", EFBIG, true);
    fs_refusals_succeeded(refusals, "vars/B");
    assert_last(refusals, "vars", "vars/A");
    assert_last(refusals, "", "config.json.new");
    fs_refusals_succeeded(refusals, "config.json");
    fs_refusals_succeeded(refusals, "vars/A");
    g_assert_true(fs_refusals_is_empty(refusals));
}

static void test_bounded(void)
{
    g_autoptr(FsRefusals) refusals = fs_refusals_new();

    for (int i = 0; i < 1000; i++) {
        g_autofree char *path = g_strdup_printf("vars/%d", i);
        add(refusals, path, EINVAL, false);
    }
    assert_last(refusals, "vars/999", "vars/999");
    assert_last(refusals, "vars/984", "vars/984");
    assert_last(refusals, "vars/983", NULL);
}

static void test_line(void)
{
    g_autoptr(FsRefusals) refusals = fs_refusals_new();

    add(refusals, "vars/\xff", EACCES, false);
    g_autofree char *line = fs_refusal_line(fs_refusals_last(refusals, "vars/\xff"));
    g_assert_cmpstr(line, ==, "2026-01-02T03:04:05Z write vars/\xef\xbf\xbd: EACCES: why");
    add(refusals, "", EBUSY, false);
    g_autofree char *whole = fs_refusal_line(fs_refusals_last(refusals, ""));
    g_assert_cmpstr(whole, ==, "2026-01-02T03:04:05Z write .: EBUSY: why");
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/refusals/last", test_last);
    g_test_add_func("/refusals/succeeded", test_succeeded);
    g_test_add_func("/refusals/bounded", test_bounded);
    g_test_add_func("/refusals/line", test_line);
    return g_test_run();
}
