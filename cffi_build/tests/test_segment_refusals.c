/* test_segment_refusals.c: what is not a whole segment of this build, or not ours, is refused, and the message names what
 * was found and what was expected. */
#define _GNU_SOURCE /* unshare */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "../src/segment.h"
#include "fixture.h"

static struct mxrc_segment segment;
static int created;

static int die_live(void *unused)
{
    (void)unused;
    struct mxrc_segment dead;
    fixture_live(&dead);
    return 0;
}

/* A whole segment without living members, its header open to `change`; the CRC is made good if asked for. */
static void damaged(void (*change)(struct mxrc_header *, struct mxrc_region_desc *), int sign)
{
    shm_unlink(fixture_name);
    fixture_child(die_live, NULL);
    int descriptor = shm_open(fixture_name, O_RDWR, 0);
    uint8_t *base =
        mmap(NULL, MXRC_HEADER_REGION, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    struct mxrc_header *header = (struct mxrc_header *)(void *)base;
    struct mxrc_region_desc *table = (struct mxrc_region_desc *)(void *)(base + MXRC_TABLE_OFFSET);
    change(header, table);
    if (sign) {
        header->crc = mxrc_header_crc(header, table);
    }
    munmap(base, MXRC_HEADER_REGION);
    close(descriptor);
}

static void refused(int result, const char *found, const char *expected)
{
    const int access[] = {MXRC_ACCESS_READ, MXRC_ACCESS_NONRT};
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(fixture_attach(&segment, access[i]), result);
        CHECK_HAS(error, fixture_name);
        CHECK_HAS(error, found);
        CHECK_HAS(error, expected);
        CHECK(strchr(error, '\n') == NULL);
        CHECK(segment.base == NULL);
    }
}

static void set_magic(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)table;
    header->magic = 0x1122334455667788;
}

static void set_version(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)table;
    header->layout_version = 77;
}

static void set_hash(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)table;
    header->layout_hash = 0xabcdef0123456789;
}

static void set_size(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)table;
    header->segment_bytes += 4096;
}

static void set_period(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)table;
    header->period_ns++;
}

static void set_offset(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    table[5].offset = header->segment_bytes;
}

static void set_huge(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)header;
    table[5].offset = UINT64_MAX - 4095;
    table[5].size = 8192;
}

static void set_overlap(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)header;
    table[5].offset = table[4].offset;
}

static void set_missing(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)header;
    table[2].id = 60;
}

static void set_elements(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)header;
    table[5].element_count *= 2;
}

static void set_count(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)table;
    header->region_count = 100;
}

static void set_state(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)table;
    header->state = 9;
}

static void set_boot(struct mxrc_header *header, struct mxrc_region_desc *table)
{
    (void)table;
    header->boot_id[0] ^= 0xff;
}

/* An RT process starts a new generation: nobody lives in the damaged one. */
static void replaced(const char *reason)
{
    CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_OK);
    CHECK_EQUAL(created, 1);
    CHECK_HAS(error, reason);
    mxrc_segment_detach(&segment);
}

