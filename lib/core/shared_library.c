/* shared_library.c: see shared_library.h. dlopen() and its relatives, or their equivalents on Windows. */
#if defined(__linux__)
#define _GNU_SOURCE /* dladdr, realpath without a limit */
#endif
#include "core/shared_library.h"

#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"

#if defined(_WIN32)
#include <windows.h>

enum { PATH_WORDS = 4096 };

trd_status trdi_library_open(const char *path, void **library)
{
    wchar_t wide[PATH_WORDS];
    *library = NULL;
    if (MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, PATH_WORDS) > 0) *library = (void *)LoadLibraryW(wide);
    return *library != NULL ? TRD_OK : trdi_fail(TRD_E_UNSUPPORTED, "%s: error %lu", path, (unsigned long)GetLastError());
}

bool trdi_library_present(const char *name)
{
    return GetModuleHandleA(name) != NULL;
}

bool trdi_library_function(void *library, const char *name, void *function, size_t size)
{
    const FARPROC address = GetProcAddress((HMODULE)library, name);
    if (address == NULL || size != sizeof address) return false;
    memcpy(function, &address, size);
    return true;
}

static char *module_path(HMODULE module)
{
    wchar_t wide[PATH_WORDS];
    const DWORD n = GetModuleFileNameW(module, wide, PATH_WORDS);
    if (n == 0 || n >= PATH_WORDS) return NULL;
    char *const path = trdi_alloc(3 * PATH_WORDS);
    if (path == NULL) return NULL;
    if (WideCharToMultiByte(CP_UTF8, 0, wide, -1, path, 3 * PATH_WORDS, NULL, NULL) == 0) {
        trdi_free(path);
        return NULL;
    }
    for (char *at = path; *at != '\0'; at++)
        if (*at == '\\') *at = '/';
    return path;
}

char *trdi_library_own_path(void)
{
    static const char here = 0;
    MEMORY_BASIC_INFORMATION memory;
    return VirtualQuery(&here, &memory, sizeof memory) != 0 ? module_path((HMODULE)memory.AllocationBase) : NULL;
}

char *trdi_program_path(void)
{
    return module_path(NULL);
}

bool trdi_process_privileged(void)
{
    return false;
}

#else
#include <dlfcn.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

trd_status trdi_library_open(const char *path, void **library)
{
    *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (*library != NULL) return TRD_OK;
    const char *const reason = dlerror();
    return trdi_fail(TRD_E_UNSUPPORTED, "%s", reason != NULL ? reason : path);
}

bool trdi_library_present(const char *name)
{
    void *const library = dlopen(name, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    if (library != NULL) (void)dlclose(library);
    return library != NULL;
}

bool trdi_library_function(void *library, const char *name, void *function, size_t size)
{
    void *const address = dlsym(library, name);
    if (address == NULL || size != sizeof address) return false;
    memcpy(function, &address, size);
    return true;
}

/* Without links and relative parts, in our allocator's memory. */
static char *absolute_path(const char *path)
{
    char buffer[4096];
    return realpath(path, buffer) != NULL ? trdi_strndup(buffer, strlen(buffer)) : NULL;
}

char *trdi_program_path(void)
{
#if defined(__linux__)
    return absolute_path("/proc/self/exe");
#else
    return NULL;
#endif
}

char *trdi_library_own_path(void)
{
    static const char here = 0;
    Dl_info info;
    if (dladdr(&here, &info) == 0 || info.dli_fname == NULL) return trdi_program_path();
    /* Of a program the C library only knows by what name it was called, which may be found through PATH. */
    char *const path = strchr(info.dli_fname, '/') != NULL ? absolute_path(info.dli_fname) : NULL;
    return path != NULL ? path : trdi_program_path();
}

bool trdi_process_privileged(void)
{
#if defined(__linux__)
    return getauxval(AT_SECURE) != 0;
#else
    return getuid() != geteuid() || getgid() != getegid();
#endif
}
#endif
