/* exec.h: the executive's private state. One RT thread owns all of it while it runs; the words that the main
 * thread shares with it (mailbox, live settings, result) are in struct mxrc_outside and atomic. */
#ifndef MXRC_EXEC_H
#define MXRC_EXEC_H

#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>

#include "atomic.h"
#include "motion_path.h"
#include "mxrc/core.h"
#include "mxrc/driver.h"
#include "mxrc/entry.h"
#include "mxrc/law.h"
#include "watch.h"

#define MXRC_TASK_LAW_STATE_BYTES 512
#define MXRC_TASK_LAW_RUNS 4 /* at once: the state block has room for so many */
#define MXRC_ALL_EVENTS 256  /* ids of log templates are below */

/* Points at which a test may end the thread as a crash would. */
enum mxrc_phase {
    MXRC_AT_JUDGED = 0, /* standby: the PRIMARY was judged, nothing done yet */
    MXRC_AT_TAKEN,      /* standby: owner and epoch swapped, epoch not admitted */
    MXRC_AT_FENCED,     /* standby: epoch admitted, old process not killed */
    MXRC_AT_KILLED,     /* standby: mutex not taken */
    MXRC_AT_LEASE,      /* mutex held, epoch not raised */
    MXRC_AT_EPOCH,      /* epoch raised, rings not recovered */
    MXRC_AT_RESTORED,
    MXRC_AT_WAKE,
    MXRC_AT_INPUTS,
    MXRC_AT_COMMANDS,
    MXRC_AT_STATE,
    MXRC_AT_TASKS,
    MXRC_AT_LAW,
    MXRC_AT_COMMIT,      /* outputs computed, not committed */
    MXRC_AT_COMMITTED,   /* committed, state block not written */
    MXRC_AT_STATE_BLOCK, /* in the middle of the state block */
    MXRC_AT_STATE_DONE,  /* state block valid, status not published */
    MXRC_AT_STATUS,      /* status published, cycle record not */
    MXRC_AT_RECORD,
    MXRC_PHASES
};

struct mxrc_exec;
struct mxrc_section;

/* Trace context that log events and spans carry. */
struct mxrc_trace {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags;
};

/* The slot that is running. */
struct mxrc_cycle {
    uint64_t cycle;
    uint64_t scheduled_ns;
    uint64_t wake_ns;
    uint64_t commit_ns;
    uint64_t end_ns;
    uint64_t
        elapsed_ns; /* of the grid since the last slot that ran: one period, more after skipped slots */
    uint64_t gap_ns; /* by the clock, since the wake-up of that slot, whoever ran it */
    uint32_t slot;
    uint32_t skipped;
    uint32_t flags;
    uint64_t mark_ns; /* end of the last stage or entry */
    uint32_t longest_ns;
    uint32_t longest_entry;
    uint32_t driven; /* axes whose set-point a task has set in this cycle */
};

/* Pointers into the segment, by writer. */
struct mxrc_views {
    struct mxrc_lease *lease;
    struct mxrc_rt_status *status;
    struct mxrc_rt_metrics *metrics;
    struct mxrc_entry_metrics *entries;
    struct mxrc_member *member;
    struct mxrc_state_block *state;
    struct mxrc_program_slot *program;
    struct mxrc_ring cycles;
    struct mxrc_ring lane;
    const struct mxrc_program_slot *staging;
    uint32_t staging_slots;
    const struct mxrc_nonrt_status *nonrt;
    const struct mxrc_control *control;
    const struct mxrc_data_directory *data;
    const struct mxrc_ring_header *commands;
};

/* Storm limit of one message id. */
struct mxrc_storm {
    uint64_t window_start_ns;
    uint32_t in_window;
    uint32_t suppressed;
    double args[MXRC_ARGS]; /* of the last one left out */
};

/* Shared with the main thread. */
struct mxrc_outside {
    uint32_t mailbox;    /* enum mxrc_rt_event + 1; 0: empty */
    uint32_t live_state; /* enum mxrc_live_state in live.c */
    struct mxrc_exec_live live;
    uint32_t thread; /* 0 none, 1 running, 2 ended; release by the RT thread */
    uint32_t result;
};

