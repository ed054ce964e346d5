/* api.h: the functions and private structs of the core that Python (and the C tests) call.
 *
 * Like layout.h a plain subset of C that cffi's cdef reads as it is. Nothing declared here lies in the shared
 * segment. Functions that can fail return 0 or a positive errno-like code (negative where stated) and write one line for a
 * person into `error` (NUL-terminated, at most error_bytes). */

/* ---- tables: events.def, metrics.def ---- */

struct mxrc_event_def {
    uint32_t id;
    uint32_t level;
    const char *name;
    const char *logger;
    uint32_t logger_id;
    const char *format;    /* "{name}" refers to an argument */
    const char *arguments; /* "name:unit,name:unit" in order of args[] */
};
struct mxrc_metric_def {
    uint32_t index; /* into rt_metrics.counter or .histogram */
    uint32_t kind;  /* 1 counter, 2 histogram */
    const char *name;
    const char *help;
    const char *edges; /* of a histogram: upper bounds in the exported unit, comma-separated */
    double scale;      /* exported = stored (ns for histograms) * scale */
};
const struct mxrc_event_def *mxrc_event_defs(size_t *count);
const struct mxrc_metric_def *mxrc_metric_defs(size_t *count);
const char *mxrc_logger_name(uint32_t logger_id); /* NULL beyond the last */

/* ---- clock, checksum, layout ---- */

uint64_t mxrc_now_ns(void); /* CLOCK_MONOTONIC */
uint64_t mxrc_realtime_ns(void);
uint32_t mxrc_crc32c(uint32_t crc, const void *data, size_t bytes); /* start with 0 */
uint64_t mxrc_layout_hash(void);
uint32_t mxrc_program_checksum(const struct mxrc_program_slot *program);

/* ---- histogram ---- */

uint32_t mxrc_histogram_index(uint64_t ns);
uint64_t mxrc_histogram_upper(uint32_t index); /* inclusive upper edge in ns */
void mxrc_histogram_add(struct mxrc_histogram *histogram, uint64_t ns);

/* ---- segment ---- */

struct mxrc_geometry {
    char instance[MXRC_TEXT_BYTES];
    char build[MXRC_TEXT_BYTES];
    uint64_t config_hash;
    uint64_t period_ns;
    uint32_t axis_count;
    uint32_t max_members;
    uint32_t cycle_slots;   /* power of two */
    uint32_t event_slots;   /* power of two, per RT-thread lane; main-thread lanes have 1024 */
    uint32_t command_slots; /* power of two */
    uint32_t staging_slots;
    uint32_t names_rt;
    uint32_t names_nonrt;
    uint32_t data_keys;
    uint32_t data_rt_cells;
    uint32_t data_nonrt_cells;
};

enum mxrc_access {
    MXRC_ACCESS_READ = 0,  /* everything read-only: inspector */
    MXRC_ACCESS_NONRT = 1, /* Non-RT regions writable */
    MXRC_ACCESS_RT = 2     /* RT, lease and own member's regions writable */
};

struct mxrc_segment {
    uint8_t *base;
    uint64_t bytes;
    int access;
    int member; /* index of an attached RT process, -1 none */
    uint64_t generation;
    char name[MXRC_TEXT_BYTES]; /* of the shared-memory object, with leading '/' */
    int lock;     /* instance lock held by the creator of a generation until publication, else -1 */
    int presence; /* says that this RT process lives; descriptor, -1 none */
};

/* What opening found; also the return value of open and attach. */
enum mxrc_open_result {
    MXRC_OPEN_OK = 0,
    MXRC_OPEN_ABSENT = 1,   /* no such object */
    MXRC_OPEN_FOREIGN = 2,  /* not ours: magic, owner or permissions */
    MXRC_OPEN_LAYOUT = 3,   /* other layout version or hash; both in the message */
    MXRC_OPEN_CORRUPT = 4,  /* truncated, CRC, region outside the object */
    MXRC_OPEN_NO_SPACE = 5, /* /dev/shm too small; the size is in the message */
    MXRC_OPEN_SYSTEM = 6,   /* other system error */
    MXRC_OPEN_BUILDING = 7, /* not published yet: try again */
    MXRC_OPEN_BUSY = 8,     /* a live generation of other shape or no free member */
    MXRC_OPEN_LOCK = 9      /* lock file not to be had */
};

