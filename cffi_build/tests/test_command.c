/* test_command.c: the bounded queue from Non-RT to RT: nothing accepted is lost, nothing is overwritten. */
#include "../src/command.h"

#include <errno.h>
#include <sched.h>

#include "../src/atomic.h"
#include "fixture.h"

static struct mxrc_segment rt;
static struct mxrc_segment nonrt;
static struct mxrc_rt_status *status;

enum { MANY = 20000 };

static void test_bounds(void)
{
    struct mxrc_command command = {.kind = MXRC_COMMAND_NOOP};
    struct mxrc_command out;
    uint64_t number = 99;
    CHECK_EQUAL(mxrc_command_send(&rt, &command, &number), EPERM);
    CHECK_EQUAL(mxrc_command_free(&nonrt), 8);
    CHECK_EQUAL(mxrc_command_peek(&rt, 0, &out), 0);
    for (uint64_t i = 0; i < 8; i++) {
        command.key = (uint32_t)i;
        command.time_ns = i == 0 ? 0 : 5;
        CHECK_EQUAL(mxrc_command_send(&nonrt, &command, &number), 0);
        CHECK_EQUAL(number, i);
    }
    CHECK_EQUAL(mxrc_command_free(&nonrt), 0);
    CHECK_EQUAL(mxrc_command_send(&nonrt, &command, &number), EAGAIN);
    for (uint64_t i = 0; i < 8; i++) {
        CHECK_EQUAL(mxrc_command_peek(&rt, i, &out), 1);
        CHECK_EQUAL(out.key, i);
        CHECK_EQUAL(out.seq, 2 * i + 2);
    }
    CHECK_EQUAL(out.time_ns, 5);
    CHECK_EQUAL(mxrc_command_peek(&rt, 0, &out), 1);
    CHECK(out.time_ns > 5 && out.time_ns <= mxrc_now_ns());
    CHECK_EQUAL(mxrc_command_peek(&rt, 8, &out), 0);
    mxrc_store_release(&status->command_tail, 3);
    CHECK_EQUAL(mxrc_command_free(&nonrt), 3);
    CHECK_EQUAL(mxrc_command_send(&nonrt, &command, &number), 0);
    CHECK_EQUAL(number, 8);
    CHECK_EQUAL(mxrc_command_peek(&rt, 0, &out), -1); /* given back and used again */
    CHECK_EQUAL(mxrc_command_peek(&rt, 8, &out), 1);
    mxrc_store_release(&status->command_tail, 9);
}

/* A producer that died in the slot of command 9, before and after the even value: its successor starts there anew. */
static void test_dead_producer(void)
{
    struct mxrc_ring_header *queue = mxrc_region(&nonrt, MXRC_REGION_COMMANDS, NULL);
    struct mxrc_command *slots = (struct mxrc_command *)(void *)((uint8_t *)queue + 256);
    struct mxrc_command command = {.kind = MXRC_COMMAND_NOOP, .key = 1234};
    struct mxrc_command out;
    uint64_t number;
    slots[9 & 7].seq = 2 * 9 + 1;
    CHECK_EQUAL(mxrc_command_peek(&rt, 9, &out), 0);
    CHECK_EQUAL(mxrc_command_send(&nonrt, &command, &number), 0);
    CHECK_EQUAL(number, 9);
    CHECK_EQUAL(mxrc_command_peek(&rt, 9, &out), 1);
    CHECK_EQUAL(out.key, 1234);
    slots[10 & 7].seq = 2 * 10 + 2;
    CHECK_EQUAL(mxrc_command_peek(&rt, 10, &out), 0);
    CHECK_EQUAL(mxrc_command_send(&nonrt, &command, &number), 0);
    CHECK_EQUAL(number, 10);
    mxrc_store_release(&status->command_tail, 11);
}

static void send_many(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; i < MANY;) {
        struct mxrc_command command = {.kind = MXRC_COMMAND_NOOP, .key = i, .axes = ~i};
        uint64_t number;
        if (mxrc_command_send(&nonrt, &command, &number) == 0) {
            i++;
        } else {
            sched_yield();
        }
    }
}

static void test_stream(void)
{
    struct fixture_worker producer = {.body = send_many};
    struct mxrc_command out;
    uint64_t wrong = 0;
    uint64_t tail = 11;
    fixture_work(&producer);
    while (tail < 11 + MANY) {
        int got = mxrc_command_peek(&rt, tail, &out);
        if (got == 0) {
            sched_yield();
            continue;
        }
        wrong += got != 1 || out.key != tail - 11 || out.axes != ~out.key;
        mxrc_store_release(&status->command_tail, ++tail);
    }
    CHECK(fixture_wait(&producer));
    CHECK_EQUAL(wrong, 0);
    CHECK_EQUAL(mxrc_command_peek(&rt, tail, &out), 0);
}

int main(void)
{
    fixture_start();
    fixture_live(&rt);
    CHECK_EQUAL(fixture_attach(&nonrt, MXRC_ACCESS_NONRT), MXRC_OPEN_OK);
    status = mxrc_region(&rt, MXRC_REGION_RT_STATUS, NULL);
    test_bounds();
    test_dead_producer();
    test_stream();
    mxrc_segment_detach(&nonrt);
    mxrc_segment_detach(&rt);
    return test_summary();
}
