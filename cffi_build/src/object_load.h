/* object_load.h: loading code of the user's own. */
#ifndef MXRC_OBJECT_LOAD_H
#define MXRC_OBJECT_LOAD_H

#include <stddef.h>

/* What `symbol` is in the shared object, which is loaded for good. 0; EPERM: others than its owner, root or this user, may write the
 * file; EINVAL: it cannot be loaded; ENOENT: no such file or symbol. */
int mxrc_object_load(const char *path, const char *symbol, const void **found, char *error,
                     size_t error_bytes);

#endif
