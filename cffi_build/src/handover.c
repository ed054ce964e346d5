/* handover.c: lease.requested names the member that is to follow. The main thread of the PRIMARY writes it when it is 0; the
 * RT thread of the PRIMARY, old or new, sets it back. */
#include <errno.h>

#include "handover.h"
#include "log.h"
#include "standby.h"

/* The successor's last turn may be so old: it takes one at least every 10 ms. */
#define FRESH_NS 50000000
/* Slots without enough time left in them before it is done all the same. */
#define PUT_OFF_SLOTS 1000

static int possible(const struct mxrc_exec *exec, int member)
{
    return member != exec->segment->member && exec->state != MXRC_STATE_SHUTDOWN &&
           mxrc_standby_warm(exec, member, FRESH_NS);
}

int mxrc_handover_request(struct mxrc_exec *exec, int member)
{
    if (mxrc_load_acquire32(&exec->at.member->role) != MXRC_ROLE_PRIMARY)
        return EPERM;
    if (member == exec->segment->member || !mxrc_standby_warm(exec, member, FRESH_NS))
        return EINVAL;
    return mxrc_cas_u64(&exec->at.lease->requested, 0, (uint64_t)(member + 1)) ? 0 : EBUSY;
}

/* What is left of the period must do for waking the successor, and for its way to the next slot. */
static int time_left(struct mxrc_exec *exec)
{
    if (exec->now.end_ns + exec->config.period_ns / 2 <= exec->now.scheduled_ns)
        return 1;
    return ++exec->handover_slots >= PUT_OFF_SLOTS;
}

int mxrc_handover_due(struct mxrc_exec *exec)
{
    uint64_t requested = mxrc_load_acquire(&exec->at.lease->requested);
    int member = (int)requested - 1;
    if (requested == 0)
        return 0;
    if (!possible(exec, member)) {
        mxrc_log(exec, MXRC_EV_HANDOVER_REFUSED, NULL, member);
        mxrc_store_release(&exec->at.lease->requested, 0);
        exec->handover_slots = 0;
        return 0;
    }
    if (!time_left(exec))
        return 0;
    mxrc_log(exec, MXRC_EV_HANDED_OVER, NULL, member);
    return 1;
}
