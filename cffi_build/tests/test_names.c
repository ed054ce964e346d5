/* test_names.c: interned names and clock anchors. */
#include "../src/atomic.h"
#include "fixture.h"

static struct mxrc_segment rt;
static struct mxrc_segment nonrt;

static void test_names(void)
{
    char longest[80];
    CHECK(mxrc_name_find(&rt, 0) == NULL);
    CHECK(mxrc_name_find(&rt, 1) == NULL);
    CHECK_EQUAL(mxrc_name_intern(&nonrt, MXRC_REGION_NAMES_NONRT, MXRC_NAME_TASK, "pick"), 1);
    CHECK_EQUAL(mxrc_name_intern(&nonrt, MXRC_REGION_NAMES_NONRT, MXRC_NAME_ACTION, "pick"), 2);
    CHECK_EQUAL(mxrc_name_intern(&nonrt, MXRC_REGION_NAMES_NONRT, MXRC_NAME_TASK, "pick"), 1);
    CHECK(strcmp(mxrc_name_find(&rt, 2)->text, "pick") == 0);
    CHECK_EQUAL(mxrc_name_find(&rt, 2)->kind, MXRC_NAME_ACTION);
    CHECK(mxrc_name_find(&rt, MXRC_NAME_RT_BIT | 1) == NULL);
    CHECK(mxrc_name_find(&rt, 0xffffffff) == NULL);
    /* Cut to fit, not within a character: 54 letters and one of two bytes. */
    memset(longest, 'x', 54);
    strcpy(longest + 54, "\xc3\xa4...");
    CHECK_EQUAL(mxrc_name_intern(&nonrt, MXRC_REGION_NAMES_NONRT, MXRC_NAME_KEY, longest), 3);
    CHECK_EQUAL(mxrc_name_find(&nonrt, 3)->bytes, 54);
    CHECK_EQUAL(mxrc_name_find(&nonrt, 3)->text[54], 0);
    longest[55] = '\0';
    memset(longest, 'y', 55);
    CHECK_EQUAL(mxrc_name_intern(&nonrt, MXRC_REGION_NAMES_NONRT, MXRC_NAME_KEY, longest), 4);
    CHECK_EQUAL(mxrc_name_find(&nonrt, 4)->bytes, 55);
    /* Refused: the RT process, a region of others, a full table. */
    CHECK_EQUAL(mxrc_name_intern(&rt, MXRC_REGION_NAMES_NONRT, MXRC_NAME_KEY, "new"), 0);
    CHECK_EQUAL(mxrc_name_intern(&rt, MXRC_REGION_NAMES_NONRT, MXRC_NAME_TASK, "pick"), 1);
    CHECK_EQUAL(mxrc_name_intern(&nonrt, MXRC_REGION_NAMES_RT, MXRC_NAME_KEY, "new"), 0);
    CHECK_EQUAL(mxrc_name_intern(&nonrt, MXRC_REGION_LEASE, MXRC_NAME_KEY, "new"), 0);
    for (uint32_t i = 5; i <= 8; i++) {
        char text[8];
        snprintf(text, sizeof text, "n%u", i);
        CHECK_EQUAL(mxrc_name_intern(&nonrt, MXRC_REGION_NAMES_NONRT, MXRC_NAME_KEY, text), i);
    }
    CHECK_EQUAL(mxrc_name_intern(&nonrt, MXRC_REGION_NAMES_NONRT, MXRC_NAME_KEY, "n9"), 0);
    CHECK_EQUAL(mxrc_name_intern(&nonrt, MXRC_REGION_NAMES_NONRT, MXRC_NAME_KEY, "n8"), 8);
}

static void put(struct mxrc_clock *clock, uint64_t monotonic_ns, uint64_t realtime_ns)
{
    struct mxrc_anchor *anchor = &clock->anchor[clock->count % MXRC_ANCHORS];
    *anchor = (struct mxrc_anchor){monotonic_ns, realtime_ns};
    clock->count++;
}

static void test_anchors(void)
{
    struct mxrc_clock *clock = mxrc_region(&rt, MXRC_REGION_CLOCK, NULL);
    const int64_t tolerance = 50000000;
    /* Without anchors: the clocks as they are. */
    int64_t off = (int64_t)(mxrc_clock_to_realtime(&nonrt, mxrc_now_ns()) - mxrc_realtime_ns());
    CHECK(off > -tolerance && off < tolerance);
    CHECK_EQUAL(mxrc_clock_update(&nonrt), 0);
    CHECK_EQUAL(clock->count, 0);
    CHECK_EQUAL(mxrc_clock_update(&rt), 1);
    CHECK_EQUAL(mxrc_clock_update(&rt), 0); /* the clock did not move */
    CHECK_EQUAL(clock->count, 1);
    off = (int64_t)(mxrc_clock_to_realtime(&nonrt, mxrc_now_ns()) - mxrc_realtime_ns());
    CHECK(off > -tolerance && off < tolerance);
    /* Somebody set the clock: a new anchor. */
    clock->anchor[0].realtime_ns -= 2000000;
    CHECK_EQUAL(mxrc_clock_update(&rt), 1);

    /* A history: each time by the anchor in force then, those before the first by the oldest. */
    clock->count = 0;
    put(clock, 1000, 5001000);
    put(clock, 2000, 9002000);
    put(clock, 3000, 7003000);
    CHECK_EQUAL(mxrc_clock_to_realtime(&nonrt, 500), 5000500);
    CHECK_EQUAL(mxrc_clock_to_realtime(&nonrt, 1999), 5001999);
    CHECK_EQUAL(mxrc_clock_to_realtime(&nonrt, 2000), 9002000);
    CHECK_EQUAL(mxrc_clock_to_realtime(&nonrt, 3500), 7003500);
    for (uint64_t i = 4; i <= 200; i++) {
        put(clock, i * 1000, i * 1000 + i * 1000000);
    }
    CHECK_EQUAL(mxrc_clock_to_realtime(&nonrt, 200500), 200500 + 200000000);
    CHECK_EQUAL(mxrc_clock_to_realtime(&nonrt, 150001), 150001 + 150000000);
    /* Older than what is kept: by the oldest of the last 62. */
    CHECK_EQUAL(mxrc_clock_to_realtime(&nonrt, 5000), 5000 + 139000000);
}

int main(void)
{
    fixture_start();
    fixture_live(&rt);
    CHECK_EQUAL(fixture_attach(&nonrt, MXRC_ACCESS_NONRT), MXRC_OPEN_OK);
    test_names();
    test_anchors();
    mxrc_segment_detach(&nonrt);
    mxrc_segment_detach(&rt);
    return test_summary();
}
