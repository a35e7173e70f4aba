/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Every cap of the engine and of the protocol, each with its reason. */

#include "efi-abi.h"

/* The communicate buffer that edk2's VirtMmCommunicationDxe allocates. */
#define UV_MM_BUFFER_MAX 65536u

/*
 * Name (with its NUL) and data of one variable: what a guest can still read through one communicate
 * buffer, also if the host wrote it.
 */
#define UV_VARIABLE_MAX                                                                            \
    (UV_MM_BUFFER_MAX - EFI_MM_HEADER_BYTES - EFI_MM_VARIABLE_HEADER_BYTES - EFI_MM_ACCESS_BYTES)

/* Storage in total: the least and the most that can be asked for (less than a page holds no boot's
 * variables), and QEMU's default for `size`. */
#define UV_STORAGE_MIN 4096u
#define UV_STORAGE_DEFAULT 262144u
#define UV_STORAGE_MAX (8u * 1024 * 1024)
/* Variables that a storage can hold: the largest one over the smallest record. */
#define UV_VARIABLES_MAX (UV_STORAGE_MAX / EFI_VARIABLE_RECORD_BYTES)

/* A file name is at most NAME_MAX (255) bytes, of which "-" and the GUID take 37. */
#define UV_FILE_NAME_MAX 255u
#define UV_FILE_NAME_GUID_BYTES 37u

/* A guest's name; leaves room for "_VARS.qcow2" and the sidecars' suffixes in a file name. */
#define UV_GUEST_NAME_MAX 200u

/* What is written to a view at once: a profile's worth of keys, or Microsoft's largest update. */
#define UV_VIEW_FRAME_MAX (1024u * 1024)

/* The signer of a private authenticated variable, in a JSON store: SHA-512, the longest hash that
 * edk2's certdb may name a signer by. What is longer must not get into a store: it is not read. */
#define UV_SIGNER_DIGEST_MAX 64u

/* Policies of one boot: edk2 has no limit but its memory; a guest must not fill the engine's. */
#define UV_POLICY_TABLE_MAX (256u * 1024)

/* A store file larger than this is not one: twice the largest storage in hex, and the 64 MiB Arm
 * images. */
#define UV_JSON_FILE_MAX (64u * 1024 * 1024)
#define UV_FLASH_FILE_MAX (256u * 1024 * 1024)
/* U-Boot's buffer for it is some 16 to 128 KiB. */
#define UV_UBOOT_FILE_MAX UV_STORAGE_MAX

/* One message's PKCS#7: no real update has more signatures, and a guest must not buy hours of
 * arithmetic. */
#define UV_PKCS7_SIGNERS_MAX 8u
#define UV_PKCS7_OPERATIONS_MAX 64u /* public key operations to find chains */
#define UV_PKCS7_CHAIN_MAX 16u
/* A certificate's issuer, and its subject: GnuTLS reads them in a time that grows with the square
 * of what they have. Of one with longer names the key alone is read. */
#define UV_X509_NAME_BYTES_MAX 4096u
/* As OpenSSL, and so edk2: a large exponent only with a modulus that bears it. */
#define UV_PKCS7_RSA_BITS_MAX 16384u
#define UV_PKCS7_RSA_BITS_SMALL 3072u
#define UV_PKCS7_RSA_EXPONENT_BYTES 8u