static void test_bytes(void)
{
    char text[2][64];
    damaged(set_magic, 1);
    snprintf(text[0], sizeof text[0], "0x%016" PRIx64, (uint64_t)MXRC_MAGIC);
    refused(MXRC_OPEN_FOREIGN, "0x1122334455667788", text[0]);
    CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_FOREIGN);

    damaged(set_version, 1);
    snprintf(text[0], sizeof text[0], "version %d,", MXRC_LAYOUT_VERSION);
    refused(MXRC_OPEN_LAYOUT, "version 77", text[0]);
    damaged(set_hash, 1);
    snprintf(text[0], sizeof text[0], "0x%016" PRIx64, mxrc_layout_hash());
    refused(MXRC_OPEN_LAYOUT, "0xabcdef0123456789", text[0]);

    struct mxrc_geometry geometry = fixture_geometry();
    uint64_t bytes = mxrc_segment_size(&geometry);
    snprintf(text[0], sizeof text[0], "%" PRIu64, bytes);
    snprintf(text[1], sizeof text[1], "%" PRIu64, bytes + 4096);
    damaged(set_size, 1);
    refused(MXRC_OPEN_CORRUPT, text[0], text[1]);
    replaced(text[1]);

    damaged(set_period, 0);
    refused(MXRC_OPEN_CORRUPT, "CRC 0x", "computed 0x");
    replaced("computed 0x");
    damaged(set_magic, 0);
    refused(MXRC_OPEN_CORRUPT, "damaged magic", "0x1122334455667788");
    replaced("damaged magic");

    damaged(set_offset, 1);
    refused(MXRC_OPEN_CORRUPT, "region 5", text[0]);
    damaged(set_huge, 1);
    refused(MXRC_OPEN_CORRUPT, "region 5", "does not lie in");
    damaged(set_overlap, 1);
    refused(MXRC_OPEN_CORRUPT, "regions 4 and 5", "overlap");
    damaged(set_missing, 1);
    refused(MXRC_OPEN_CORRUPT, "region 2", "missing");
    damaged(set_elements, 1);
    refused(MXRC_OPEN_CORRUPT, "region 5", "");
    damaged(set_count, 1);
    refused(MXRC_OPEN_CORRUPT, "100 regions", "64");
    damaged(set_state, 1);
    refused(MXRC_OPEN_CORRUPT, "state 9", "");
}

static void truncate_to(off_t bytes)
{
    int descriptor = shm_open(fixture_name, O_RDWR, 0);
    CHECK_EQUAL(ftruncate(descriptor, bytes), 0);
    close(descriptor);
}

static void test_truncated(void)
{
    shm_unlink(fixture_name);
    fixture_child(die_live, NULL);
    truncate_to(65536);
    refused(MXRC_OPEN_CORRUPT, "65536 bytes", "header says");
    truncate_to(100);
    refused(MXRC_OPEN_CORRUPT, "100 bytes", "8192");
    truncate_to(0);
    refused(MXRC_OPEN_CORRUPT, "0 bytes", "8192");
    replaced("0 bytes");
    refused(MXRC_OPEN_ABSENT, "no shared memory", "");
    CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_OK);
    CHECK(error[0] == '\0');
    mxrc_segment_detach(&segment);

    struct mxrc_segment live;
    fixture_live(&live);
    truncate_to(0);
    CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_CORRUPT);
    CHECK_HAS(error, "remove /dev/shm");
    mxrc_unlock_file(live.presence); /* its process dies of SIGBUS */
    replaced("0 bytes");
    munmap(live.base, live.bytes);
    shm_unlink(fixture_name);
    refused(MXRC_OPEN_ABSENT, "no shared memory", "");
}

