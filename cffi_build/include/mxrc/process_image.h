/* process_image.h: the segment that an executive and a plant exchange inputs and outputs through, and the functions of both
 * sides. A plant is a process that stands for devices: a field bus master, a drive, a simulator.
 *
 * Like layout.h a subset of C that cffi reads as it is, but for the three lines that follow. A plant in C needs this header,
 * src/process_image*.c, src/atomic.h, src/error.[ch] and nothing else of mxrc.
 *
 * Outputs. Each RT process has two buffers that only it writes. What the devices get is decided by one 64-bit word:
 *
 *     bits 63..32  epoch of the lease that the outputs were made under
 *     bits 31..27  buffer: 2 * member + 0 or 1; with MXRC_IMAGE_NO_BUFFER: none since the epoch was raised, this one last before
 *     bits 26..0   sequence, grows by one with each change of the word
 *
 * An executive loads the word, gives up when its epoch is not its own, fills its buffer that the word does not name, and commits
 * by one compare-and-swap from the word that it loaded. A successor first raises the epoch in the word, by the same
 * means: from then on the compare-and-swap of a predecessor fails, wherever it stood still, and what it still writes
 * goes into buffers that the word does not name. The plant loads the word, copies the buffer, and looks at the word again: only
 * a copy whose word still stands reaches a device. The buffer that was committed last keeps its content until the first
 * commit of the new epoch: a successor reads there what the devices were told last.
 *
 * Inputs are under a sequence word (src/atomic.h, pattern 3), which only the plant writes.
 *
 * Locks on the object, of the open file description, so that they end with their holder: byte 0 exclusive, the plant;
 * byte 1 shared, executives of one generation. The last one to go removes the object. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define MXRC_IMAGE_MAGIC 0x3147414d49524d21
#define MXRC_IMAGE_VERSION 2
#define MXRC_IMAGE_AXES 8
#define MXRC_IMAGE_BUFFERS 16
#define MXRC_IMAGE_NO_BUFFER 16
#define MXRC_IMAGE_NAME_BYTES 64

/* What the command of an axis means. 1 and 2 are those of law.h. */
enum mxrc_image_command {
    MXRC_IMAGE_SAFE =
        0, /* hold or brake, as the device can; the plant sees where its axes were when it began */
    MXRC_IMAGE_POSITION = 1, /* rad or m; each plant takes them, for safe actions are positions */
    MXRC_IMAGE_EFFORT = 2    /* N m or N */
};

/* 64 bytes. Writer: the plant, before it publishes magic with release; incarnation at each start of a plant. */
struct mxrc_image_header {
    uint64_t magic;
    uint32_t version;
    uint32_t axes;
    uint64_t hash; /* of sizes and offsets: mxrc_image_hash() */
    uint64_t bytes;
    uint64_t
        incarnation; /* names the plant: CLOCK_MONOTONIC ns of its start, on a new object, too; release */
    uint64_t reserved[3];
};

/* 64 bytes. Writers: RT processes. */
struct mxrc_image_fence {
    uint64_t commit;     /* see above; compare-and-swap, acquire-release */
    uint64_t generation; /* of the segment whose epochs these are; release, after the word */
    uint64_t attached;   /* generation of the executives that hold byte 1; under that lock */
    uint64_t reserved[5];
};

/* 256 bytes. Writer: the plant. rad or m, rad/s or m/s, N m or N. */
struct mxrc_image_inputs {
    uint64_t seq;
    uint64_t number;  /* counts */
    uint64_t time_ns; /* CLOCK_MONOTONIC of the measurement */
    uint64_t incarnation;
    double position[MXRC_IMAGE_AXES];
    double velocity[MXRC_IMAGE_AXES];
    double effort[MXRC_IMAGE_AXES];
    uint64_t reserved[4];
};

/* 128 bytes. Writer: the RT process that the buffer belongs to. */
struct mxrc_image_outputs {
    uint64_t head;  /* the word that commits this content */
    uint64_t stamp; /* never the same twice in a process: a copy whose tail differs is torn */
    uint64_t cycle;
    uint64_t time_ns; /* CLOCK_MONOTONIC of the commit */
    uint32_t kind;    /* enum mxrc_image_command */
    uint32_t axes;
    double command[MXRC_IMAGE_AXES];
    uint64_t generation; /* of the segment that the epoch in `head` belongs to */
    uint64_t reserved;
    uint64_t tail; /* the stamp again */
};

