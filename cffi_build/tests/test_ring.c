/* test_ring.c: what ring.c promises to one reader and one writer that take turns. */
#include <errno.h>

#include "fixture.h"

static struct mxrc_segment segment;

static void publish(struct mxrc_ring *ring, uint64_t value)
{
    struct mxrc_cycle_record record = {.cycle = value, .end_ns = ~value};
    mxrc_ring_publish(ring, &record);
}

static void test_open(void)
{
    struct mxrc_ring ring;
    CHECK_EQUAL(mxrc_ring_open(&ring, &segment, 63), ENOENT);
    CHECK_EQUAL(mxrc_ring_open(&ring, &segment, MXRC_REGION_LEASE), EINVAL);
    CHECK_EQUAL(mxrc_ring_open(&ring, &segment, MXRC_REGION_STATE), EINVAL);
    CHECK_EQUAL(mxrc_ring_open(&ring, &segment, MXRC_REGION_LANE), 0);
    CHECK_EQUAL(ring.mask + 1, 32);
    CHECK_EQUAL(mxrc_ring_open(&ring, &segment, MXRC_REGION_LANE + 1), 0);
    CHECK_EQUAL(ring.mask + 1, 1024);
}

static void test_read(void)
{
    struct mxrc_ring ring;
    struct mxrc_cycle_record record[64];
    uint64_t cursor = 0;
    uint64_t lost = 0;
    CHECK_EQUAL(mxrc_ring_open(&ring, &segment, MXRC_REGION_CYCLE_RING), 0);
    CHECK_EQUAL(mxrc_ring_read(&ring, &cursor, record, 64, &lost), 0);
    CHECK_EQUAL(mxrc_ring_read_one(&ring, 0, record), 0);
    for (uint64_t i = 0; i < 64; i++) {
        publish(&ring, i);
    }
    /* Exactly full: nothing is lost, in batches of any size. */
    CHECK_EQUAL(mxrc_ring_read(&ring, &cursor, record, 5, &lost), 5);
    CHECK_EQUAL(cursor, 5);
    CHECK_EQUAL(record[4].cycle, 4);
    CHECK_EQUAL(record[4].end_ns, ~4ULL);
    CHECK_EQUAL(record[4].seq, 10);
    CHECK_EQUAL(mxrc_ring_read(&ring, &cursor, record, 64, &lost), 59);
    CHECK_EQUAL(record[58].cycle, 63);
    CHECK_EQUAL(lost, 0);
    /* One more: record 0 is gone, and a reader that stands there goes on a sixteenth ahead of the writer. */
    publish(&ring, 64);
    cursor = 0;
    CHECK_EQUAL(mxrc_ring_read_one(&ring, 0, record), 0);
    CHECK_EQUAL(mxrc_ring_read_one(&ring, 1, record), 1);
    CHECK_EQUAL(record[0].cycle, 1);
    CHECK_EQUAL(mxrc_ring_read(&ring, &cursor, record, 64, &lost), 60);
    CHECK_EQUAL(lost, 5); /* 65 - 64 + 64 / 16 */
    CHECK_EQUAL(record[0].cycle, 5);
    CHECK_EQUAL(cursor, 65);
    /* Lapped many times. */
    for (uint64_t i = 65; i < 1000; i++) {
        publish(&ring, i);
    }
    cursor = 3;
    lost = 0;
    CHECK_EQUAL(mxrc_ring_read(&ring, &cursor, record, 64, &lost), 60);
    CHECK_EQUAL(lost, 1000 - 60 - 3);
    /* A cursor of some other generation. */
    cursor = 5000;
    CHECK_EQUAL(mxrc_ring_read(&ring, &cursor, record, 64, &lost), 0);
    CHECK_EQUAL(cursor, 1000);
}

/* The states in which a writer can die, made by hand: the branches of the recovery. */
static void test_recover(void)
{
    struct mxrc_ring ring;
    struct mxrc_event event;
    uint64_t cursor = 0;
    uint64_t lost = 0;
    CHECK_EQUAL(mxrc_ring_open(&ring, &segment, MXRC_REGION_LANE), 0);
    CHECK_EQUAL(mxrc_ring_recover(&ring), 0);
    for (uint32_t i = 0; i < 40; i++) {
        event = (struct mxrc_event){.kind = MXRC_EVENT_LOG, .message_id = i + 1};
        mxrc_ring_publish(&ring, &event);
    }
    CHECK_EQUAL(mxrc_ring_recover(&ring), 0);
    /* Head behind: record 39 is complete, head does not say so yet. */
    ring.header->head = 39;
    CHECK_EQUAL(mxrc_ring_recover(&ring), 1);
    CHECK_EQUAL(ring.header->head, 40);
    CHECK_EQUAL(ring.header->tombstones, 0);
    CHECK_EQUAL(mxrc_ring_read_one(&ring, 39, &event), 1);
    CHECK_EQUAL(event.message_id, 40);
    /* Odd: record 40 was begun. */
    uint64_t *seq = (uint64_t *)(void *)(ring.slots + (40 & ring.mask) * ring.slot_bytes);
    *seq = 2 * 40 + 1;
    CHECK_EQUAL(mxrc_ring_recover(&ring), 2);
    CHECK_EQUAL(mxrc_ring_recover(&ring), 0);
    CHECK_EQUAL(ring.header->head, 41);
    CHECK_EQUAL(ring.header->tombstones, 1);
    CHECK_EQUAL(mxrc_ring_read_one(&ring, 40, &event), 1);
    CHECK_EQUAL(event.kind, MXRC_EVENT_TOMBSTONE);
    CHECK_EQUAL(event.message_id, 0);
    cursor = 38;
    struct mxrc_event batch[8];
    CHECK_EQUAL(mxrc_ring_read(&ring, &cursor, batch, 8, &lost), 3);
    CHECK_EQUAL(lost, 0);
}

/* The readers' side works on a map that cannot be written. */
static void test_read_only(void)
{
    struct mxrc_segment reader;
    struct mxrc_ring ring;
    struct mxrc_cycle_record record;
    CHECK_EQUAL(fixture_attach(&reader, MXRC_ACCESS_READ), MXRC_OPEN_OK);
    CHECK_EQUAL(mxrc_ring_open(&ring, &reader, MXRC_REGION_CYCLE_RING), 0);
    CHECK_EQUAL(mxrc_ring_read_one(&ring, 999, &record), 1);
    CHECK_EQUAL(record.cycle, 999);
    mxrc_segment_detach(&reader);
}

int main(void)
{
    fixture_start();
    fixture_live(&segment);
    test_open();
    test_read();
    test_recover();
    test_read_only();
    mxrc_segment_detach(&segment);
    return test_summary();
}
