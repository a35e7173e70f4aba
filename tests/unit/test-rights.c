/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "rights.h"

#include <glib.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <unistd.h>

#define USER 1234u

static uid_t now(void)
{
    return (uid_t)setfsuid((uid_t)-1);
}

static void test_scopes(void)
{
    if (geteuid() != 0) {
        g_test_skip("takes a root");
        return;
    }
    {
        uv_rights_scope user = uv_rights_take(USER, USER);
        g_assert_cmpuint(now(), ==, USER);
        {
            uv_rights_scope own = uv_rights_take_own();
            g_assert_cmpuint(now(), ==, 0);
            uv_rights_scope none = uv_rights_take_of(-1);
            g_assert_cmpuint(now(), ==, 65534);
        }
        g_assert_cmpuint(now(), ==, USER);
    }
    g_assert_cmpuint(now(), ==, 0);
}

/* What a root knew of itself is not held against who it became. */
static void test_no_root_any_more(void)
{
    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    {
        uv_rights_scope before = uv_rights_take(USER, USER);
    }
    if (geteuid() == 0)
        g_assert_cmpint(setresgid(USER, USER, USER) | setresuid(USER, USER, USER), ==, 0);
    const uid_t self = now();
    {
        uv_rights_scope user = uv_rights_take(USER, USER);
        uv_rights_scope other = uv_rights_take(USER + 1, USER + 1);
        uv_rights_scope root = uv_rights_take(0, 0);
        g_assert_cmpuint(now(), ==, self);
    }
    g_assert_cmpuint(now(), ==, self);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rights/scopes", test_scopes);
    g_test_add_func("/rights/no-root-any-more", test_no_root_any_more);
    return g_test_run();
}