struct mxrc_process_image {
    struct mxrc_image_header header;
    struct mxrc_image_fence fence;
    struct mxrc_image_inputs inputs;
    struct mxrc_image_outputs output[MXRC_IMAGE_BUFFERS];
};

/* ---- private to a process; functions return 0 or an errno and write one line into `error`, unless stated ---- */

struct mxrc_image {
    struct mxrc_process_image *shared;
    char name[MXRC_IMAGE_NAME_BYTES]; /* of the shared-memory object */
    int descriptor;
    uint32_t plant; /* 1: this is the plant's side */
    uint32_t axes;
    uint32_t reserved0;
    uint64_t generation; /* executive */
    uint64_t commits;    /* executive: counts */
    uint64_t watchdog_ns;
    uint64_t incarnation;
    uint64_t seen;     /* plant: the word that was judged last */
    uint64_t fresh_ns; /* plant: when the last commit was taken */
    uint32_t safe; /* plant: outputs are safe since commits stopped; nothing was taken yet, too */
    uint32_t measured;                /* plant: inputs were written */
    double position[MXRC_IMAGE_AXES]; /* plant: as written last */
    struct mxrc_image_outputs held;   /* plant: in force */
};

uint64_t mxrc_image_hash(void);

/* ---- plant ---- */

/* What mxrc_image_read_outputs found. */
enum mxrc_image_take {
    MXRC_IMAGE_HELD = 0,  /* no new commit: those before are in force */
    MXRC_IMAGE_TAKEN = 1, /* a new commit */
    MXRC_IMAGE_STOPPED =
        2 /* none for longer than the watchdog: kind SAFE, where the axes were then */
};

/* Makes the object "/mxrc-image-NAME", or goes on with the one that a plant before has left. EBUSY: a plant works on it. */
int mxrc_image_create(struct mxrc_image *image, const char *name, uint32_t axes,
                      uint64_t watchdog_ns, char *error, size_t error_bytes);
/* `axes` values each; `effort` may be NULL. */
void mxrc_image_write_inputs(struct mxrc_image *image, uint64_t time_ns, const double *position,
                             const double *velocity, const double *effort);
/* enum mxrc_image_take; *outputs is always what is to reach the devices now. Until the first commit it is STOPPED. Takes no lock and
 * a bounded number of steps. */
int mxrc_image_read_outputs(struct mxrc_image *image, uint64_t now_ns,
                            struct mxrc_image_outputs *outputs);

/* ---- executive ---- */

/* ENOENT: no plant has made it; EINVAL: other axes or layout; EBUSY: executives of another generation use it. */
int mxrc_image_attach(struct mxrc_image *image, const char *name, uint32_t axes,
                      uint64_t generation, char *error, size_t error_bytes);
/* The same for who only reads: without a part in it. */
int mxrc_image_probe(struct mxrc_image *image, const char *name, uint32_t axes, char *error,
                     size_t error_bytes);
/* From the return on nothing of an older epoch is committed. ESTALE: a newer one has been admitted; EOVERFLOW above 32 bits. */
int mxrc_image_admit(struct mxrc_image *image, uint64_t epoch);
/* ESTALE: the epoch in the word is not this one, nothing was output. */
int mxrc_image_commit(struct mxrc_image *image, uint32_t member, uint64_t epoch, uint64_t cycle,
                      uint64_t time_ns, uint32_t kind, const double *command);
/* What was committed last in this generation, by whichever process: 1 copied, 0 nothing was. For the one whose epoch is
 * admitted, before its first commit: nobody else writes that buffer then. */
int mxrc_image_read_committed(const struct mxrc_image *image, struct mxrc_image_outputs *outputs);
/* 1 copied, 0 the plant was writing all the time, or died writing. */
int mxrc_image_read_inputs(const struct mxrc_image *image, struct mxrc_image_inputs *inputs);

/* Either side; the object goes when the other side is not there. */
void mxrc_image_close(struct mxrc_image *image);
