/* layout.h: every byte that two processes share, described once.
 *
 * A plain subset of C: cffi's cdef reads this file as it is, numpy dtypes are derived from the offsets
 * cffi computes, the inspector walks the same description. So: `#define NAME integer`, enums and
 * structs only; no include guard (core.h includes it, once), no attributes. Sizes and cache-line
 * placement are asserted in src/layout.c. A hash over this text (and events.def, metrics.def) goes into the
 * segment header; a process built from another text refuses the segment and names both hashes.
 *
 * Conventions
 *   - all integers little-endian, all times nanoseconds of CLOCK_MONOTONIC unless the name says realtime
 *   - offsets inside the segment, never pointers
 *   - every struct names its writer; a word without a stated order is written before the struct's
 *     publication word (seq or head) and read after it
 *   - "seq" of a slot holding record n: 2n+1 while it is being written, 2n+2 when done (0: never written)
 */

#define MXRC_LAYOUT_VERSION 2
#define MXRC_MAGIC 0x3143525853484d21

#define MXRC_PAGE_BYTES 4096
#define MXRC_LINE_BYTES 64
#define MXRC_SLOT_BYTES 256
#define MXRC_AXES 8
#define MXRC_REGIONS 64
#define MXRC_MEMBERS 8
#define MXRC_LANES 16
#define MXRC_CONSUMERS 16
#define MXRC_LOGGERS 64
#define MXRC_COUNTERS 64
#define MXRC_HISTOGRAMS 8
#define MXRC_TASKS 16
#define MXRC_ARGS 6
#define MXRC_TEXT_BYTES 64
#define MXRC_ANCHORS 64

/* ---- 1. Regions ------------------------------------------------------------------------------------- */

/* Who may map a region writable. A process maps every other region read-only. */
enum mxrc_writer {
    MXRC_WRITER_CREATOR = 0, /* written before publication, read-only ever after */
    MXRC_WRITER_RT = 1,      /* the RT thread of the PRIMARY (fenced by lease and epoch) */
    MXRC_WRITER_MEMBER = 2,  /* one attached RT process, given by region_desc.member */
    MXRC_WRITER_NONRT = 3,   /* the Non-RT process */
    MXRC_WRITER_LEASE = 4    /* any RT process, by compare-and-swap and the robust mutex */
};

/* Ids are stable; new regions get new ids. Per-member regions are base + member index. */
enum mxrc_region_id {
    MXRC_REGION_HEADER = 0,
    MXRC_REGION_CLOCK =
        1, /* mxrc_clock: history of (monotonic, realtime) anchors; writer RT-main */
    MXRC_REGION_LEASE = 2,          /* mxrc_lease */
    MXRC_REGION_RT_STATUS = 3,      /* mxrc_rt_status */
    MXRC_REGION_RT_METRICS = 4,     /* mxrc_rt_metrics: counters, histograms, miss window */
    MXRC_REGION_CYCLE_RING = 5,     /* mxrc_ring_header + mxrc_cycle_record[] */
    MXRC_REGION_STATE = 6,          /* mxrc_state_block[2] */
    MXRC_REGION_PROGRAMS = 7,       /* mxrc_program_slot[MXRC_TASKS] */
    MXRC_REGION_DATA_DIRECTORY = 8, /* mxrc_data_directory + mxrc_data_key[] */
    MXRC_REGION_DATA_RT = 9,        /* mxrc_data_cell[] of keys that RT writes */
    MXRC_REGION_DATA_NONRT = 10,    /* mxrc_data_cell[] of keys that Non-RT writes */
    MXRC_REGION_NAMES_RT =
        11, /* mxrc_names + mxrc_name[]; axes, schedule entries, loggers; creator */
    MXRC_REGION_NAMES_NONRT = 12,  /* mxrc_names + mxrc_name[]; task, sequence and action names */
    MXRC_REGION_NONRT_STATUS = 13, /* mxrc_nonrt_status */
    MXRC_REGION_CONTROL =
        14, /* mxrc_control: thresholds that RT reads every cycle; writer Non-RT */
    MXRC_REGION_CURSORS = 15,  /* mxrc_cursors: one per consumer; writer Non-RT */
    MXRC_REGION_COMMANDS = 16, /* mxrc_ring_header + mxrc_command[] */
    MXRC_REGION_STAGING =
        17, /* mxrc_program_slot[]: compiled tasks on their way to RT; writer Non-RT */
    MXRC_REGION_ADMIN_REQUEST = 18,  /* mxrc_document: Non-RT asks RT's main thread */
    MXRC_REGION_NONRT_DOCUMENT = 19, /* mxrc_document: ports in force, health, for the tools */
    MXRC_REGION_ENTRIES =
        20, /* mxrc_entry_metrics[MXRC_ENTRY_SLOTS]: what the cycle's time goes into */
    MXRC_REGION_MEMBER = 24, /* ..31 mxrc_member, one per attached RT process */
    MXRC_REGION_LANE =
        32 /* ..47 mxrc_ring_header + mxrc_event[]; lane 2m: RT thread of member m, 2m+1: its main thread */
};

/* 64 bytes. Writer: creator. */
struct mxrc_region_desc {
    uint32_t id;
    uint32_t writer; /* enum mxrc_writer */
    uint64_t offset; /* page-aligned, from the start of the segment */
    uint64_t size;   /* bytes, multiple of the page */
    uint32_t version;
    uint32_t member;        /* for MXRC_WRITER_MEMBER, else 0 */
    uint32_t element_bytes; /* of the array in it, 0 for a single struct */
    uint32_t element_count;
    char name[24];
};

