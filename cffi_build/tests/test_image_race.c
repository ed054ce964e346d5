/* test_image_race.c: two executives that take over from each other all the time, and a plant: under load and under
 * ThreadSanitizer. What the plant takes is whole, and its epochs never go back. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "../src/atomic.h"
#include "mxrc/core.h"
#include "mxrc/process_image.h"
#include "test.h"

#define AXES 8
#define TAKE_OVERS 400
#define SEEN 10 /* the plant has its turn too, whatever the scheduler does */
#define PATIENCE_NS 30000000000

static struct mxrc_image plant, executive[2];
static uint64_t epochs; /* handed out */
static uint64_t stale, done, taken;
static uint64_t end_ns;
static char error[256];

static double derived(uint64_t epoch, uint64_t cycle, int axis)
{
    return (double)(epoch * 1000000 + cycle * 10) + axis;
}

/* Drives until it is told that another does, then takes over. */
static void *drive(void *argument)
{
    struct mxrc_image *image = argument;
    uint32_t member = (uint32_t)(image - executive);
    for (;;) {
        uint64_t epoch = mxrc_add_u64(&epochs, 1) + 1;
        if (epoch > TAKE_OVERS && (mxrc_load_acquire(&taken) > SEEN || mxrc_now_ns() > end_ns))
            break;
        int result = mxrc_image_admit(image, epoch);
        for (uint64_t cycle = 1; result == 0 && cycle < 5000; cycle++) {
            double command[AXES];
            for (int i = 0; i < AXES; i++)
                command[i] = derived(epoch, cycle, i);
            result =
                mxrc_image_commit(image, member, epoch, cycle, cycle, MXRC_IMAGE_POSITION, command);
            if (cycle % 64 == 0)
                sched_yield();
        }
        if (result == ESTALE)
            mxrc_add_u64(&stale, 1);
    }
    mxrc_add_u64(&done, 1);
    return NULL;
}

int main(void)
{
    char name[40];
    pthread_t thread[2];
    snprintf(name, sizeof name, "race-%ld", (long)getpid());
    CHECK_EQUAL(mxrc_image_create(&plant, name, AXES, 1000000000, error, sizeof error), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQUAL(mxrc_image_attach(&executive[i], name, AXES, 1, error, sizeof error), 0);
    end_ns = mxrc_now_ns() + PATIENCE_NS;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, drive, &executive[i]);
    uint64_t epoch = 0, cycle = 0, turns = 0;
    while (mxrc_load_acquire(&done) < 2) {
        struct mxrc_image_outputs got;
        if (mxrc_image_read_outputs(&plant, ++turns, &got) != MXRC_IMAGE_TAKEN)
            continue;
        uint64_t now = (uint64_t)(got.command[0] / 1000000);
        CHECK(now > epoch || (now == epoch && got.cycle > cycle));
        for (int i = 0; i < AXES; i++)
            CHECK(got.command[i] == derived(now, got.cycle, i));
        epoch = now;
        cycle = got.cycle;
        mxrc_add_u64(&taken, 1);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    printf("%" PRIu64 " commits taken, %" PRIu64 " fenced off\n", taken, stale);
    CHECK(taken > SEEN);
    for (int i = 0; i < 2; i++)
        mxrc_image_close(&executive[i]);
    mxrc_image_close(&plant);
    return test_summary();
}
