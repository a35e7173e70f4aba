/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * fake-systemd SCOPE ANSWER...: stands for systemd on the bus of DBUS_SYSTEM_BUS_ADDRESS, as far as
 * StartTransientUnit goes. Says "ready", and a line for each call: the unit's name, its mode and
 * its processes. Each call has the next ANSWER, and the last one has all that follow:
 *
 *   moves    its processes are moved to the control group SCOPE, and it is answered
 *   later    it is answered, and they are moved after a while
 *   never    it is answered
 *   refuses  an error
 */

#include <gio/gio.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LATER_MS 40

static const char interface[] =
    "<node><interface name='org.freedesktop.systemd1.Manager'>"
    "<method name='StartTransientUnit'><arg direction='in' type='s'/>"
    "<arg direction='in' type='s'/><arg direction='in' type='a(sv)'/>"
    "<arg direction='in' type='a(sa(sv))'/><arg direction='out' type='o'/></method>"
    "</interface></node>";

static const char *scope;
static char **answers;

/* Of all of them, one at a time, as the kernel wants it. */
static gboolean move(void *data)
{
    g_autoptr(GVariant) pids = data;
    g_autofree char *path = g_build_filename(scope, "cgroup.procs", NULL);

    for (gsize i = 0; i < g_variant_n_children(pids); i++) {
        guint32 pid;
        FILE *file = fopen(path, "w");
        g_variant_get_child(pids, i, "u", &pid);
        if (!file || fprintf(file, "%u", pid) < 0 || fclose(file) != 0)
            printf("can't move %u\n", pid);
    }
    return G_SOURCE_REMOVE;
}

static void say(const char *unit, const char *mode, GVariant *pids)
{
    printf("%s %s", unit, mode);
    for (gsize i = 0; i < g_variant_n_children(pids); i++) {
        guint32 pid;
        g_variant_get_child(pids, i, "u", &pid);
        printf(" %u", pid);
    }
    printf("\n");
    fflush(stdout);
}

static void on_call(GDBusConnection *bus, const char *sender, const char *path, const char *name,
                    const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
                    void *data)
{
    const char *unit, *mode, *answer = *answers;
    g_autoptr(GVariant) properties = NULL, pids = NULL;
    GVariantDict dict;

    g_variant_get(parameters, "(&s&s@a(sv)@a(sa(sv)))", &unit, &mode, &properties, NULL);
    g_variant_dict_init(&dict, NULL);
    for (gsize i = 0; i < g_variant_n_children(properties); i++) {
        const char *key;
        g_autoptr(GVariant) value = NULL;
        g_variant_get_child(properties, i, "(&sv)", &key, &value);
        g_variant_dict_insert_value(&dict, key, value);
    }
    pids = g_variant_dict_lookup_value(&dict, "PIDs", G_VARIANT_TYPE("au"));
    g_variant_dict_clear(&dict);
    if (answers[1])
        answers++;
    if (!pids || strcmp(answer, "refuses") == 0) {
        say(unit, mode, pids ? pids : g_variant_new("au", NULL));
        g_dbus_method_invocation_return_dbus_error(
            invocation, "org.freedesktop.DBus.Error.UnixProcessIdUnknown", "refused");
        return;
    }
    if (strcmp(answer, "moves") == 0)
        move(g_variant_ref(pids));
    else if (strcmp(answer, "later") == 0)
        g_timeout_add(LATER_MS, move, g_variant_ref(pids));
    say(unit, mode, pids);
    g_dbus_method_invocation_return_value(invocation,
                                          g_variant_new("(o)", "/org/freedesktop/systemd1/job/1"));
}

static void on_name(GDBusConnection *bus, const char *name, void *data)
{
    printf("ready\n");
    fflush(stdout);
}

static void on_bus(GDBusConnection *bus, const char *name, void *data)
{
    static const GDBusInterfaceVTable calls = {.method_call = on_call};

    g_dbus_connection_register_object(bus, "/org/freedesktop/systemd1",
                                      ((GDBusNodeInfo *)data)->interfaces[0], &calls, NULL, NULL,
                                      NULL);
}

int main(int argc, char **argv)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(interface, NULL);

    if (argc < 3)
        return 2;
    scope = argv[1];
    answers = argv + 2;
    g_bus_own_name(G_BUS_TYPE_SYSTEM, "org.freedesktop.systemd1", G_BUS_NAME_OWNER_FLAGS_NONE,
                   on_bus, on_name, NULL, node, NULL);
    g_main_loop_run(loop);
    return 0;
}