/* First page of the segment; the table of regions is at MXRC_PAGE_BYTES. Writer: creator, except `state`. */
struct mxrc_header {
    uint64_t magic;
    uint32_t layout_version;
    uint32_t header_bytes;
    uint64_t layout_hash;
    uint64_t segment_bytes;
    uint64_t generation; /* realtime ns at creation: names this incarnation once and for all */
    uint64_t created_monotonic_ns;
    uint32_t creator_pid;
    uint32_t creator_uid;
    uint32_t region_count;
    uint32_t state; /* enum mxrc_segment_state; release store / acquire load; under the lock file */
    uint8_t boot_id[16];
    uint64_t config_hash; /* of what shapes the segment: data keys, axes, sizes */
    uint64_t period_ns;   /* of the cycle; part of the grid, fixed for a generation */
    uint32_t crc; /* CRC32C of the header with crc = 0 and state = 0, and of the region table */
    uint32_t axis_count;
    uint32_t max_members;
    uint32_t reserved0;
    char instance[MXRC_TEXT_BYTES];
    char build[MXRC_TEXT_BYTES]; /* version of the creator's package */
    uint64_t reserved1[2];
};

enum mxrc_segment_state {
    MXRC_SEGMENT_BUILDING = 0,
    MXRC_SEGMENT_LIVE = 1,
    MXRC_SEGMENT_RETIRED = 2 /* stopped in order; kept only for reading */
};

/* Pairs of clock readings, so that a monotonic time becomes a wall-clock time as it was then.
 * Convert the start of a span and add the monotonic difference for its end: a clock step then never puts a
 * child outside its parent. Writer: main thread of the PRIMARY. anchor[n % MXRC_ANCHORS] holds anchor n;
 * count is stored with release after it. A new anchor is added when realtime - monotonic moved by > 1 ms. */
struct mxrc_anchor {
    uint64_t monotonic_ns;
    uint64_t realtime_ns;
};
struct mxrc_clock {
    uint64_t count;
    uint64_t reserved[7];
    struct mxrc_anchor anchor[MXRC_ANCHORS];
};

/* ---- Lease ------------------------------------------------------------------------------------------- */

/* Who is PRIMARY. owner is (epoch << 16) | (member + 1); 0: nobody yet. Changed only by compare-and-swap
 * to epoch + 1 (acq_rel). admitted_epoch is what outputs must carry (release; raised before the old process is
 * killed). The mutex is a plain robust pthread mutex held by the RT thread of the PRIMARY for its whole life: EOWNERDEAD
 * proves that the old thread is gone. The grid words are written once by the first PRIMARY of a generation
 * (before owner is stored) and by policy `rebase`. */
struct mxrc_lease {
    uint8_t mutex[64];
    uint64_t owner;
    uint64_t admitted_epoch;
    uint64_t expiry_ns; /* 0: no expiry (one host) */
    uint64_t node_id;
    uint64_t requested; /* hand-over: member + 1 that the PRIMARY is asked to step down for */
    uint64_t reserved0[3];
    uint64_t grid_origin_ns; /* slot k is scheduled at grid_origin_ns + k * period_ns */
    uint64_t period_ns;
    uint64_t start_count; /* RT processes that became PRIMARY in this generation; atomic add */
    uint64_t reserved1[5];
};

enum mxrc_role { MXRC_ROLE_NONE = 0, MXRC_ROLE_STANDBY = 1, MXRC_ROLE_PRIMARY = 2 };

/* One attached RT process. Writer: that process (thread named behind each field). */
struct mxrc_member {
    uint32_t pid; /* main, release store last when attaching, 0 stored first when leaving */
    uint32_t tid; /* RT thread */
    uint64_t
        process_start; /* main: field 22 of /proc/PID/stat; with pid names a process beyond pid reuse */
    uint64_t
        heartbeat_ns; /* RT thread: every cycle, and every turn of the standby's watch loop; release */
    uint64_t main_heartbeat_ns; /* main thread; release */
    uint32_t role;              /* RT thread; enum mxrc_role; release */
    uint32_t cpu;               /* RT thread: CPU of the last cycle */
    uint64_t admin_reply;       /* main: number of the last admin request answered; release */
    uint64_t reserved[9];
    /* Status document of the main thread: placement in force, degraded reasons; UTF-8 JSON under a
     * sequence word: odd while being written (release fence discipline as for ring slots). */
    uint64_t document_seq;
    uint32_t document_bytes;
    uint32_t reserved1;
    char document[16000];
};

/* ---- 2. Rings ------------------------------------------------------------------------------------------ */

/* First 256 bytes of a ring region, slots follow. Writer: the ring's writer. */
struct mxrc_ring_header {
    uint64_t head; /* records ever published; release store after the slot's even seq */
    uint64_t reserved0[7];
    uint64_t capacity; /* slots, power of two; creator */
    uint64_t slot_bytes;
    uint64_t tombstones; /* records given up because their writer died in them */
    uint64_t reserved1[21];
};

enum mxrc_cycle_flag {
    MXRC_CYCLE_DEADLINE_MISS = 1,  /* outputs of this slot were committed after its deadline */
    MXRC_CYCLE_OVERRUN = 2,        /* the next slot's start had passed when this one ended */
    MXRC_CYCLE_SKIPPED_BEFORE = 4, /* `skipped` slots before this one were never run */
    MXRC_CYCLE_WARMUP = 8,         /* not in the statistics */
    MXRC_CYCLE_FIRST = 16,         /* first cycle of a PRIMARY after start or take-over */
    MXRC_CYCLE_OUTPUTS_HELD =
        32, /* outputs were not what the program asked for: held, limited or safe */
    MXRC_CYCLE_EXTENDED = 64,   /* the next record is this one's extension */
    MXRC_CYCLE_TOMBSTONE = 128, /* writer died in this record; nothing else in it is meant */
    MXRC_CYCLE_LIMITED = 256    /* a per-axis limit cut an output */
};

