/* count_malloc.c: preloaded into a process, counts what each thread asks of the heap, in the file that MXRC_TEST_COUNTS
 * names: pairs of (thread id, calls). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREADS 256

struct count {
    uint64_t thread;
    uint64_t calls;
};

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static struct count *counts;
static uint32_t used;
static __thread struct count *mine __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("MXRC_TEST_COUNTS");
    int descriptor = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (descriptor < 0 || ftruncate(descriptor, THREADS * sizeof *counts))
        return;
    void *memory = mmap(NULL, THREADS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED,
                        descriptor, 0);
    close(descriptor);
    if (memory != MAP_FAILED)
        counts = memory;
}

static void count(void)
{
    if (!counts)
        return;
    if (!mine) {
        uint32_t index = __atomic_fetch_add(&used, 1, __ATOMIC_RELAXED);
        if (index >= THREADS)
            abort();
        mine = &counts[index];
        mine->thread = (uint64_t)gettid();
    }
    mine->calls++;
}

void *malloc(size_t bytes)
{
    count();
    return __libc_malloc(bytes);
}

void *calloc(size_t number, size_t bytes)
{
    count();
    return __libc_calloc(number, bytes);
}

void *realloc(void *block, size_t bytes)
{
    count();
    return __libc_realloc(block, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    count();
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    count();
    *block = __libc_memalign(alignment, bytes);
    return *block ? 0 : 12;
}

void free(void *block)
{
    count();
    __libc_free(block);
}
