/* process_image.c: making, attaching and leaving the object of a process image. */
#define _GNU_SOURCE /* OFD locks */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "process_image.h"

#define PLANT_BYTE 0
#define EXECUTIVE_BYTE 1

_Static_assert(sizeof(struct mxrc_image_header) == 64, "a line");
_Static_assert(sizeof(struct mxrc_image_fence) == 64, "the word is alone in its line");
_Static_assert(sizeof(struct mxrc_image_inputs) == 256, "no line shared with outputs");
_Static_assert(sizeof(struct mxrc_image_outputs) == 128, "no line shared between processes");

/* FNV-1a over sizes and offsets: the same for every compiler that lays the structs out alike. */
uint64_t mxrc_image_hash(void)
{
#define AT(type, field) offsetof(struct type, field)
    const uint64_t layout[] = {
        MXRC_IMAGE_VERSION,
        MXRC_IMAGE_AXES,
        MXRC_IMAGE_BUFFERS,
        sizeof(struct mxrc_process_image),
        AT(mxrc_process_image, fence),
        AT(mxrc_process_image, inputs),
        AT(mxrc_process_image, output),
        AT(mxrc_image_fence, commit),
        AT(mxrc_image_fence, generation),
        AT(mxrc_image_fence, attached),
        AT(mxrc_image_inputs, number),
        AT(mxrc_image_inputs, time_ns),
        AT(mxrc_image_inputs, incarnation),
        AT(mxrc_image_inputs, position),
        AT(mxrc_image_inputs, velocity),
        AT(mxrc_image_inputs, effort),
        AT(mxrc_image_outputs, cycle),
        AT(mxrc_image_outputs, time_ns),
        AT(mxrc_image_outputs, kind),
        AT(mxrc_image_outputs, axes),
        AT(mxrc_image_outputs, command),
        AT(mxrc_image_outputs, generation),
        AT(mxrc_image_outputs, stamp),
        AT(mxrc_image_outputs, tail),
    };
#undef AT
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < sizeof layout / sizeof layout[0]; i++)
        for (int byte = 0; byte < 8; byte++)
            hash = (hash ^ (layout[i] >> 8 * byte & 255)) * 0x100000001b3;
    return hash;
}

/* 1 when the lock was had (or turned into that kind). */
static int lock_byte(int descriptor, int command, short kind, off_t byte)
{
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(descriptor, command, &lock) == 0;
}

static int name_check(struct mxrc_image *image, const char *name, uint32_t axes, char *error,
                      size_t error_bytes)
{
    int written = snprintf(image->name, sizeof image->name, "/mxrc-image-%s", name);
    if (name[0] == '\0' || strchr(name, '/') || written >= (int)sizeof image->name)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "process image '%.80s': a name has 1 to %zu bytes and no '/'", name,
                         sizeof image->name - sizeof "/mxrc-image-");
    if (axes == 0 || axes > MXRC_IMAGE_AXES)
        return mxrc_fail(error, error_bytes, EINVAL, "%s: %u axes; 1 to %u are possible",
                         image->name, axes, MXRC_IMAGE_AXES);
    image->axes = axes;
    return 0;
}

static int map(struct mxrc_image *image, char *error, size_t error_bytes)
{
    void *memory = mmap(NULL, sizeof *image->shared, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_POPULATE, image->descriptor, 0);
    if (memory == MAP_FAILED)
        return mxrc_fail(error, error_bytes, errno, "%s: cannot be mapped: %s", image->name,
                         strerror(errno));
    image->shared = memory;
    return 0;
}

/* Only root's or our own, and not everybody's. */
static int owner_check(const struct mxrc_image *image, char *error, size_t error_bytes)
{
    struct stat found;
    if (fstat(image->descriptor, &found))
        return mxrc_fail(error, error_bytes, errno, "%s: %s", image->name, strerror(errno));
    if ((found.st_uid != geteuid() && found.st_uid != 0) || found.st_mode & 002)
        return mxrc_fail(error, error_bytes, EPERM,
                         "%s: belongs to user %u, mode %04o; remove /dev/shm%s if it is a leftover",
                         image->name, found.st_uid, found.st_mode & 07777, image->name);
    return found.st_size >= (off_t)sizeof *image->shared ? 0 : EAGAIN;
}