/* One cycle, 256 bytes. */
struct mxrc_cycle_record {
    uint64_t seq;
    uint64_t cycle; /* index on the time grid since its origin; skipped slots count */
    uint64_t scheduled_ns;
    uint64_t wake_ns;   /* jitter = wake - scheduled */
    uint64_t commit_ns; /* outputs committed */
    uint64_t end_ns;    /* cycle time = end - wake */
    uint32_t slot;      /* cycle modulo slots of the major frame */
    uint16_t state;     /* enum mxrc_rt_state */
    uint16_t flags;     /* enum mxrc_cycle_flag */
    uint32_t epoch;
    uint32_t
        skipped; /* slots before this one that were never run; in the first record of a PRIMARY: that had none */
    uint8_t trace_id[16]; /* of the action in progress, all zero: none */
    uint8_t span_id[8];
    uint64_t execution_id;
    uint32_t task_name; /* interned ids, 0: none */
    uint32_t action_name;
    uint16_t step;
    uint8_t trace_flags;
    uint8_t active_tasks;
    uint16_t minor_faults; /* of this cycle, when rusage is configured; saturating */
    uint16_t major_faults;
    uint16_t voluntary_switches;
    uint16_t involuntary_switches;
    uint16_t cpu;
    uint16_t axes;          /* how many of the following are meant */
    uint32_t longest_ns;    /* of the entry that took longest in this cycle; saturating */
    uint16_t longest_entry; /* its slot among the entry metrics + 1; 0: not known */
    uint16_t reserved;
    float setpoint[MXRC_AXES];
    float position[MXRC_AXES];
    float velocity[MXRC_AXES];
    float effort[MXRC_AXES];
};

enum mxrc_event_kind {
    MXRC_EVENT_TOMBSTONE = 0,
    MXRC_EVENT_LOG = 1,
    MXRC_EVENT_SPAN = 2,  /* a finished span */
    MXRC_EVENT_STATE = 3, /* RT state changed: args from, to, event */
    MXRC_EVENT_TASK = 4,  /* status of an execution changed: code = enum mxrc_task_status */
    MXRC_EVENT_REPLY = 5, /* answer to command number `reply_to`: code = enum mxrc_result */
    MXRC_EVENT_BUS = 6    /* event-bus message: code = interned name of its topic, args[count] */
};

enum mxrc_level {
    MXRC_LEVEL_TRACE = 0,
    MXRC_LEVEL_DEBUG = 1,
    MXRC_LEVEL_INFO = 2,
    MXRC_LEVEL_WARN = 3,
    MXRC_LEVEL_ERROR = 4,
    MXRC_LEVEL_CRITICAL = 5
};

enum mxrc_span_operation {
    MXRC_SPAN_TASK_EXECUTE = 1,
    MXRC_SPAN_SEQUENCE_RUN = 2,
    MXRC_SPAN_ACTION_EXECUTE = 3,
    MXRC_SPAN_EVENTBUS_PUBLISH = 4,
    MXRC_SPAN_RT_CYCLE = 5,        /* built by Non-RT from the cycle ring */
    MXRC_SPAN_EVENTBUS_PROCESS = 6 /* an execution has taken an event of MXRC_COMMAND_BUS_EVENT */
};

enum mxrc_span_status { MXRC_SPAN_UNSET = 0, MXRC_SPAN_OK = 1, MXRC_SPAN_ERROR = 2 };

/* One event, 256 bytes. A record with message_id != 0 is also a log line (any kind); the text is made by
 * Non-RT from events.def and args. */
struct mxrc_event {
    uint64_t seq;
    uint64_t time_ns; /* when it happened; for a span its end */
    uint64_t cycle;
    uint32_t epoch;
    uint16_t kind; /* enum mxrc_event_kind */
    uint8_t level; /* enum mxrc_level */
    uint8_t trace_flags;
    uint8_t trace_id[16];
    uint8_t span_id[8]; /* of the span itself for MXRC_EVENT_SPAN, else of the span in progress */
    uint64_t execution_id;
    uint32_t task_name;
    uint32_t sequence_name;
    uint32_t action_name;
    uint32_t message_id; /* events.def; 0: not a log line */
    uint32_t slot;
    uint32_t state;      /* enum mxrc_rt_state when it happened */
    uint32_t suppressed; /* records of the same message_id left out before this one */
    uint32_t tid;
    /* Of a log line: its numbers. Of a span: action.execute: planned ns (0: open-ended), ns in progress without being
     * held; eventbus.publish, eventbus.process: interned name of the topic. */
    double args[MXRC_ARGS];
    uint64_t start_ns; /* spans */
    uint8_t parent_span_id[8];
    uint32_t code;        /* by kind: operation, status, result, topic */
    uint32_t span_status; /* enum mxrc_span_status */
    uint64_t reply_to;
    char task_id[MXRC_TEXT_BYTES]; /* caller's name of the execution, NUL-padded UTF-8 */
    uint32_t error_code;           /* enum mxrc_result of a failed action or task */
    uint32_t step;
    uint32_t count; /* of an event-bus message: how many of args are meant */
    uint32_t reserved;
};

/* ---- RT status and metrics --------------------------------------------------------------------------------- */

