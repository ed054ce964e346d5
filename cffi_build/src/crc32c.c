/* crc32c.c: CRC-32C (Castagnoli, RFC 3720 appendix B.4; reflected polynomial 0x82f63b78), by the CPU's
 * instruction where it has one. The way is chosen once, when the program is loaded. */
#include "crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

static uint32_t table[256];

uint32_t mxrc_crc32c_portable(uint32_t crc, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    crc = ~crc;
    for (; bytes > 0; bytes--) {
        crc = table[(crc ^ *at++) & 0xff] ^ crc >> 8;
    }
    return ~crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t hardware(uint32_t crc, const void *data,
                                                           size_t bytes)
{
    const uint8_t *at = data;
    uint64_t value = (uint32_t)~crc;
    uint64_t word;
    for (; bytes >= sizeof word; bytes -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        value = _mm_crc32_u64(value, word);
    }
    for (; bytes > 0; bytes--) {
        value = _mm_crc32_u8((uint32_t)value, *at++);
    }
    return ~(uint32_t)value;
}

static int has_hardware(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__)

__attribute__((target("+crc"))) static uint32_t hardware(uint32_t crc, const void *data,
                                                         size_t bytes)
{
    const uint8_t *at = data;
    uint64_t word;
    crc = ~crc;
    for (; bytes >= sizeof word; bytes -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        crc = __crc32cd(crc, word);
    }
    for (; bytes > 0; bytes--) {
        crc = __crc32cb(crc, *at++);
    }
    return ~crc;
}

static int has_hardware(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

#else

static uint32_t hardware(uint32_t crc, const void *data, size_t bytes)
{
    return mxrc_crc32c_portable(crc, data, bytes);
}

static int has_hardware(void)
{
    return 0;
}

#endif

static uint32_t (*chosen)(uint32_t crc, const void *data, size_t bytes);

__attribute__((constructor)) static void choose(void)
{
    for (uint32_t value = 0; value < 256; value++) {
        uint32_t crc = value;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 1) != 0 ? 0x82f63b78u ^ crc >> 1 : crc >> 1;
        }
        table[value] = crc;
    }
    chosen = has_hardware() ? hardware : mxrc_crc32c_portable;
}

uint32_t mxrc_crc32c(uint32_t crc, const void *data, size_t bytes)
{
    return chosen(crc, data, bytes);
}

uint32_t mxrc_program_checksum(const struct mxrc_program_slot *program)
{
    static const uint32_t none = 0;
    const uint8_t *start = (const uint8_t *)program;
    const size_t crc_at = offsetof(struct mxrc_program, crc);
    size_t bytes = program->program.bytes; /* not yet validated: never past the slot */
    if (bytes > sizeof *program) {
        bytes = sizeof *program;
    }
    if (bytes < sizeof program->program) {
        bytes = sizeof program->program;
    }
    uint32_t crc = mxrc_crc32c(0, start, crc_at);
    crc = mxrc_crc32c(crc, &none, sizeof none);
    return mxrc_crc32c(crc, start + crc_at + sizeof none, bytes - crc_at - sizeof none);
}
