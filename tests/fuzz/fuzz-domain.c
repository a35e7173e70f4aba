/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A domain's XML, as its owner defined it, and its name. What uefivars-libvirt would tell of it is
 * what the monitor believes, is a guest's name, and becomes a folder that is this guest and leads
 * to its store; another domain takes its place, and nothing stays of it.
 *
 * The input is the name up to its first NUL, and the XML.
 */

#include "domain-folders.h"
#include "domain-name.h"
#include "domain-xml.h"
#include "domains.h"
#include "fuzz.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static void check_place(const FsLocal *source, const FsDomain *domain)
{
    g_autofree char *store = fs_domain_store(source, domain->guest);
    g_auto(FsPlace) place = FS_PLACE_NONE;
    CHECK(g_strcmp0(store, *domain->text ? domain->text : NULL) == 0);
    CHECK(fs_place_open(source, domain->guest, &place, NULL) == 0 && place.domain);
    CHECK(place.rule == UV_GUEST_FOLDER);
    CHECK(!*domain->text || place.format == domain->format);
}

static void follow(const FsLocal *source, const FsDomain *domain)
{
    FsDomain other = {.kind = FS_DOMAIN_IS, .format = FS_FORMAT_JSON, .text = "/nowhere/x.json"};
    bool moved;

    CHECK(fs_domain_put(source, domain, &moved) == 0 && !moved);
    check_place(source, domain);
    CHECK(fs_domain_put(source, domain, &moved) == 0 && !moved);
    g_strlcpy(other.guest, domain->guest, sizeof(other.guest));
    CHECK(fs_domain_put(source, &other, &moved) == 0);
    CHECK(moved == (*domain->text &&
                    (strcmp(domain->text, other.text) != 0 || domain->format != other.format)));
    check_place(source, &other);
    fs_domain_sweep(source, NULL, NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *name = g_strndup((const char *)data, size);
    const size_t name_bytes = MIN(strlen(name) + 1, size);
    g_autofree char *xml = g_strndup((const char *)data + name_bytes, size - name_bytes);
    g_autofree char *folder = g_dir_make_tmp("fuzz-domain-XXXXXX", NULL);
    const FsLocal source = {
        .path = folder, .fd = open(folder, O_PATH | O_DIRECTORY), .is_domains = true};
    g_autoptr(GError) error = NULL;
    FsDomain domain;

    if (fs_domain_describe(name, xml, size & 1, &domain, &error)) {
        CHECK(fs_domain_valid(&domain) && domain.kind == FS_DOMAIN_IS);
        CHECK(uv_guest_name_valid(false, domain.guest));
        follow(&source, &domain);
    }
    close(source.fd);
    CHECK(g_rmdir(folder) == 0);
    return 0;
}