enum mxrc_rt_state {
    MXRC_STATE_INIT = 0,
    MXRC_STATE_READY = 1,
    MXRC_STATE_RUNNING = 2,
    MXRC_STATE_PAUSED = 3,
    MXRC_STATE_SAFE_MODE = 4,
    MXRC_STATE_ERROR = 5,
    MXRC_STATE_SHUTDOWN = 6
};

enum mxrc_rt_event {
    MXRC_RT_START = 0,
    MXRC_RT_PAUSE = 1,
    MXRC_RT_RESUME = 2,
    MXRC_RT_STOP = 3,
    MXRC_RT_ERROR_OCCUR = 4,
    MXRC_RT_SAFE_MODE_ENTER = 5,
    MXRC_RT_SAFE_MODE_EXIT = 6,
    MXRC_RT_RESET = 7,
    MXRC_RT_LOADED = 8 /* internal: INIT becomes READY once schedule and tasks are loaded */
};

/* Why SAFE_MODE was entered. */
enum mxrc_safe_cause {
    MXRC_SAFE_NONE = 0,
    MXRC_SAFE_REQUEST = 1,
    MXRC_SAFE_LAW_FAULT = 2,
    MXRC_SAFE_HEARTBEAT = 3,
    MXRC_SAFE_OVERRUN = 4,
    MXRC_SAFE_DRIVER = 5,
    MXRC_SAFE_TASK = 6,
    MXRC_SAFE_LEASE = 7, /* the lease has run out */
    MXRC_SAFE_ENTRY = 8  /* a schedule entry of high criticality failed */
};

/* Writer: RT thread of the PRIMARY. Single words are stored relaxed unless stated. */
struct mxrc_rt_status {
    uint64_t heartbeat_ns; /* release, every cycle after the state block is valid */
    uint64_t cycle;        /* last finished grid index; release */
    uint64_t cycles_run;   /* cycles executed in this generation */
    uint64_t epoch;
    uint64_t command_tail; /* commands consumed; release, after the state block that remembers it */
    uint64_t state_since_ns;
    uint32_t state;        /* enum mxrc_rt_state; release */
    uint32_t state_before; /* state SAFE_MODE was entered from */
    uint32_t safe_cause;
    uint32_t active_tasks;

    uint32_t pid;
    uint32_t tid;
    uint32_t cpu;
    uint32_t member;
    uint32_t slots; /* of the major frame */
    uint32_t restart_count;
    uint64_t started_ns;  /* monotonic, of this PRIMARY */
    uint64_t deadline_ns; /* after the scheduled time */
    uint32_t
        window_misses; /* missed slots among the last window_slots (at most MXRC_MISS_WINDOW) */
    uint32_t window_slots;
    uint64_t last_recovery; /* 0 clean start, also after a STOP; 1 state block, 2 checkpoint */
    uint64_t waiting_commands;
    uint64_t spin_margin_ns; /* of hybrid waiting, in force; else 0 */
    uint64_t reserved[15];
};

#define MXRC_MISS_WINDOW 10000
#define MXRC_HISTOGRAM_BUCKETS 1020

/* Log-linear, two significant decimal digits, so that every Prometheus `le` is an edge.
 * A value v in ns falls into: v <= 100: bucket max(v, 1) - 1; else with v - 1 in [10^(d+1), 10^(d+2)), d = 1..9:
 * 100 + (d - 1) * 90 + ((v - 1) / 10^d - 10); above 10^11 ns: the last used (910). So bucket intervals are (lower, upper].
 * Writer: RT thread of the PRIMARY, relaxed stores; max and min are of the whole generation. */
struct mxrc_histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t min_ns;
    uint64_t max_ns;
    uint64_t bucket[MXRC_HISTOGRAM_BUCKETS];
};

struct mxrc_rt_metrics {
    uint64_t counter[MXRC_COUNTERS]; /* index: enum mxrc_counter_id of metrics.def */
    uint64_t miss_bits[157]; /* one bit per slot of the window, bit (k % MXRC_MISS_WINDOW) */
    uint64_t miss_position;  /* slots ever entered into the window */
    uint64_t reserved[34];
    struct mxrc_histogram
        histogram[MXRC_HISTOGRAMS]; /* index: enum mxrc_histogram_id of metrics.def */
};

#define MXRC_ENTRIES 32
#define MXRC_ENTRY_SLOTS 37 /* the stages, then MXRC_ENTRIES of the configuration */

/* What a schedule entry runs, in the order of the cycle. The first five are the executive's own stages: each is measured in every
 * cycle, in the slot of its number, whether or not the schedule names it. */
enum mxrc_entry_run {
    MXRC_RUN_INPUTS = 0,  /* the driver's inputs */
    MXRC_RUN_TASKS = 1,   /* commands, state machine, tasks */
    MXRC_RUN_LAW = 2,     /* the control law */
    MXRC_RUN_OUTPUTS = 3, /* limits and commit */
    MXRC_RUN_RECORDS = 4, /* log, state block, status, cycle record */
    MXRC_RUN_CODE = 5     /* a function of the user's own, after the commit */
};

enum mxrc_criticality {
    MXRC_CRITICALITY_LOW = 0,    /* shed in the cycle after a late one */
    MXRC_CRITICALITY_NORMAL = 1, /* a run whose slot was skipped is left out */
    MXRC_CRITICALITY_HIGH =
        2 /* a run whose slot was skipped is made up for in the next; a failure is a fault */
};