static uint8_t *header_bytes(void)
{
    int descriptor = shm_open(fixture_name, O_RDWR, 0);
    uint8_t *base =
        mmap(NULL, MXRC_HEADER_REGION, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    return base;
}

/* Offsets of all that is checked, in turn; 0 after the last. */
static size_t next_byte(size_t at)
{
    size_t table_end = MXRC_TABLE_OFFSET + sizeof(struct mxrc_region_desc) * MXRC_REGIONS;
    if (++at == sizeof(struct mxrc_header))
        return MXRC_TABLE_OFFSET;
    return at == table_end ? 0 : at;
}

/* Whichever byte of header and table is wrong: nobody replaces a generation that an RT process lives in, and once it is dead the
 * next one gets a generation to work in. */
static void test_each_byte(void)
{
    struct mxrc_segment live;
    size_t flips = 0, attached = 0, at = 0;
    shm_unlink(fixture_name);
    fixture_live(&live);
    uint8_t *base = header_bytes();
    do {
        base[at] ^= 1;
        int result = fixture_open(&segment, &created);
        CHECK_SAY(!created, "byte %zu: a living generation was replaced", at);
        mxrc_segment_detach(&segment);
        attached += fixture_attach(&segment, MXRC_ACCESS_NONRT) == MXRC_OPEN_OK;
        mxrc_segment_detach(&segment);
        base[at] ^= 1;
        CHECK(result != MXRC_OPEN_OK || at / 4 == offsetof(struct mxrc_header, state) / 4);
        flips++;
        at = next_byte(at);
    } while (at);
    CHECK(attached <= 4); /* but for the state word, which is no part of the checksum */
    munmap(base, MXRC_HEADER_REGION);
    mxrc_segment_detach(&live);

    for (at = 0; at < sizeof(struct mxrc_header); at++) {
        shm_unlink(fixture_name);
        fixture_child(die_live, NULL);
        base = header_bytes();
        base[at] ^= 1;
        munmap(base, MXRC_HEADER_REGION);
        int result = fixture_open(&segment, &created);
        CHECK_SAY(result == MXRC_OPEN_OK, "byte %zu: %s", at, error);
        mxrc_segment_detach(&segment);
    }
    printf("%zu bytes of header and table flipped\n", flips);
    shm_unlink(fixture_name);
}

/* Other builds and boots: replaced when nobody lives in them, refused otherwise. */
static void test_other_builds(void)
{
    void (*const change[])(struct mxrc_header *, struct mxrc_region_desc *) = {set_version,
                                                                               set_hash, set_boot};
    for (int i = 0; i < 3; i++) {
        damaged(change[i], 1);
        CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_OK);
        CHECK_EQUAL(created, 1);
        mxrc_segment_detach(&segment);
    }
    damaged(set_boot, 1);
    CHECK_EQUAL(fixture_attach(&segment, MXRC_ACCESS_NONRT), MXRC_OPEN_ABSENT);
    CHECK_HAS(error, "earlier boot");
    CHECK_EQUAL(fixture_attach(&segment, MXRC_ACCESS_READ), MXRC_OPEN_OK);
    mxrc_segment_detach(&segment);

    struct mxrc_segment live;
    shm_unlink(fixture_name);
    fixture_live(&live);
    mprotect(live.base, MXRC_HEADER_REGION, PROT_READ | PROT_WRITE);
    struct mxrc_header *header = mxrc_segment_header(&live);
    set_hash(header, NULL);
    header->crc = mxrc_header_crc(
        header, (const struct mxrc_region_desc *)(const void *)(live.base + MXRC_TABLE_OFFSET));
    CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_LAYOUT);
    CHECK_HAS(error, "0xabcdef0123456789");
    mxrc_segment_detach(&live);
    shm_unlink(fixture_name);
}

/* ---- owners ---- */

static int as_nobody(void *unused)
{
    (void)unused;
    if (setgid(65534) != 0 || setuid(65534) != 0) {
        return 1;
    }
    return die_live(NULL);
}

static int open_as_nobody(void *unused)
{
    (void)unused;
    unsigned before = test_failed;
    if (setgid(65534) != 0 || setuid(65534) != 0) {
        return 1;
    }
    refused(MXRC_OPEN_FOREIGN, "belongs to user 0", "user 65534");
    CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_FOREIGN);
    CHECK_HAS(error, "belongs to user 0");
    return test_failed != before;
}

static void test_owners(void)
{
    shm_unlink(fixture_name);
    fixture_child(die_live, NULL);
    char path[96];
    snprintf(path, sizeof path, "/dev/shm%s", fixture_name);
    chmod(path, 0666);
    CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_FOREIGN);
    CHECK_HAS(error, "0666");
    CHECK_EQUAL(fixture_attach(&segment, MXRC_ACCESS_NONRT), MXRC_OPEN_FOREIGN);
    chmod(path, 0660);

    if (geteuid() != 0) {
        printf("skipped: segments of other users (needs root)\n");
        return;
    }
    chmod(fixture_folder, 0777);
    unlink(fixture_lock);
    close(open(fixture_lock, O_RDWR | O_CREAT, 0666));
    chmod(fixture_lock, 0666);
    chown(fixture_lock, 65534, 65534);
    CHECK_EQUAL(fixture_child(open_as_nobody, NULL), 0);

    shm_unlink(fixture_name);
    CHECK_EQUAL(fixture_child(as_nobody, NULL), 0);
    CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_FOREIGN);
    CHECK_HAS(error, "belongs to user 65534");
    CHECK_HAS(error, path);
    CHECK_EQUAL(fixture_attach(&segment, MXRC_ACCESS_NONRT), MXRC_OPEN_FOREIGN);
    CHECK_EQUAL(fixture_attach(&segment, MXRC_ACCESS_READ), MXRC_OPEN_OK);
    mxrc_segment_detach(&segment);
    shm_unlink(fixture_name);
    unlink(fixture_lock);
}