uint64_t mxrc_segment_size(const struct mxrc_geometry *geometry);

/* The instance lock: OFD lock on a file that is never replaced. Returns a descriptor, or -errno. */
int mxrc_lock_file(const char *path, int timeout_ms, char *error, size_t error_bytes);
void mxrc_unlock_file(int descriptor);

/* RT: under the lock, attach to the live generation or create one, and claim a member. A generation without a
 * live member and with another shape (config_hash, geometry, layout), of an earlier boot, or never published is
 * replaced by a new one; so is one that is damaged, when no RT process of the instance lives: `error` then says what
 * was wrong with it, though the result is MXRC_OPEN_OK.
 * *created = 1: this process made the generation. It is BUILDING, the lock stays held and every region is writable:
 * fill NAMES_RT, DATA_DIRECTORY and first values, then call mxrc_segment_publish. Others get MXRC_OPEN_BUILDING
 * until then. Detaching (or dying) before publication gives the generation up. */
int mxrc_segment_open_rt(struct mxrc_segment *segment, const char *name, const char *lock_path,
                         const struct mxrc_geometry *geometry, int *created, char *error,
                         size_t error_bytes);
/* Makes the generation of its creator LIVE: regions of other writers become read-only, the lock is let go.
 * 0, EINVAL when there is nothing to publish, ESTALE when the name is another generation's by now, or the errno of
 * the remapping (nothing published then). */
int mxrc_segment_publish(struct mxrc_segment *segment);
/* Non-RT, inspector: attach only. Only the inspector gets a retired generation or one of an earlier boot. Non-RT is
 * refused (MXRC_OPEN_BUSY) while another live process is the Non-RT process of nonrt_status. */
int mxrc_segment_attach(struct mxrc_segment *segment, const char *name, int access, char *error,
                        size_t error_bytes);
void mxrc_segment_detach(struct mxrc_segment *segment); /* releases the member; unmaps */
/* The last RT process of an orderly STOP: mark retired and unlink. MXRC_OPEN_BUSY while another live RT process is attached:
 * only this one's place is given up then, so that the last of several retires the generation; MXRC_OPEN_ABSENT or MXRC_OPEN_FOREIGN when the name is no longer this generation's. */
int mxrc_segment_retire(struct mxrc_segment *segment, const char *lock_path, char *error,
                        size_t error_bytes);
/* 0 when the object of that name is still this generation and whole, else MXRC_OPEN_ABSENT or MXRC_OPEN_FOREIGN. */
int mxrc_segment_current(const struct mxrc_segment *segment);
/* For one that only reads: if `segment` is cut short, what is missing reads as zeros in this process and does not end it. One segment
 * at a time; NULL, before it is detached: none. 0 or an errno. See bus_guard.c. */
int mxrc_bus_guard(const struct mxrc_segment *segment);
void *mxrc_region(const struct mxrc_segment *segment, uint32_t id,
                  uint64_t *bytes); /* NULL: no such region */
const struct mxrc_region_desc *mxrc_region_description(const struct mxrc_segment *segment,
                                                       uint32_t id);
int mxrc_process_alive(uint32_t pid, uint64_t process_start); /* 1, 0 */
uint64_t mxrc_process_start(uint32_t pid);                    /* 0: no such process */

/* ---- rings ---- */

struct mxrc_ring {
    struct mxrc_ring_header *header;
    uint8_t *slots;
    uint64_t mask;
    uint64_t slot_bytes;
    uint32_t region_id;
    uint32_t reserved;
};

