/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "verifier-load.h"

#include <dlfcn.h>

#include "find-program.h"

bool uv_verifier_load(GError **error)
{
    static const char *const places[] = {UV_VERIFIER_PLACES, NULL};
    g_autofree char *path = uv_find_program(places, UV_LIBEXECDIR "/uefivars-verify.so");
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const UvVerifier *verifier = module ? dlsym(module, UV_VERIFIER_SYMBOL) : NULL;

    if (verifier)
        uv_verifier_use(verifier);
    else
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s", dlerror());
    return verifier;
}