/* What a STANDBY knows of the PRIMARY. */
struct mxrc_standby {
    struct mxrc_watch watch;
    uint64_t owner;     /* word of the lease that is watched */
    uint64_t due_ns;    /* next look */
    int pidfd;          /* of the owner's process, -1: none */
    uint32_t ended;     /* looks in a row that found that process ended */
    uint32_t stuck;     /* it was said that the mutex is not to be had */
    uint32_t gave_way;  /* the lease was left to the one it was meant for */
    uint64_t fenced_ns; /* when the lease was taken from one that had the mutex, 0: not */
    uint32_t owner_died;
    uint32_t reserved;
};

/* An entry with code of its own. */
struct mxrc_entry {
    const struct mxrc_entry_config *config;
    uint64_t cycles; /* period */
    uint64_t next;   /* grid index of its next slot */
    uint32_t slot;   /* of its metrics */
    uint32_t reserved;
    double value[MXRC_ENTRY_VALUES]; /* inputs as last read */
    _Alignas(16) uint8_t state[MXRC_ENTRY_STATE_BYTES];
};

/* A law that runs for a task. */
struct mxrc_law_run {
    _Alignas(16) uint8_t state[MXRC_TASK_LAW_STATE_BYTES];
    uint32_t strand; /* number of the one that runs it, from 1; 0: free */
    uint32_t key;    /* handle of the law */
};

struct mxrc_exec {
    struct mxrc_segment *segment;
    struct mxrc_exec_config config;
    struct mxrc_exec_live live; /* in force */
    uint64_t spin_margin_ns;    /* in force: as configured, or learned */
    struct mxrc_views at;
    struct mxrc_outside outside;
    struct mxrc_fake_clock *fake;

    /* lease and grid */
    uint64_t epoch;
    uint64_t origin_ns;
    uint32_t holds_lease;
    uint32_t slots;
    uint32_t pid;
    uint32_t tid;
    uint32_t cpu;
    uint64_t started_ns;
    uint64_t warmup_left;
    struct mxrc_standby standby;
    uint32_t handover_slots; /* it has been put off for so many */
    uint32_t was_standby;

    /* state machine */
    uint32_t state;
    uint32_t state_before;
    uint32_t safe_cause;
    uint32_t start_pending; /* auto_start has not been issued since INIT */
    uint64_t state_since_ns;
    uint64_t shutdown_since_ns;
    uint32_t finished;
    uint32_t recovery;       /* 0 clean start, 1 state block, 2 checkpoint */
    uint32_t limits_crc;     /* of the limits that moves are planned with */
    uint32_t limits_changed; /* since the state that was restored */
    uint32_t stopped_before; /* that state was left in order: nothing of it goes on */
    uint32_t restore_given;
    struct mxrc_exec_restore restore; /* of a checkpoint */
    uint64_t recovery_gap;

    /* heartbeat of Non-RT */
    uint32_t heartbeat_armed;
    uint32_t heartbeat_lost;
    uint64_t heartbeat_fresh_since_ns;

    /* commands */
    uint64_t command_tail;

    /* motion */
    struct mxrc_cycle now;
    uint64_t
        last_wake_ns; /* of the slot before this one; of a clean start: when the axes were found */
    struct mxrc_driver_inputs inputs;
    struct mxrc_driver_outputs outputs;
    struct mxrc_axis_state axis[MXRC_AXES];
    double safe_hold[MXRC_AXES]; /* where SAFE_MODE or ERROR found the axis */
    uint32_t law_engaged;        /* the law made the last outputs; else it is reset first */
    uint32_t driver_failed;      /* the last reading did */
    /* Committed by a predecessor after the state that was restored, until the first cycle; axes 0: nothing. */
    struct mxrc_driver_outputs unseen;