/* 0, ENOENT (no such region) or EINVAL (not a ring). */
int mxrc_ring_open(struct mxrc_ring *ring, const struct mxrc_segment *segment, uint32_t region_id);
/* Writer side: copies slot_bytes - 8 bytes after the sequence word of `record`. Returns the record's number. */
uint64_t mxrc_ring_publish(struct mxrc_ring *ring, const void *record);
/* A successor's first act: see layout.h. Returns 0 nothing to do, 1 completed record published, 2 tombstone. */
int mxrc_ring_recover(struct mxrc_ring *ring);
/* Reader: copies up to max records from *cursor on, advances it, adds what was overwritten before it could be read to *lost.
 * A reader that was lapped goes on at head - capacity + capacity / 16. Record n comes with seq = 2n + 2. A cursor beyond
 * head (of another generation) is set to head. Returns the number of records; 0 is no error: read again later. */
uint64_t mxrc_ring_read(const struct mxrc_ring *ring, uint64_t *cursor, void *out, uint64_t max,
                        uint64_t *lost);
/* One record by number: 1 copied, 0 not there any more (or not yet). */
int mxrc_ring_read_one(const struct mxrc_ring *ring, uint64_t number, void *out);

/* Command queue: bounded, single producer (Non-RT), single consumer (RT). */
uint64_t mxrc_command_free(const struct mxrc_segment *segment);
/* 0, EAGAIN when full, or EPERM (not attached as Non-RT); *number becomes the command's number. Sets seq, and time_ns where
 * it is 0. A command that a dead Non-RT process had not finished sending is dropped: nobody was told it was accepted. */
int mxrc_command_send(struct mxrc_segment *segment, struct mxrc_command *command, uint64_t *number);

/* Sequence-locked documents and data cells; single writer each, which may be the successor of one that died while writing.
 * Errors: EAGAIN (read: being written all the time, or the writer died in it), EMSGSIZE (does not fit; read: *bytes is the
 * size needed). `target`, `source` and capacity of the shared side are multiples of 8; a reader's capacity is at
 * most the writer's. */
int mxrc_document_write(uint64_t *seq, void *target, uint32_t *target_bytes, uint64_t capacity,
                        const void *text, uint32_t bytes);
int mxrc_document_read(const uint64_t *seq, const void *source, const uint32_t *source_bytes,
                       void *out, uint32_t capacity, uint32_t *bytes);
/* Values: bool 1 byte (0, 1), int64 and double 8, an array exactly length * 8, a string up to length bytes.
 * ENOENT (no such handle), EPERM (the key has another writer), EINVAL (size, type, not finite), ERANGE (outside minimum..maximum),
 * ENODATA (read: never written). `out` has room for MXRC_DATA_BYTES. While BUILDING the creator may write every key. */
int mxrc_data_write(const struct mxrc_segment *segment, uint32_t handle, const void *value,
                    uint32_t bytes, uint64_t time_ns);
int mxrc_data_read(const struct mxrc_segment *segment, uint32_t handle, void *out, uint32_t *bytes,
                   uint64_t *time_ns);

/* Interned names. intern returns the id, 0 when full; text is cut at MXRC_NAME_BYTES - 1 bytes. */
uint32_t mxrc_name_intern(struct mxrc_segment *segment, uint32_t region_id, uint32_t kind,
                          const char *text);
/* Into NAMES_RT of a published generation: an RT process before its thread starts, with the instance lock held, for there is one
 * writer at a time. */
uint32_t mxrc_name_intern_late(struct mxrc_segment *segment, int lock, uint32_t kind,
                               const char *text);
const struct mxrc_name *mxrc_name_find(const struct mxrc_segment *segment, uint32_t id);

/* Clock anchors. */
int mxrc_clock_update(struct mxrc_segment *segment); /* 1 when an anchor was added */
uint64_t mxrc_clock_to_realtime(const struct mxrc_segment *segment, uint64_t monotonic_ns);

/* Newest valid state block: 1 copied, 0 none valid. */
int mxrc_state_read(const struct mxrc_segment *segment, struct mxrc_state_block *out);

/* ---- executive ---- */

enum mxrc_wait_mode { MXRC_WAIT_SLEEP = 0, MXRC_WAIT_HYBRID = 1, MXRC_WAIT_BUSY = 2 };
enum mxrc_overrun_policy {
    MXRC_OVERRUN_SKIP = 0,
    MXRC_OVERRUN_CATCH_UP = 1,
    MXRC_OVERRUN_REBASE = 2,
    MXRC_OVERRUN_SAFE = 3
};
enum mxrc_safe_action { MXRC_SAFE_HOLD = 0, MXRC_SAFE_RAMP = 1, MXRC_SAFE_GOTO = 2 };
enum mxrc_driver_kind { MXRC_DRIVER_SIMULATED = 1, MXRC_DRIVER_PROCESS_IMAGE = 2 };

