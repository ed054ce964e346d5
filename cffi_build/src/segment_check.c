/* segment_check.c: is this object a whole segment of this build? Nothing in it is believed before. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "segment.h"

#define REMEDY "; if no mxrc process uses it, remove " MXRC_SHM_DIR "%s"

/* The boot that this is, all zero where the kernel does not say. */
void mxrc_boot_id(uint8_t id[16])
{
    char text[40] = "";
    memset(id, 0, 16);
    int descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return;
    }
    ssize_t bytes = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    int digits = 0;
    for (ssize_t i = 0; i < bytes && digits < 32; i++) {
        char pair[2] = {text[i], '\0'};
        char *end;
        unsigned long digit = strtoul(pair, &end, 16);
        if (end != pair) {
            id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
            digits++;
        }
    }
}

uint32_t mxrc_header_crc(const struct mxrc_header *header, const struct mxrc_region_desc *table)
{
    struct mxrc_header copy = *header;
    copy.crc = 0;
    copy.state = 0;
    uint32_t crc = mxrc_crc32c(0, &copy, sizeof copy);
    return mxrc_crc32c(crc, table, sizeof *table * MXRC_REGIONS);
}

static int region_inside(const struct mxrc_region_desc *region, uint64_t bytes)
{
    return region->size > 0 && region->offset % MXRC_PAGE_BYTES == 0 &&
           region->size % MXRC_PAGE_BYTES == 0 && region->offset <= bytes &&
           region->size <= bytes - region->offset &&
           (uint64_t)region->element_bytes * region->element_count <= region->size &&
           memchr(region->name, '\0', sizeof region->name) != NULL;
}

static int check_table(const struct mxrc_region_desc *table, uint32_t count, uint64_t bytes,
                       const char *name, char *error, size_t error_bytes)
{
    if (count > MXRC_REGIONS) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_CORRUPT,
                         "shared memory %s has %u regions, at most %d are possible" REMEDY, name,
                         count, MXRC_REGIONS, name);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct mxrc_region_desc *region = &table[i];
        if (!region_inside(region, bytes)) {
            return mxrc_fail(error, error_bytes, MXRC_OPEN_CORRUPT,
                             "shared memory %s: region %u (offset %" PRIu64 ", %" PRIu64
                             " bytes) does not lie in its %" PRIu64 " bytes" REMEDY,
                             name, region->id, region->offset, region->size, bytes, name);
        }
        for (uint32_t j = 0; j < i; j++) {
            const struct mxrc_region_desc *other = &table[j];
            if (region->id == other->id || (region->offset < other->offset + other->size &&
                                            other->offset < region->offset + region->size)) {
                return mxrc_fail(error, error_bytes, MXRC_OPEN_CORRUPT,
                                 "shared memory %s: regions %u and %u overlap" REMEDY, name,
                                 other->id, region->id, name);
            }
        }
    }
    return MXRC_OPEN_OK;
}

/* The table of this build has every region, and each has room for what it is used as. */
static int check_regions(const struct mxrc_header *header, const struct mxrc_region_desc *table,
                         const char *name, char *error, size_t error_bytes)
{
    static const struct {
        uint32_t id;
        uint32_t bytes;
        uint32_t element_bytes;
    } need[] = {
        {MXRC_REGION_HEADER, MXRC_HEADER_REGION, 0},
        {MXRC_REGION_CLOCK, sizeof(struct mxrc_clock), 0},
        {MXRC_REGION_LEASE, sizeof(struct mxrc_lease), 0},
        {MXRC_REGION_RT_STATUS, sizeof(struct mxrc_rt_status), 0},
        {MXRC_REGION_RT_METRICS, sizeof(struct mxrc_rt_metrics), 0},
        {MXRC_REGION_ENTRIES, 0, sizeof(struct mxrc_entry_metrics)},
        {MXRC_REGION_CYCLE_RING, sizeof(struct mxrc_ring_header), MXRC_SLOT_BYTES},
        {MXRC_REGION_STATE, 0, sizeof(struct mxrc_state_block)},
        {MXRC_REGION_PROGRAMS, 0, sizeof(struct mxrc_program_slot)},
        {MXRC_REGION_DATA_DIRECTORY, sizeof(struct mxrc_data_directory),
         sizeof(struct mxrc_data_key)},
        {MXRC_REGION_DATA_RT, 0, sizeof(struct mxrc_data_cell)},
        {MXRC_REGION_DATA_NONRT, 0, sizeof(struct mxrc_data_cell)},
        {MXRC_REGION_NAMES_RT, sizeof(struct mxrc_names), sizeof(struct mxrc_name)},
        {MXRC_REGION_NAMES_NONRT, sizeof(struct mxrc_names), sizeof(struct mxrc_name)},
        {MXRC_REGION_NONRT_STATUS, sizeof(struct mxrc_nonrt_status), 0},
        {MXRC_REGION_CONTROL, sizeof(struct mxrc_control), 0},
        {MXRC_REGION_CURSORS, sizeof(struct mxrc_cursors), 0},
        {MXRC_REGION_COMMANDS, sizeof(struct mxrc_ring_header), MXRC_SLOT_BYTES},
        {MXRC_REGION_STAGING, 0, sizeof(struct mxrc_program_slot)},
        {MXRC_REGION_ADMIN_REQUEST, sizeof(struct mxrc_document), 0},
        {MXRC_REGION_NONRT_DOCUMENT, sizeof(struct mxrc_document), 0},
        {MXRC_REGION_MEMBER, sizeof(struct mxrc_member), 0},
        {MXRC_REGION_LANE, sizeof(struct mxrc_ring_header), MXRC_SLOT_BYTES},
    };
    const uint32_t kinds = sizeof need / sizeof need[0];
    for (uint32_t n = 0; n < kinds; n++) {
        uint32_t copies = 1;
        if (need[n].id == MXRC_REGION_MEMBER) {
            copies = header->max_members;
        } else if (need[n].id == MXRC_REGION_LANE) {
            copies = 2 * header->max_members;
        }
        for (uint32_t id = need[n].id; id < need[n].id + copies; id++) {
            const struct mxrc_region_desc *region = NULL;
            for (uint32_t i = 0; i < header->region_count && region == NULL; i++) {
                region = table[i].id == id ? &table[i] : NULL;
            }
            if (region == NULL || region->element_bytes != need[n].element_bytes ||
                need[n].bytes + (uint64_t)region->element_bytes * region->element_count >
                    region->size) {
                return mxrc_fail(error, error_bytes, MXRC_OPEN_CORRUPT,
                                 "shared memory %s: region %u is missing or too small" REMEDY, name,
                                 id, name);
            }
        }
    }
    return MXRC_OPEN_OK;
}

