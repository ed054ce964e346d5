/* law_load.c: control laws that are not compiled into the core: is the file to be trusted, is it a law of this interface. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "law_step.h"

_Static_assert(MXRC_LAW_AXES == MXRC_AXES, "laws and segment have the same axes");

const struct mxrc_law *mxrc_law_builtin(const char *name)
{
    return strcmp(name, mxrc_law_position_servo.name) == 0 ? &mxrc_law_position_servo : NULL;
}

int mxrc_law_check(const struct mxrc_law *law, uint32_t parameter_count, char *error,
                   size_t error_bytes)
{
    if (law->abi != MXRC_LAW_ABI || law->bytes != sizeof *law)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "the control law has interface %u of %u bytes, not %u of %zu; build it "
                         "against this version's law.h",
                         law->abi, law->bytes, MXRC_LAW_ABI, sizeof *law);
    if (law->name[0] == '\0' || law->name[sizeof law->name - 1] != '\0' || !law->init ||
        !law->step || !law->reset || law->state_bytes > MXRC_LAW_STATE_BYTES ||
        law->parameter_count > MXRC_LAW_PARAMETERS || law->command < MXRC_LAW_POSITION ||
        law->command > MXRC_LAW_EFFORT)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "control law %.31s: name, functions, a command of position or effort, at "
                         "most %u bytes of state and at most %u parameters are needed",
                         law->name, MXRC_LAW_STATE_BYTES, MXRC_LAW_PARAMETERS);
    if (parameter_count != law->parameter_count)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "control law %.31s takes %u parameters, %u were given", law->name,
                         law->parameter_count, parameter_count);
    return 0;
}

static int trusted(const struct stat *found)
{
    return (found->st_uid == 0 || found->st_uid == geteuid()) && !(found->st_mode & 022);
}

/* The file itself and its folder: who may write there may put another file into its place. A sticky folder is as good as one
 * that nobody else may write, for the file's owner was checked. */
static int check_file(const char *path, int descriptor, char *error, size_t error_bytes)
{
    struct stat file, folder;
    if (fstat(descriptor, &file))
        return mxrc_fail(error, error_bytes, errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(file.st_mode))
        return mxrc_fail(error, error_bytes, EINVAL, "%s: is not a regular file", path);
    if (!trusted(&file))
        return mxrc_fail(error, error_bytes, EPERM,
                         "%s: mode %04o, owner %u: code that moves a machine must belong to root "
                         "or to the user of this process, and nobody else may write it (chmod "
                         "go-w)",
                         path, file.st_mode & 07777, file.st_uid);
    char directory[4096];
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash)
        slash[slash == directory] = '\0';
    else
        strcpy(directory, ".");
    if (stat(directory, &folder))
        return mxrc_fail(error, error_bytes, errno, "%s: %s", directory, strerror(errno));
    if (!trusted(&folder) && !(folder.st_mode & S_ISVTX))
        return mxrc_fail(error, error_bytes, EPERM,
                         "%s: mode %04o, owner %u: others may replace the control law in this "
                         "folder (chmod go-w)",
                         directory, folder.st_mode & 07777, folder.st_uid);
    return 0;
}

/* Loaded through the descriptor that was checked, so that what was checked is what runs. It stays open: the loader takes an
 * object of the same name for the same object. */
static int load(const char *path, int descriptor, const char *symbol, const struct mxrc_law **law,
                char *error, size_t error_bytes)
{
    char name[64];
    int result = check_file(path, descriptor, error, error_bytes);
    if (result)
        return result;
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return mxrc_fail(error, error_bytes, EINVAL, "%s: cannot be loaded: %s", path, dlerror());
    const uint32_t *found = dlsym(handle, symbol);
    if (!found)
        return mxrc_fail(error, error_bytes, ENOENT, "%s: has no symbol %s", path, symbol);
    *law = (const void *)found;
    return 0;
}

int mxrc_law_load(const char *path, const char *symbol, const struct mxrc_law **law, char *error,
                  size_t error_bytes)
{
    char why[400];
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return mxrc_fail(error, error_bytes, errno, "%s: %s", path, strerror(errno));
    int result = load(path, descriptor, symbol, law, error, error_bytes);
    if (result) {
        close(descriptor);
        return result;
    }
    result = mxrc_law_check(*law, (*law)->parameter_count, why, sizeof why);
    return result ? mxrc_fail(error, error_bytes, result, "%s: symbol %s: %s", path, symbol, why)
                  : 0;
}