struct mxrc_axis_config {
    char name[32];
    double position_min;
    double position_max;
    double velocity_max;
    double acceleration_max;
    double effort_max;
    double home;
    double safe_value;
    uint32_t safe_action; /* enum mxrc_safe_action */
    uint32_t reserved;
};

struct mxrc_entry_config {
    char name[32];
    uint64_t period_ns;
    uint64_t phase_ns;
    uint64_t wcet_ns;
    uint32_t criticality; /* enum mxrc_criticality */
    uint32_t run;         /* enum mxrc_entry_run */
    uint32_t text;        /* its name interned, for the log; 0: none */
    uint32_t parameter_count;
    const struct mxrc_entry_code *code; /* of MXRC_RUN_CODE; must stay where it is */
    double parameters[MXRC_ENTRY_PARAMETERS];
    uint32_t input_count;
    uint32_t output_count;
    uint32_t input[MXRC_ENTRY_VALUES];  /* handles of data-store keys of type double */
    uint32_t output[MXRC_ENTRY_VALUES]; /* the same, written by RT */
};

/* A law that tasks run. Its state is at most MXRC_TASK_LAW_STATE_BYTES, its parameters are those of the op. */
struct mxrc_task_law {
    const struct mxrc_law *law; /* NULL: none; must stay where it is as long as the executive */
    char name[32];              /* that tasks know it by */
    uint32_t text;              /* the name interned, for the log; 0: none */
    uint32_t reserved;
};

struct mxrc_exec_config {
    uint64_t period_ns;
    uint64_t deadline_ns; /* after the scheduled time */
    uint32_t wait_mode;
    uint32_t overrun_policy;
    uint64_t spin_margin_ns;
    uint32_t warmup_cycles;
    uint32_t auto_start;
    uint32_t safe_mode_resume; /* 0 manual, 1 automatic */
    uint32_t rusage;
    uint64_t heartbeat_timeout_ns;
    uint32_t sched_policy; /* SCHED_* number of the RT thread */
    uint32_t priority;
    uint64_t cpu_mask[16];     /* CPUs of the RT thread, all zero: as inherited */
    uint64_t standby_mask[16]; /* other CPUs that it may use while it is STANDBY */
    uint64_t
        stall_timeout_ns; /* a PRIMARY silent for longer is taken over from; three cycles at least */
    uint32_t standby;     /* 1: where another process is PRIMARY, wait for its lease; 0: EBUSY */
    uint32_t spin_margin_auto; /* as in mxrc_exec_live */
    uint64_t dl_runtime_ns;    /* of SCHED_DEADLINE, else 0 */
    uint64_t dl_deadline_ns;
    uint64_t dl_period_ns;
    uint32_t commands_per_cycle;
    uint32_t axis_count;
    struct mxrc_axis_config axis[MXRC_AXES];
    uint32_t entry_count;
    uint32_t driver; /* enum mxrc_driver_kind */
    struct mxrc_entry_config entry[MXRC_ENTRIES];
    double simulated_time_constant_s;
    double simulated_inertia; /* kg m^2 or kg, under commands of effort; 0: none are taken */
    double simulated_damping; /* N m s/rad or N s/m */
    char image_name[MXRC_TEXT_BYTES]; /* of driver PROCESS_IMAGE */
    uint64_t image_timeout_ns;        /* inputs of the plant that are older are a fault */
    const struct mxrc_law
        *law;          /* NULL: position_servo; must stay where it is as long as the executive */
    uint32_t law_name; /* interned, for the log; 0: none */
    uint32_t law_parameter_count;
    double law_parameters[MXRC_LAW_PARAMETERS];
    struct mxrc_task_law task_law[MXRC_PROGRAM_LAWS]; /* handles of op CONTROL_LAW */
    char thread_name[16];
    uint32_t
        ignore_state; /* 1: begin anew whatever the state block says (enable_state_recovery false) */
    uint32_t reserved0;
};

