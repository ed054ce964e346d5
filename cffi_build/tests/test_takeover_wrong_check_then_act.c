/* test_takeover_wrong_check_then_act.c: commits look at the epoch and then store. A PRIMARY that stood still in between reaches the
 * devices after it was taken over: the harness must see it. */
#define MXRC_WRONG_CHECK_THEN_ACT
#include "takeover.h"

#define TRIES 10 /* the successor's next commit may cover a stale one before the plant has looked */

static int poisoned(void)
{
    return mxrc_load_acquire32(&plant->poisoned) != 0;
}

static void test_stall_without_fence(enum stop_at place)
{
    arena_begin(2, 0);
    mxrc_store_release32(&plant->spare, 1);
    for (int i = 0; i < TRIES && !poisoned(); i++) {
        if (!settle("no fence"))
            break;
        if (!stall_and_continue(place)) /* taken over before it came there: a busy machine */
            continue;
        tend_until(poisoned, 1);
    }
    CHECK_SAY(poisoned(), "the stale output was not found");
    arena_kill();
}

int main(void)
{
    dice = mxrc_now_ns() | 1;
    test_stall_without_fence(STOP_BEFORE_BUFFER);
    test_stall_without_fence(STOP_IN_BUFFER);
    return test_summary();
}
