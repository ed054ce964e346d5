/* test_state_read.c: the newest whole state block, whatever has happened to the other one. */
#include "fixture.h"

static struct mxrc_segment rt;
static struct mxrc_state_block *block;
static struct mxrc_state_block out;

/* As layout.h says: from `epoch` on, with crc = 0, over `bytes`. */
static void sign(struct mxrc_state_block *one)
{
    one->crc = 0;
    one->crc = mxrc_crc32c(0, &one->epoch, one->bytes - sizeof one->seq);
}

static void write_block(int index, uint64_t epoch, uint64_t cycle)
{
    struct mxrc_state_block *one = &block[index];
    memset(one, 0, sizeof *one);
    one->seq = 2 * cycle + 2;
    one->epoch = epoch;
    one->cycle = cycle;
    one->bytes = (uint32_t)offsetof(struct mxrc_state_block, data) + 100;
    one->section_count = 1;
    one->section[0] = (struct mxrc_state_section){
        .id = MXRC_SECTION_EXECUTIVE,
        .offset = (uint32_t)offsetof(struct mxrc_state_block, data),
        .bytes = 100,
    };
    one->data[99] = (uint8_t)cycle;
    sign(one);
}

static void newest_is(uint64_t cycle)
{
    if (CHECK_EQUAL(mxrc_state_read(&rt, &out), 1)) {
        CHECK_EQUAL(out.cycle, cycle);
        CHECK_EQUAL(out.data[99], (uint8_t)cycle);
    }
}

int main(void)
{
    fixture_start();
    fixture_live(&rt);
    block = mxrc_region(&rt, MXRC_REGION_STATE, NULL);
    CHECK_EQUAL(mxrc_state_read(&rt, &out), 0);
    write_block(0, 1, 10);
    newest_is(10);
    write_block(1, 1, 11);
    newest_is(11);
    write_block(0, 1, 12);
    newest_is(12);
    write_block(1, 2, 5); /* a later epoch comes first */
    newest_is(5);
    block[1].seq |= 1; /* died in it */
    newest_is(12);
    write_block(1, 2, 13);
    block[1].data[50] ^= 1;
    newest_is(12);
    write_block(1, 2, 13);
    block[1].data[4000] ^= 1; /* beyond what is used */
    newest_is(13);
    write_block(1, 2, 13);
    block[1].epoch ^= 4;
    newest_is(12);
    /* Sizes that lead outside, each with a good CRC. */
    write_block(1, 2, 13);
    block[1].section[0].bytes = 101;
    sign(&block[1]);
    newest_is(12);
    write_block(1, 2, 13);
    block[1].section[0].offset = 0;
    sign(&block[1]);
    newest_is(12);
    write_block(1, 2, 13);
    block[1].section_count = 17;
    sign(&block[1]);
    newest_is(12);
    block[1].bytes = 9000;
    newest_is(12);
    block[1].bytes = 0;
    newest_is(12);
    block[0].crc++;
    CHECK_EQUAL(mxrc_state_read(&rt, &out), 0);
    mxrc_segment_detach(&rt);
    return test_summary();
}