static int fits(const struct mxrc_image *image)
{
    const struct mxrc_image_header *header = &image->shared->header;
    return mxrc_load_acquire(&header->magic) == MXRC_IMAGE_MAGIC &&
           header->version == MXRC_IMAGE_VERSION && header->hash == mxrc_image_hash() &&
           header->bytes == sizeof *image->shared;
}

/* ---- plant ---- */

static int size_it(struct mxrc_image *image, char *error, size_t error_bytes)
{
    int result = posix_fallocate(image->descriptor, 0, sizeof *image->shared);
    if (result == 0 && fchmod(image->descriptor, 0660))
        result = errno;
    if (result)
        return mxrc_fail(error, error_bytes, result,
                         "%s: %zu bytes of /dev/shm are not to be had: %s", image->name,
                         sizeof *image->shared, strerror(result));
    return map(image, error, error_bytes);
}

/* The plant's lock is held. An executive that is attached keeps this object, whatever is in it. */
static int begin_plant(struct mxrc_image *image, char *error, size_t error_bytes)
{
    int result = owner_check(image, error, error_bytes);
    if (result && result != EAGAIN)
        return result;
    if ((result = size_it(image, error, error_bytes)) != 0)
        return result;
    struct mxrc_image_header *header = &image->shared->header;
    if (!fits(image) || header->axes != image->axes) {
        if (!lock_byte(image->descriptor, F_OFD_SETLK, F_WRLCK, EXECUTIVE_BYTE))
            return mxrc_fail(error, error_bytes, EINVAL,
                             "%s: has %u axes or another layout, and an executive uses it: stop it "
                             "first",
                             image->name, header->axes);
        memset(image->shared, 0, sizeof *image->shared);
        header->version = MXRC_IMAGE_VERSION;
        header->axes = image->axes;
        header->hash = mxrc_image_hash();
        header->bytes = sizeof *image->shared;
        mxrc_store_release(&header->magic, MXRC_IMAGE_MAGIC);
        lock_byte(image->descriptor, F_OFD_SETLK, F_UNLCK, EXECUTIVE_BYTE);
    }
    struct timespec clock;
    clock_gettime(CLOCK_MONOTONIC, &clock);
    uint64_t before = mxrc_load_relaxed(&header->incarnation);
    uint64_t now = (uint64_t)clock.tv_sec * 1000000000 + (uint64_t)clock.tv_nsec;
    image->incarnation = now > before ? now : before + 1;
    mxrc_store_release(&header->incarnation, image->incarnation);
    /* What was committed to the plant before is not for this one. */
    image->seen = mxrc_load_acquire(&image->shared->fence.commit);
    image->safe = 1;
    return 0;
}

/* Between opening and locking the last one to go may have removed the object: it is opened again then. */
static int is_current(const struct mxrc_image *image)
{
    struct stat ours, named;
    int descriptor = shm_open(image->name, O_RDONLY | O_CLOEXEC, 0);
    int same = descriptor >= 0 && fstat(descriptor, &named) == 0 &&
               fstat(image->descriptor, &ours) == 0 && ours.st_ino == named.st_ino;
    if (descriptor >= 0)
        close(descriptor);
    return same;
}

static void abandon(struct mxrc_image *image)
{
    if (image->shared)
        munmap(image->shared, sizeof *image->shared);
    if (image->descriptor >= 0)
        close(image->descriptor);
    image->shared = NULL;
    image->descriptor = -1;
}