/* One entry. Writer: RT thread of the PRIMARY; the description before its first cycle, counters relaxed. */
struct mxrc_entry_metrics {
    char name[32]; /* empty: slot not used */
    uint64_t period_ns;
    uint64_t phase_ns;
    uint64_t wcet_ns;     /* declared, 0: not */
    uint32_t run;         /* enum mxrc_entry_run */
    uint32_t criticality; /* enum mxrc_criticality */
    uint64_t exceeded;    /* runs that took longer than declared */
    uint64_t shed;        /* runs left out after a late cycle */
    uint64_t skipped;     /* runs whose slot was skipped */
    uint64_t faults;      /* runs that failed */
    uint64_t reserved[4];
    struct mxrc_histogram histogram; /* execution times */
};

/* ---- 4. State block ------------------------------------------------------------------------------------------ */

#define MXRC_STATE_BLOCK_BYTES 10240
#define MXRC_STATE_SECTIONS 16

enum mxrc_state_section_id {
    MXRC_SECTION_EXECUTIVE = 1,
    MXRC_SECTION_AXES = 2,
    MXRC_SECTION_TASKS = 3,
    MXRC_SECTION_DRIVER = 4,
    MXRC_SECTION_LAW = 5,
    MXRC_SECTION_BRANCHES = 6,
    MXRC_SECTION_TASK_LAWS = 7
};

struct mxrc_state_section {
    uint16_t id;
    uint16_t version;
    uint32_t offset; /* from the start of the block */
    uint32_t bytes;
    uint32_t reserved;
};

/* Written every cycle into block[cycle parity alternating], CRC32C last. Writer: RT thread of the PRIMARY. */
struct mxrc_state_block {
    uint64_t seq; /* odd while being written; release */
    uint64_t epoch;
    uint64_t cycle;
    uint64_t time_ns;
    uint32_t crc;   /* CRC32C of everything from `epoch` on, with crc = 0, over `bytes` */
    uint32_t bytes; /* used, from the start of the block */
    uint32_t section_count;
    uint32_t reserved0;
    uint64_t reserved1[2];
    struct mxrc_state_section section[MXRC_STATE_SECTIONS];
    uint8_t data[9920];
};

/* Section 1. */
struct mxrc_executive_state {
    uint32_t state;
    uint32_t state_before;
    uint32_t safe_cause;
    uint32_t slot;
    uint64_t cycle;
    uint64_t command_tail;
    uint64_t state_since_ns;
    uint64_t span_counter;
    uint64_t
        span_seed; /* with the counter it makes the span ids: a cycle run again makes the same ones */
    uint32_t limits_crc;    /* of the limits that moves are planned with */
    uint32_t driver_failed; /* 1: the last reading of the inputs did */
    uint32_t command_kind;  /* of the outputs committed last; 0: none */
    uint32_t reserved1;
    uint64_t reserved;
};

/* Section 2. */
struct mxrc_axis_state {
    double setpoint;
    double setpoint_velocity;
    double setpoint_acceleration;
    double command; /* what was committed last */
    double command_velocity;
    double motion_start; /* where the move in progress was planned from */
};

enum mxrc_task_status {
    MXRC_TASK_PENDING = 0,
    MXRC_TASK_RUNNING = 1,
    MXRC_TASK_COMPLETED = 2,
    MXRC_TASK_FAILED = 3,
    MXRC_TASK_CANCELLED = 4,
    MXRC_TASK_TIMEOUT = 5
};

#define MXRC_TASK_BRANCHES 12
#define MXRC_REPEAT_DEPTH 4
#define MXRC_PROGRAM_TOPICS 4

/* A place in a program: where an execution, or a branch of it, is. 72 bytes. */
struct mxrc_strand {
    uint64_t action_start_ns;
    uint64_t
        action_start_cycle; /* of the op in progress; of one not begun: not before this cycle (back-off) */
    uint64_t elapsed_ns; /* of the action in progress, without the time it was held */
    uint64_t motion_ns;  /* of a move: time along its trajectory since it was planned (again) */
    uint64_t motion_duration_ns; /* of that trajectory */
    uint8_t action_span_id[8];
    uint32_t round[MXRC_REPEAT_DEPTH]; /* begun, of each REPEAT around the op */
    uint16_t op;
    uint8_t
        phase; /* 0: op not begun, 1: in progress, 2: holding (PAUSED, SAFE_MODE), 3: to be begun again */
    uint8_t retries;
    uint8_t
        edge; /* the condition has been seen false since the op began; of a move: via points passed since it was planned */
    uint8_t via;   /* of a move: via points that were passed before it was planned (again) */
    uint8_t error; /* enum mxrc_result: of the action that failed last */
    uint8_t owner; /* task (index + 1); 0: free */
};

/* Section 3: one execution in progress each; only those are saved. */
struct mxrc_task_state {
    uint64_t execution_id;
    uint64_t command_index; /* the command that started it */
    uint8_t trace_id[16];
    uint8_t parent_span_id[8]; /* of the request */
    uint8_t task_span_id[8];
    uint8_t sequence_span_id[8];
    uint64_t task_start_ns;
    uint64_t
        next_run_cycle; /* the run does not begin before this cycle; a periodic task's runs count from it */
    uint64_t waits_for; /* execution whose end (or whose turn before) its run waits for; 0: none */
    uint64_t runs;
    uint32_t program_crc;
    uint32_t axes; /* bit mask of the axes that a run holds */
    uint16_t program_slot;
    uint8_t status; /* enum mxrc_task_status; PENDING: between runs, too */
    uint8_t trace_flags;
    uint8_t paused;        /* 1: MXRC_COMMAND_TASK_PAUSE is in force */
    uint8_t armed;         /* the trigger has been seen false since it fired */
    uint8_t event_pending; /* bit per topic: came, not yet used */
    uint8_t event_seen;    /* bit per topic: came in this run */
    uint32_t queued;       /* runs that a trigger asks for */
    uint16_t progress;     /* of the run, 1/1000: mxrc_op.progress of the op that began last */
    uint16_t reserved;
    double event_value[MXRC_PROGRAM_TOPICS];
    struct mxrc_strand strand;
};

