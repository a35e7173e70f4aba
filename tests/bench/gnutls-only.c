/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a program pays for GnuTLS alone: it is loaded and set up, and nothing is done with it. */

#include <gnutls/gnutls.h>

int main(void)
{
    return gnutls_check_version(NULL) == NULL;
}
