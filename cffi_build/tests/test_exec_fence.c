/* test_exec_fence.c: outputs of a PRIMARY whose epoch is no longer admitted reach no device; nor does it write
 * anything that its successor writes. The same claim fails for a driver without the fence. */
#include "exec_fixture.h"

/* The driver once more, with its check left out. */
#define MXRC_WRONG_NO_FENCE
#define mxrc_driver_simulated wrong_driver
#include "../src/driver_simulated.c"
#undef mxrc_driver_simulated

/* A PRIMARY moves the arm and is fenced off between two cycles, as one that was stopped between its check and its
 * commit would be. The number of commits that reached the plant afterwards. */
static uint32_t stale_commits(const struct mxrc_driver *variant)
{
    struct mxrc_exec *exec = exec_begun();
    exec->driver = variant;
    program_begin();
    program_move(0, 1.0, 0);
    program_end();
    send_start(1, 0);
    exec_run(exec, 200);
    struct mxrc_lease *lease = mxrc_region(&rt, MXRC_REGION_LEASE, NULL);
    const struct plant *plant = (const void *)exec->driver_state;
    uint64_t cycle = plant->cycle;
    uint64_t head = cycles.header->head, beat_ns = rt_status()->heartbeat_ns;
    struct mxrc_state_block before[2];
    memcpy(before, exec->at.state, sizeof before);

    mxrc_store_release(&lease->admitted_epoch, exec->epoch + 1);
    int result = exec_run(exec, 10);
    uint32_t reached = plant->cycle != cycle;
    if (!reached) {
        CHECK_EQUAL(result, ESTALE);
        CHECK_EQUAL(cycles.header->head, head);
        CHECK_EQUAL(rt_status()->heartbeat_ns, beat_ns);
        CHECK(memcmp(before, exec->at.state, sizeof before) == 0);
        struct mxrc_event event;
        CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_COMMIT_REFUSED, &event));
        CHECK_EQUAL(event.level, MXRC_LEVEL_CRITICAL);
    }
    exec_done(exec);
    return reached;
}

int main(void)
{
    exec_config_default();
    CHECK_EQUAL(stale_commits(mxrc_driver_find(MXRC_DRIVER_SIMULATED)), 0);
    CHECK_EQUAL(stale_commits(&wrong_driver), 1);
    return test_summary();
}