/* Section 6: mxrc_strand[], the branches of PARALLEL ops in progress. */

/* ---- 5. Commands, programs, admin ----------------------------------------------------------------------------- */

enum mxrc_command_kind {
    MXRC_COMMAND_NONE = 0,
    MXRC_COMMAND_RT_EVENT = 1,    /* key = enum mxrc_rt_event */
    MXRC_COMMAND_TASK_START = 2,  /* program = staging slot */
    MXRC_COMMAND_TASK_CANCEL = 3, /* execution_id */
    MXRC_COMMAND_TASK_PAUSE = 4,
    MXRC_COMMAND_TASK_RESUME = 5,
    /* key = topic (interned), args[0] = value: to the execution_id, 0: to every execution in progress that listens.
     * MXRC_ERR_UNKNOWN: nobody does. */
    MXRC_COMMAND_BUS_EVENT = 6,
    MXRC_COMMAND_NOOP = 7 /* answered, changes nothing: round-trip measurements */
};

enum mxrc_result {
    MXRC_OK = 0,
    MXRC_ERR_INVALID = 1, /* malformed command or program */
    MXRC_ERR_STATE = 2,   /* not in this RT state */
    MXRC_ERR_BUSY = 3,    /* no free task slot */
    MXRC_ERR_UNKNOWN = 4, /* no such execution */
    MXRC_ERR_LIMIT = 5,   /* target outside an axis limit */
    MXRC_ERR_TIMEOUT = 6,
    MXRC_ERR_LAW = 7, /* control law returned an error or a NaN */
    MXRC_ERR_CANCELLED = 8,
    MXRC_ERR_RESTART = 9,      /* ended by a restart, by its policy */
    MXRC_ERR_SAFE_MODE = 11,   /* 10 is not used again */
    MXRC_ERR_ERROR_STATE = 12, /* failed because RT entered ERROR */
    MXRC_ERR_CORRUPT = 13      /* CRC mismatch */
};

/* 256 bytes. Writer: Non-RT. The queue is bounded, not overwritten: Non-RT checks rt_status.command_tail. */
struct mxrc_command {
    uint64_t seq;
    uint64_t time_ns;
    uint16_t kind;
    uint8_t trace_flags;
    uint8_t reserved0;
    uint32_t program; /* staging slot */
    uint64_t execution_id;
    uint8_t trace_id[16];
    uint8_t span_id[8]; /* parent of what this command starts */
    uint32_t program_bytes;
    uint32_t program_crc;
    uint32_t key;
    uint32_t axes;
    double args[MXRC_ARGS];
    uint8_t
        run_span_id[8]; /* reserved for a span id chosen by the sender, all zero: RT makes one */
    uint64_t not_before_ns;
    char task_id[MXRC_TEXT_BYTES];
    uint64_t reserved1[7];
};

#define MXRC_PROGRAM_SLOT_BYTES 16384
#define MXRC_PROGRAM_OPS 63
#define MXRC_PROGRAM_MAGIC 0x4d585052
#define MXRC_PROGRAM_VERSION 2
#define MXRC_OP_ARGS 21
#define MXRC_PROGRAM_LAWS 8
#define MXRC_BRANCHES 4
#define MXRC_VIA_POINTS 12
#define MXRC_VIA_PER_OP 2

enum mxrc_compare {
    MXRC_COMPARE_EQ = 1,
    MXRC_COMPARE_NE = 2,
    MXRC_COMPARE_LT = 3,
    MXRC_COMPARE_LE = 4,
    MXRC_COMPARE_GT = 5,
    MXRC_COMPARE_GE = 6
};
enum mxrc_condition_source {
    MXRC_CONDITION_NONE = 0, /* no condition; every other field is zero */
    MXRC_CONDITION_KEY = 1,  /* element `element` of data-store key `key`: bool, int64 or double */
    MXRC_CONDITION_EVENT = 2 /* value of the last event of topic[`key`] of the program's header */
};

/* `source compare value`. A key that was never written and an event that never came make it false, whatever the
 * comparison; so does a value that is not a number. A key that its writer holds open at this instant is looked at again in
 * the next cycle. 16 bytes. */
struct mxrc_condition {
    uint32_t key;
    uint8_t source;  /* enum mxrc_condition_source */
    uint8_t compare; /* enum mxrc_compare */
    uint8_t edge;    /* 1: it has to be seen false before it counts as true */
    uint8_t element;
    double value; /* bool: 0 or 1 */
};

/* Fields that a kind does not name are zero; action_name, next and progress belong to every kind; on_failure, recovery,
 * timeout_ns, retries and backoff_ns to the actions and to PARALLEL. "Instant" ops take no time; all others at least one cycle. */