/* ---- room ---- */

static int no_room(void)
{
    unsigned before = test_failed;
    struct mxrc_geometry geometry = fixture_geometry();
    char size[32];
    char draft[64];
    snprintf(size, sizeof size, "%" PRIu64 " bytes", mxrc_segment_size(&geometry));
    CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_NO_SPACE);
    CHECK_HAS(error, size);
    CHECK_HAS(error, "65536 bytes");
    CHECK_EQUAL(created, 0);
    /* Nothing stays behind, the lock is free. */
    snprintf(draft, sizeof draft, "%s.new", fixture_name);
    CHECK_EQUAL(shm_open(draft, O_RDONLY, 0), -1);
    CHECK_EQUAL(shm_open(fixture_name, O_RDONLY, 0), -1);
    int lock = mxrc_lock_file(fixture_lock, 0, error, sizeof error);
    CHECK(lock >= 0);
    mxrc_unlock_file(lock);
    return test_failed != before;
}

static int limited_files(void *unused)
{
    (void)unused;
    struct rlimit limit = {65536, 65536};
    setrlimit(RLIMIT_FSIZE, &limit);
    return no_room();
}

static int small_filesystem(void *unused)
{
    (void)unused;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/dev/shm", "tmpfs", 0, "size=65536") != 0) {
        return 77;
    }
    return no_room();
}

static void test_room(void)
{
    shm_unlink(fixture_name);
    CHECK_EQUAL(fixture_child(limited_files, NULL), 0);
    int status = fixture_child(small_filesystem, NULL);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        printf("skipped: a small /dev/shm (no right to mount)\n");
    } else {
        CHECK_EQUAL(status, 0);
    }
}

static void test_arguments(void)
{
    struct mxrc_geometry geometry = fixture_geometry();
    const char *const names[] = {
        "",     "x",   "/",
        "/a/b", "/..", "/0123456789012345678901234567890123456789012345678901234567890"};
    for (int i = 0; i < 6; i++) {
        CHECK_EQUAL(mxrc_segment_open_rt(&segment, names[i], fixture_lock, &geometry, &created,
                                         error, sizeof error),
                    MXRC_OPEN_SYSTEM);
        CHECK_HAS(error, "cannot name");
    }
    geometry.cycle_slots = 1000;
    CHECK_EQUAL(mxrc_segment_open_rt(&segment, fixture_name, fixture_lock, &geometry, &created,
                                     error, sizeof error),
                MXRC_OPEN_SYSTEM);
    CHECK_HAS(error, "cycle_slots");
    CHECK_EQUAL(mxrc_segment_size(&geometry), 0);
    geometry = fixture_geometry();
    geometry.max_members = 9;
    CHECK_EQUAL(mxrc_segment_size(&geometry), 0);
    CHECK_EQUAL(fixture_attach(&segment, MXRC_ACCESS_RT), MXRC_OPEN_SYSTEM);
}

/* The shipped configurations: 16384 slots fit Docker's 64 MB, 65536 slots with two RT processes do as well. */
static void test_sizes(void)
{
    struct mxrc_geometry geometry = fixture_geometry();
    geometry.cycle_slots = geometry.event_slots = 65536;
    geometry.command_slots = 1024;
    geometry.staging_slots = 64;
    geometry.names_rt = geometry.names_nonrt = 4096;
    geometry.data_keys = geometry.data_rt_cells = geometry.data_nonrt_cells = 1024;
    CHECK(mxrc_segment_size(&geometry) < 64u << 20);
    struct mxrc_region_desc table[MXRC_REGIONS];
    uint32_t count;
    uint64_t bytes = mxrc_geometry_plan(&geometry, table, &count, NULL, 0);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += table[i].size;
        CHECK(i == 0 || table[i].id > table[i - 1].id);
    }
    CHECK_EQUAL(sum, bytes);
}

int main(void)
{
    fixture_start();
    test_bytes();
    test_truncated();
    test_each_byte();
    test_other_builds();
    test_owners();
    test_room();
    test_arguments();
    test_sizes();
    return test_summary();
}