    /* tasks */
    struct mxrc_task_state task[MXRC_TASKS];
    struct mxrc_strand branch[MXRC_TASK_BRANCHES];
    uint64_t task_freed_cycle[MXRC_TASKS];
    /* Plans of the moves in progress, by task, then by branch; made again from the state after a restart. */
    struct mxrc_path path[MXRC_TASKS + MXRC_TASK_BRANCHES];
    struct mxrc_law_run law_run[MXRC_TASK_LAW_RUNS];
    uint32_t law_runs; /* in use */
    uint32_t reserved3;
    uint32_t task_law_identity[MXRC_PROGRAM_LAWS]; /* CRC32C of the names */
    uint32_t branches;                             /* in use */
    uint32_t reserved1;
    uint32_t active_tasks;
    uint32_t task_asks_safe; /* enum mxrc_safe_cause; 0: no */

    /* law and driver */
    const struct mxrc_law *law;
    double law_parameters[MXRC_LAW_PARAMETERS];
    _Alignas(16) uint8_t law_state[MXRC_LAW_STATE_BYTES];
    struct mxrc_law_input law_input;
    const struct mxrc_driver *driver;
    void *driver_instance;
    _Alignas(16) uint8_t driver_state[MXRC_DRIVER_STATE_BYTES];

    /* schedule */
    struct mxrc_entry entry[MXRC_ENTRIES];
    struct mxrc_entry_input entry_input;
    uint32_t entry_count;
    uint32_t late_before; /* the cycle before this one missed its deadline or overran */
    uint64_t law_cycles;  /* period of the law */
    uint64_t law_phase;
    uint64_t law_ran_ns;           /* wake-up of the slot in which it ran last */
    double law_command[MXRC_AXES]; /* what it asked for last */
    uint32_t law_made;             /* in this cycle */
    uint32_t entry_text[MXRC_ENTRY_SLOTS];
    uint64_t took_ns[MXRC_ENTRY_SLOTS]; /* in this cycle */
    uint64_t took;                      /* bit of each that ran in it */

    /* state block */
    const struct mxrc_section *section[MXRC_STATE_SECTIONS];
    uint32_t section_count;
    uint32_t reserved0;
    uint64_t state_writes;
    struct mxrc_state_block block; /* put together here, then copied out */

    /* observation */
    uint64_t span_counter;
    uint64_t span_seed;
    uint32_t spans_made;     /* by this process: which of them are timed */
    struct mxrc_trace trace; /* of the command being handled */
    const struct mxrc_event_def *event_def[MXRC_ALL_EVENTS];
    struct mxrc_storm storm[MXRC_ALL_EVENTS];
    uint32_t storm_next;
    uint32_t window_misses;
    uint64_t cycles_run;
    struct rusage usage;

    /* thread */
    pthread_t thread;
    uint32_t thread_made;
    uint32_t thread_joined;
    sem_t begun;
    sem_t ended;
    char begin_error[256];
    char placement_warning[256];

    /* tests; NULL and 0 in production */
    void (*at_phase)(void *context, uint32_t phase);
    void *at_phase_context;
    uint32_t spare_old; /* a take-over does not kill */
    uint32_t reserved2;
};

static inline void mxrc_phase(const struct mxrc_exec *exec, uint32_t phase)
{
    if (exec->at_phase)
        exec->at_phase(exec->at_phase_context, phase);
}

/* The task whose place `strand` is. */
static inline const struct mxrc_task_state *mxrc_strand_task(const struct mxrc_exec *exec,
                                                             const struct mxrc_strand *strand)
{
    return &exec->task[strand->owner - 1];
}

uint64_t mxrc_exec_now(struct mxrc_exec *exec);

/* The part of mxrc_exec_begin that follows the lease: recover, restore, enter the grid. Gives the lease back on failure. */
int mxrc_exec_enter(struct mxrc_exec *exec, int owner_died, char *error, size_t error_bytes);

/* The law from now on; before begin. 0, or EINVAL with what does not fit. */
int mxrc_exec_use_law(struct mxrc_exec *exec, const struct mxrc_law *law, const double *parameters,
                      uint32_t count, char *error, size_t error_bytes);

#endif