enum mxrc_op_kind {
    /* The run has ended well. The last op is one; nothing else may be last. */
    MXRC_OP_END = 0,
    /* axes; args[axis] = target; key = enum mxrc_profile; duration_ns, longer where the limits need it, or 0: as long as
     * the share args[8] of the limits needs (0: all of it). count via points follow in VIA ops, passed without a stop. */
    MXRC_OP_MOVE_JOINTS = 1,
    MXRC_OP_WAIT = 2, /* duration_ns */
    MXRC_OP_HOLD = 3, /* hold `axes` at the set-point for duration_ns */
    MXRC_OP_LOG = 4,  /* instant; message TASK_LOG with args[0..3]: interned names, the parts of
                            * the text; key = level */
    MXRC_OP_SET_VALUE = 5, /* instant; data-store handle `key` (written by RT): args */
    MXRC_OP_SAFE_STOP = 6, /* instant; enter SAFE_MODE */
    /* Until the condition holds; timeout_ns fails it. An event that came since the run began counts once, also if it came
     * before this op; one whose value does not satisfy is used up. */
    MXRC_OP_WAIT_FOR = 7,
    /* A law that was loaded for tasks, handle `key`, makes the set-points of `axes` (args[0..count-1]: its parameters) for
     * duration_ns (0: no end), until the condition holds, or until its step returns MXRC_LAW_DONE. Its fault is a fault
     * of the machine: SAFE_MODE. Without axes it is a user's action, whose fault fails the op and no more. */
    MXRC_OP_CONTROL_LAW = 8,
    /* Instant; event-bus message with topic `key` (interned) and args[0..count-1], at most MXRC_ARGS, and the trace
     * context of the run. */
    MXRC_OP_EMIT_EVENT = 9,
    /* ---- control flow: instant, no span ---- */
    MXRC_OP_IF = 10, /* condition true: next, false: target */
    /* Begins a round (next) while fewer than `count` (0: any number) were begun and the condition, if any, holds; else target.
     * The body begins at next, the op behind this one, and ends with the JUMP that leads back here; target lies behind that.
     * Nobody enters a body but here; it may be left at any place. key = number of REPEATs around it, below
     * MXRC_REPEAT_DEPTH; inside of a branch it is counted from 0 again. */
    MXRC_OP_REPEAT = 11,
    /* Branches begin at branch[0], branch[1].. (ascending, 0: none; branch[0] = next) and end at the JOIN `target`, where
     * the run goes on. key = enum mxrc_join. Branches have disjoint axes; no PARALLEL in a branch. A branch that fails
     * (MXRC_FAIL_TASK) fails the PARALLEL, whose own on_failure decides. Not instant. */
    MXRC_OP_PARALLEL = 12,
    MXRC_OP_JOIN = 13, /* ends a branch; once joined the run goes on at next */
    /* Via points of the MOVE_JOINTS before, MXRC_VIA_PER_OP each: point p of this op is args[8 p + axis]. Data, not run. */
    MXRC_OP_VIA = 14,
    /* The run fails with result `key` (0: that of the action that failed last); ends a recovery sequence. */
    MXRC_OP_FAIL = 15,
    MXRC_OP_JUMP =
        16 /* on at next, which alone of all may be smaller: the REPEAT whose body this op ends */
};

enum mxrc_profile {
    MXRC_PROFILE_MINIMUM_JERK = 0,
    MXRC_PROFILE_TRAPEZOIDAL =
        1 /* constant acceleration, constant velocity, constant deceleration */
};
enum mxrc_join {
    MXRC_JOIN_ALL = 0,
    MXRC_JOIN_FIRST = 1 /* the first branch that ends; the others are cancelled */
};

/* What follows the last try of an action. RECOVERY: go on at op `recovery`; that sequence leads to wherever it is to
 * lead, or to a FAIL. */
enum mxrc_on_failure {
    MXRC_FAIL_TASK = 0,
    MXRC_FAIL_SKIP = 1,
    MXRC_FAIL_SAFE_MODE = 2,
    MXRC_FAIL_RECOVERY = 3
};
enum mxrc_restart_policy {
    MXRC_RESTART_RESUME = 0,
    MXRC_RESTART_RESTART = 1,
    MXRC_RESTART_FAIL = 2
};
enum mxrc_task_mode { MXRC_MODE_ONCE = 0, MXRC_MODE_PERIODIC = 1, MXRC_MODE_TRIGGERED = 2 };
/* A run that is due while the last one is still going. */
enum mxrc_late_policy {
    MXRC_LATE_SKIP = 0, /* left out, counted */
    MXRC_LATE_QUEUE = 1 /* begins as soon as the last one has ended, counted */
};

/* 256 bytes. */
struct mxrc_op {
    uint16_t kind;        /* enum mxrc_op_kind */
    uint16_t on_failure;  /* enum mxrc_on_failure */
    uint32_t action_name; /* interned */
    uint32_t axes;        /* bit mask of the axes that it drives */
    uint32_t key;         /* by kind */
    uint64_t duration_ns;
    uint64_t timeout_ns; /* of each try; 0: none */
    uint64_t backoff_ns; /* before a retry */
    uint16_t retries;
    uint16_t progress; /* of the run when this op begins, in 1/1000; the compiler's estimate */
    uint32_t next;     /* index of the op that follows: greater, but for JUMP */
    struct mxrc_condition condition; /* of IF, REPEAT, WAIT_FOR, CONTROL_LAW */
    uint32_t count;                  /* REPEAT, MOVE_JOINTS, EMIT_EVENT, CONTROL_LAW */
    uint16_t target;                 /* IF, REPEAT, PARALLEL: op index */
    uint16_t recovery;               /* op index, with MXRC_FAIL_RECOVERY */
    uint16_t branch[MXRC_BRANCHES];  /* PARALLEL: op indices */
    uint64_t identity; /* CONTROL_LAW: CRC32C of the name that the law is configured under */
    double args[MXRC_OP_ARGS];
};

/* Header of a compiled task, 256 bytes, followed by op_count ops. A program is copied into the RT-only
 * region, validated there, and only then run. */
