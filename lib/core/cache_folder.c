/* cache_folder.c: where the library keeps what it can make again. */
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/files.h"
#include "core/shared_library.h"

char *trdi_cache_folder(void)
{
    /* What lies there is run: a program with more rights than its caller takes none of it from where the caller says. */
    if (trdi_process_privileged()) return NULL;
    const char *const own = getenv("TREADLE_CACHE");
    if (own != NULL) return own[0] != '\0' ? trdi_strndup(own, strlen(own)) : NULL;
    const char *const xdg = getenv("XDG_CACHE_HOME");
    if (xdg != NULL && xdg[0] == '/') return trdi_path_join(xdg, "treadle");
    const char *const home = getenv("HOME");
    if (home != NULL && home[0] == '/') return trdi_path_join(home, ".cache/treadle");
    return NULL;
}