/* The checksum of everything else is right: one of ours, and damaged. */
static int only_magic_is_wrong(const struct mxrc_header *header,
                               const struct mxrc_region_desc *table)
{
    struct mxrc_header copy = *header;
    copy.magic = MXRC_MAGIC;
    return header->crc == mxrc_header_crc(&copy, table);
}

int mxrc_segment_check(const uint8_t *base, uint64_t bytes, const char *name, char *error,
                       size_t error_bytes)
{
    if (bytes < MXRC_HEADER_REGION) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_CORRUPT,
                         "shared memory %s has %" PRIu64 " bytes, the header alone needs %d" REMEDY,
                         name, bytes, MXRC_HEADER_REGION, name);
    }
    const struct mxrc_header *header = (const struct mxrc_header *)(const void *)base;
    const struct mxrc_region_desc *table =
        (const struct mxrc_region_desc *)(const void *)(base + MXRC_TABLE_OFFSET);

    if (header->magic != MXRC_MAGIC && !only_magic_is_wrong(header, table)) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_FOREIGN,
                         "shared memory %s is not an mxrc segment: magic 0x%016" PRIx64
                         " instead of 0x%016" PRIx64 REMEDY,
                         name, header->magic, (uint64_t)MXRC_MAGIC, name);
    }
    if (header->magic != MXRC_MAGIC) {
        return mxrc_fail(
            error, error_bytes, MXRC_OPEN_CORRUPT,
            "shared memory %s is an mxrc segment with a damaged magic 0x%016" PRIx64 REMEDY, name,
            header->magic, name);
    }
    if (header->segment_bytes != bytes) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_CORRUPT,
                         "shared memory %s has %" PRIu64 " bytes, its header says %" PRIu64 REMEDY,
                         name, bytes, header->segment_bytes, name);
    }
    uint32_t crc = mxrc_header_crc(header, table);
    if (header->crc != crc) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_CORRUPT,
                         "shared memory %s: header has CRC 0x%08x, computed 0x%08x" REMEDY, name,
                         header->crc, crc, name);
    }
    int result = check_table(table, header->region_count, bytes, name, error, error_bytes);
    if (result != MXRC_OPEN_OK) {
        return result;
    }
    if (header->layout_version != MXRC_LAYOUT_VERSION ||
        header->layout_hash != mxrc_layout_hash()) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_LAYOUT,
                         "shared memory %s has layout version %u, hash 0x%016" PRIx64
                         "; this program has version %d, hash 0x%016" PRIx64
                         ": run the same mxrc build on both sides",
                         name, header->layout_version, header->layout_hash, MXRC_LAYOUT_VERSION,
                         mxrc_layout_hash());
    }
    if (header->max_members < 1 || header->max_members > MXRC_MEMBERS) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_CORRUPT,
                         "shared memory %s is for %u RT processes, 1 to %d are possible" REMEDY,
                         name, header->max_members, MXRC_MEMBERS, name);
    }
    return check_regions(header, table, name, error, error_bytes);
}