struct mxrc_program {
    uint32_t magic;
    uint32_t version;
    uint32_t bytes;
    uint32_t crc; /* CRC32C over `bytes` with crc = 0 */
    uint32_t op_count;
    uint32_t axes; /* union over the ops */
    uint32_t task_name;
    uint32_t sequence_name;
    uint32_t mode;         /* enum mxrc_task_mode */
    uint32_t priority;     /* among tasks that want the same axis: higher first */
    uint64_t period_ns;    /* of mode periodic, else 0 */
    uint32_t on_restart;   /* enum mxrc_restart_policy: after a restart of RT */
    uint32_t on_safe_mode; /* enum mxrc_restart_policy: when motion goes on after SAFE_MODE */
    char task_id[MXRC_TEXT_BYTES];
    /* What starts a run of mode triggered, else all zero. edge 1: when it becomes true; 0: again while it is true. */
    struct mxrc_condition trigger;
    uint64_t rearm_ns; /* of mode triggered: least time from one begin to the next */
    uint32_t on_late;  /* enum mxrc_late_policy; triggered: QUEUE keeps one edge */
    uint32_t topic_count;
    uint32_t topic[MXRC_PROGRAM_TOPICS]; /* interned: what WAIT_FOR, IF and REPEAT listen to */
    uint64_t reserved[11];
};

struct mxrc_program_slot {
    struct mxrc_program program;
    struct mxrc_op op[MXRC_PROGRAM_OPS];
};

/* A JSON text under a sequence word (odd while being written). Writer: the region's. */
struct mxrc_document {
    uint64_t seq;
    uint64_t number; /* counts the requests or versions */
    uint32_t bytes;
    uint32_t reserved;
    char text[16360];
};

/* ---- 8. Names ---------------------------------------------------------------------------------------------------- */

#define MXRC_NAME_RT_BIT 0x80000000
#define MXRC_NAME_BYTES 56

enum mxrc_name_kind {
    MXRC_NAME_TASK = 1,
    MXRC_NAME_SEQUENCE = 2,
    MXRC_NAME_ACTION = 3,
    MXRC_NAME_LAW = 4,
    MXRC_NAME_KEY = 5,
    MXRC_NAME_AXIS = 6,
    MXRC_NAME_ENTRY = 7,
    MXRC_NAME_TOPIC = 8
};

/* Append-only; id = index + 1 (| MXRC_NAME_RT_BIT in NAMES_RT). count is stored with release after the entry. */
struct mxrc_names {
    uint64_t count;
    uint64_t capacity;
    uint64_t reserved[6];
};
struct mxrc_name {
    uint16_t kind;
    uint16_t bytes;
    uint32_t id;
    char text[MXRC_NAME_BYTES];
};

/* ---- Data store ---------------------------------------------------------------------------------------------------- */

enum mxrc_data_type {
    MXRC_DATA_BOOL = 1,
    MXRC_DATA_INT64 = 2,
    MXRC_DATA_DOUBLE = 3,
    MXRC_DATA_DOUBLE_ARRAY = 4,
    MXRC_DATA_STRING = 5
};

#define MXRC_DATA_BYTES 128
#define MXRC_DATA_CRITICAL 1

struct mxrc_data_directory {
    uint64_t count;
    uint64_t reserved[7];
};
/* 128 bytes. Writer: creator. handle = index. */
struct mxrc_data_key {
    char name[48];
    char unit[16];
    uint16_t type;   /* enum mxrc_data_type */
    uint16_t length; /* elements of an array, else 1; bytes of a string at most MXRC_DATA_BYTES */
    uint16_t writer; /* MXRC_WRITER_RT or MXRC_WRITER_NONRT */
    uint16_t flags;
    uint32_t cell; /* index in the writer's cells */
    uint32_t reserved0;
    double minimum; /* -inf: none */
    double maximum; /* +inf: none */
    uint64_t reserved[4];
};
/* 192 bytes. seq as for documents: odd while being written. Writer: the key's. */
struct mxrc_data_cell {
    uint64_t seq;
    uint64_t time_ns;
    uint32_t bytes; /* of the value */
    uint32_t reserved0;
    uint64_t reserved[5];
    uint8_t value[MXRC_DATA_BYTES];
};

/* ---- Non-RT ----------------------------------------------------------------------------------------------------------- */

/* Writer: Non-RT's pump thread. */
struct mxrc_nonrt_status {
    uint64_t heartbeat_ns; /* release, every turn of the pump */
    uint32_t pid;
    uint32_t ready;
    uint64_t process_start;
    uint64_t start_count; /* Non-RT processes that attached in this generation */
    uint64_t started_ns;
    uint64_t reserved[11];
};

/* What RT reads each cycle (relaxed loads of independent words). Writer: the creator before it publishes the segment,
 * then Non-RT. */
struct mxrc_control {
    uint64_t version;         /* grows with each change; release */
    uint64_t task_sampling;   /* sampled when low 64 bits of the trace id < this */
    uint64_t cycle_sampling;  /* for rt.cycle spans */
    uint32_t sample_all;      /* bit 0: task rate is 1, bit 1: cycle rate is 1 */
    uint32_t instrumentation; /* bit 0 eventbus, 1 task_executor, 2 rt_cycle */
    uint64_t reserved[12];
    uint8_t log_level[MXRC_LOGGERS]; /* threshold per logger id of events.def */
};

/* Where a consumer goes on. Writer: Non-RT, release stores after the batch is done with. */
struct mxrc_cursor {
    char name[24];
    uint64_t cycle;
    uint64_t lane[MXRC_LANES];
    uint64_t lost_cycles;
    uint64_t lost_events;
    uint64_t user[10]; /* the consumer's own */
};
struct mxrc_cursors {
    struct mxrc_cursor cursor[MXRC_CONSUMERS];
};
