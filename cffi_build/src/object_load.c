/* object_load.c: code of the user's own in shared objects: is the file to be trusted, has it the symbol. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "object_load.h"

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
                         "%s: mode %04o, owner %u: others may replace the code in this "
                         "folder (chmod go-w)",
                         directory, folder.st_mode & 07777, folder.st_uid);
    return 0;
}

/* Loaded through the descriptor that was checked, so that what was checked is what runs. It stays open: the loader takes an
 * object of the same name for the same object. */
static int load(const char *path, int descriptor, const char *symbol, const void **found,
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
    *found = dlsym(handle, symbol);
    if (!*found)
        return mxrc_fail(error, error_bytes, ENOENT, "%s: has no symbol %s", path, symbol);
    return 0;
}

int mxrc_object_load(const char *path, const char *symbol, const void **found, char *error,
                     size_t error_bytes)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return mxrc_fail(error, error_bytes, errno, "%s: %s", path, strerror(errno));
    int result = load(path, descriptor, symbol, found, error, error_bytes);
    if (result)
        close(descriptor);
    return result;
}