/* ---- control laws: see law.h ---- */

const struct mxrc_law *mxrc_law_builtin(const char *name); /* NULL: no such law */
/* A law in a shared object, which is loaded for good. EPERM when others than its owner, root or this user, may write the
 * file; EINVAL when it is no law of this interface; ENOENT for file or symbol. */
int mxrc_law_load(const char *path, const char *symbol, const struct mxrc_law **law, char *error,
                  size_t error_bytes);
/* 0, or EINVAL with what of the law, or of its number of parameters, does not fit. */
int mxrc_law_check(const struct mxrc_law *law, uint32_t parameter_count, char *error,
                   size_t error_bytes);

/* As mxrc_law_check, of a law that tasks run: it commands positions, and state and parameters are few. */
int mxrc_law_check_task(const struct mxrc_law *law, uint32_t parameter_count, char *error,
                        size_t error_bytes);

/* ---- schedule entries: see entry.h ---- */

/* As mxrc_law_load. */
int mxrc_entry_load(const char *path, const char *symbol, const struct mxrc_entry_code **code,
                    char *error, size_t error_bytes);
/* 0, or EINVAL with what of the code, or of the numbers of its parameters and values, does not fit. */
int mxrc_entry_check(const struct mxrc_entry_code *code, uint32_t parameters, uint32_t inputs,
                     uint32_t outputs, char *error, size_t error_bytes);

/* What a checkpoint says about a machine whose segment is gone. */
struct mxrc_exec_restore {
    uint32_t state; /* enum mxrc_rt_state: READY to ERROR */
    uint32_t state_before;
    uint32_t safe_cause;
    uint32_t checkpoint; /* interned name: the checkpoint's id, for the log; 0: none */
    uint64_t cycle;      /* on the time grid of its generation */
    double setpoint[MXRC_AXES];
    uint32_t driver_version; /* of section DRIVER; ignored when the driver does not take it */
    uint32_t driver_bytes;
    uint8_t driver[1088];
};

/* Scheduling policy of a thread (0: the caller); priority counts for FIFO and RR, the times for SCHED_DEADLINE (sched_setattr(2)).
 * 0 or errno. */
int mxrc_sched_set(uint32_t tid, uint32_t policy, uint32_t priority, uint64_t dl_runtime_ns,
                   uint64_t dl_deadline_ns, uint64_t dl_period_ns);

/* Has thread `tid` of this process set its NUMA memory policy, interrupted by a real-time signal (SA_RESTART): mode and nodes as in
 * set_mempolicy(2), at most 16 words, none for MPOL_DEFAULT. 0; ESRCH: it has ended; ETIMEDOUT: it blocks the signal or does not run;
 * else what the kernel says. One caller at a time. */
int mxrc_thread_memory_policy(uint32_t tid, int mode, const uint64_t *nodes, uint32_t words,
                              uint32_t timeout_ms);

/* Sleeps to `count` points of a grid from now on: late_ns[i] is how late the caller woke for point i. Points that passed in a delay
 * count with what was left of it. 0 or errno. */
int mxrc_wakeup_measure(uint64_t period_ns, uint32_t count, uint32_t *late_ns);

struct mxrc_exec; /* private to the core */

struct mxrc_exec *mxrc_exec_new(struct mxrc_segment *segment, const struct mxrc_exec_config *config,
                                char *error, size_t error_bytes);
/* Creates the RT thread (stack prefaulted and locked, affinity and policy set by the thread itself before its first cycle) and waits
 * until it is PRIMARY or, with `standby`, STANDBY. 0, with `error` empty or saying what of its placement could not be had; else why it
 * does not run: EBUSY when another process is PRIMARY. */
int mxrc_exec_start(struct mxrc_exec *exec, char *error, size_t error_bytes);
/* Before start: 1 when the segment has a valid state block that this executive can go on from. */
int mxrc_exec_state_usable(struct mxrc_exec *exec);
/* Before start: go on from this where it has none. The set-points become the measured positions, so that
 * nothing moves at the start; an axis that is elsewhere than its checkpoint says is logged. Tasks are not part of it. 0 or EINVAL. */