int mxrc_image_create(struct mxrc_image *image, const char *name, uint32_t axes,
                      uint64_t watchdog_ns, char *error, size_t error_bytes)
{
    memset(image, 0, sizeof *image);
    image->descriptor = -1;
    image->plant = 1;
    image->watchdog_ns = watchdog_ns;
    int result = name_check(image, name, axes, error, error_bytes);
    while (result == 0) {
        image->descriptor = shm_open(image->name, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
        if (image->descriptor < 0)
            return mxrc_fail(error, error_bytes, errno, "%s: %s", image->name, strerror(errno));
        if (!lock_byte(image->descriptor, F_OFD_SETLK, F_WRLCK, PLANT_BYTE)) {
            result =
                mxrc_fail(error, error_bytes, EBUSY, "%s: another plant works on it", image->name);
            break;
        }
        if (is_current(image)) {
            result = begin_plant(image, error, error_bytes);
            break;
        }
        abandon(image);
    }
    if (result)
        abandon(image);
    return result;
}

/* ---- executive ---- */

/* One generation at a time: who gets the byte alone names its own, who shares it must be of that one. */
static int join(struct mxrc_image *image, char *error, size_t error_bytes)
{
    struct mxrc_image_fence *fence = &image->shared->fence;
    if (lock_byte(image->descriptor, F_OFD_SETLK, F_WRLCK, EXECUTIVE_BYTE))
        mxrc_store_release(&fence->attached, image->generation);
    if (!lock_byte(image->descriptor, F_OFD_SETLK, F_RDLCK, EXECUTIVE_BYTE))
        return mxrc_fail(error, error_bytes, EBUSY, "%s: another process is just attaching",
                         image->name);
    if (mxrc_load_acquire(&fence->attached) != image->generation)
        return mxrc_fail(error, error_bytes, EBUSY,
                         "%s: executives of another instance drive it: stop them, or give this "
                         "instance a process image of its own (robot.json, driver.name)",
                         image->name);
    return 0;
}

static int attach(struct mxrc_image *image, char *error, size_t error_bytes)
{
    int result = owner_check(image, error, error_bytes);
    if (result == EAGAIN)
        return mxrc_fail(error, error_bytes, ENOENT, "%s: is not ready yet", image->name);
    if (result || (result = map(image, error, error_bytes)) != 0)
        return result;
    const struct mxrc_image_header *header = &image->shared->header;
    if (!fits(image))
        return mxrc_fail(error, error_bytes, EINVAL,
                         "%s: layout %u with hash %016llx, not %u with %016llx: build plant and "
                         "mxrc from one version",
                         image->name, header->version, (unsigned long long)header->hash,
                         MXRC_IMAGE_VERSION, (unsigned long long)mxrc_image_hash());
    if (header->axes != image->axes)
        return mxrc_fail(error, error_bytes, EINVAL, "%s: the plant has %u axes, robot.json has %u",
                         image->name, header->axes, image->axes);
    image->incarnation = mxrc_load_acquire(&header->incarnation);
    return image->generation ? join(image, error, error_bytes) : 0;
}

int mxrc_image_probe(struct mxrc_image *image, const char *name, uint32_t axes, char *error,
                     size_t error_bytes)
{
    return mxrc_image_attach(image, name, axes, 0, error, error_bytes);
}

int mxrc_image_attach(struct mxrc_image *image, const char *name, uint32_t axes,
                      uint64_t generation, char *error, size_t error_bytes)
{
    memset(image, 0, sizeof *image);
    image->descriptor = -1;
    image->generation = generation;
    int result = name_check(image, name, axes, error, error_bytes);
    if (result)
        return result;
    image->descriptor = shm_open(image->name, O_RDWR | O_CLOEXEC, 0);
    if (image->descriptor < 0)
        return mxrc_fail(error, error_bytes, errno,
                         errno == ENOENT ? "%s: there is none (%s): start the plant"
                                         : "%s: cannot be opened: %s",
                         image->name, strerror(errno));
    result = attach(image, error, error_bytes);
    if (result)
        abandon(image);
    return result;
}

/* ---- the end ---- */

void mxrc_image_close(struct mxrc_image *image)
{
    if (!image->shared)
        return;
    /* Our own lock does not stand against us: these fail only for those of others. */
    if (lock_byte(image->descriptor, F_OFD_SETLK, F_WRLCK, PLANT_BYTE) &&
        lock_byte(image->descriptor, F_OFD_SETLK, F_WRLCK, EXECUTIVE_BYTE) && is_current(image))
        shm_unlink(image->name);
    abandon(image);
}