int mxrc_exec_restore(struct mxrc_exec *exec, const struct mxrc_exec_restore *restore, char *error,
                      size_t error_bytes);
int mxrc_exec_running(const struct mxrc_exec *exec);        /* 1 while the thread has not ended */
int mxrc_exec_join(struct mxrc_exec *exec, int timeout_ms); /* 0 ended, ETIMEDOUT */
/* 0: ended by STOP. EAGAIN: handed over as asked; a new executive in this process becomes STANDBY. ESTALE: another process
 * has taken over while this one stood still. Else an errno. */
int mxrc_exec_result(const struct mxrc_exec *exec);
const char *mxrc_exec_reason(
    const struct mxrc_exec *exec); /* of the result; "": none; after the thread has ended */
void mxrc_exec_free(struct mxrc_exec *exec);
/* Asks the PRIMARY, which this process is, to hand over to a STANDBY (index of the member) at the end of a cycle. 0; EINVAL: not
 * such a STANDBY; EBUSY: another hand-over is under way; EPERM: this process is not PRIMARY. */
int mxrc_handover_request(struct mxrc_exec *exec, int member);
/* From the process's main thread, lock-free mailbox: enum mxrc_rt_event. 0, or EAGAIN when the last one was not taken yet. */
int mxrc_exec_post(struct mxrc_exec *exec, uint32_t rt_event);
/* Live settings: taken over at the start of a cycle, by a STANDBY at its next look at the PRIMARY. */
struct mxrc_exec_live {
    uint64_t deadline_ns;
    uint64_t spin_margin_ns;
    uint64_t heartbeat_timeout_ns;
    uint64_t stall_timeout_ns;
    uint32_t overrun_policy;
    uint32_t safe_mode_resume;
    uint32_t wait_mode;
    uint32_t
        spin_margin_auto; /* 1: it follows how late the kernel wakes the thread, spin_margin_ns is ignored */
};
int mxrc_exec_apply(struct mxrc_exec *exec, const struct mxrc_exec_live *live);

/* The same executive driven by hand with a clock of the caller's: unit tests. begin() does what the thread does before its first
 * cycle (lease, recovery, restore); cycle() waits for and runs one slot. The clock's `advance_ns` is added at each reading. */
struct mxrc_fake_clock {
    uint64_t now_ns;
    uint64_t advance_ns;
    uint64_t sleeps;
    uint64_t
        work_ns; /* added once per cycle, after the inputs were read: a stall or a long computation */
    uint64_t oversleep_ns; /* each sleep ends so much too late */
};
int mxrc_exec_use_clock(struct mxrc_exec *exec, struct mxrc_fake_clock *clock);
int mxrc_exec_begin(struct mxrc_exec *exec, char *error, size_t error_bytes);
int mxrc_exec_cycle(
    struct mxrc_exec *exec); /* 0 go on, 1 ended by STOP, else as mxrc_exec_result */
void mxrc_exec_end(struct mxrc_exec *exec);

/* State table of the contract: the next state, or -1 where the event is refused. `before` is the state SAFE_MODE was entered from. */
int mxrc_state_next(uint32_t state, uint32_t event, uint32_t before);
const char *mxrc_state_name(uint32_t state);
const char *mxrc_rt_event_name(uint32_t event);
const char *mxrc_result_name(uint32_t result);

/* Structure check of a compiled task against the axes: MXRC_OK or the reason; *op becomes the offending op. */
int mxrc_program_validate(const struct mxrc_program_slot *program,
                          const struct mxrc_axis_config *axes, uint32_t axis_count,
                          uint32_t data_keys, uint32_t *op);

/* A log event of the RT process's main thread into its own lane (not for the RT thread). 0, ENOENT for an unknown id. */
int mxrc_main_log(struct mxrc_segment *segment, uint32_t message_id, const double *args,
                  uint32_t count);

/* Preparation of the process: 0 when all of its memory is locked, else an errno, EPERM when it is the segment's only. Says
 * what it did in one line. */
int mxrc_lock_memory(const struct mxrc_segment *segment, char *report, size_t report_bytes);
