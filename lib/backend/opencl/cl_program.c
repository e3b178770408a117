/* cl_program.c: programs of a device, each made once from an embedded source and its options: loaded from the cache, or compiled. */
#include <stdio.h>
#include <string.h>

#include "backend/opencl/cl_program_cache.h"
#include "backend/opencl/opencl.h"
#include "core/alloc.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/strings.h"

/* Characters of a digest, with the NUL. */
enum { TRDI_CL_DIGEST_BYTES = 33 };

struct trdi_cl_program {
    trdi_cl_program *next;
    const trdi_cl_source *source;
    trdi_cl_source *own;         /* the source, where it is a caller's text; owned with its text */
    char      *options;          /* all of them; owned */
    cl_program handle;
    bool       loaded;           /* from the cache */
    bool       unsaved;          /* compiled, and not offered to the cache yet */
    size_t     kept_bytes;       /* of its file; 0 = none */
    size_t     n_uses;           /* of a caller's text: kernels made from it, and a saving that is under way */
    int64_t    made_ns;          /* how long loading or compiling took; 0 once the log has it */
    trdi_cl_cache_key key;
};

/* ---- Making ---- */

static const trdi_cl_source *find_source(const char *name)
{
    for (size_t i = 0; i < trdi_cl_n_sources; i++) {
        if (strcmp(trdi_cl_sources[i].name, name) == 0) return &trdi_cl_sources[i];
    }
    return NULL;
}

/* Options of the device's class (-w: some drivers write counts of warnings to standard error), then the caller's. Owned; NULL without memory. */
static char *all_options(const trdi_cl_device *device, const char *options)
{
    const trdi_cl_traits *t = &device->traits;
    trdi_text text = { NULL, 0, 0, false };
    trdi_text_add(&text, "-cl-std=CL1.2 -w -DTRD_%s=1 -DTRD_VECTOR_FLOATS=%d -DGROUP_SIZE=%d", t->form == TRDI_CL_TILES ? "TILES" : "GROUPS",
                  (int)t->vector_floats, (int)trdi_cl_group_size(device));
    if (t->fast_fma) trdi_text_add(&text, " -DTRD_FAST_FMA=1");
    if (t->fp16) trdi_text_add(&text, " -DTRD_FP16=1");
    if (strstr(device->facts.platform, "Oclgrind") != NULL) trdi_text_add(&text, " -DTRD_ARRAY_SUMS=1");   /* kernels/shared/lanes.h */
    if (options[0] != '\0') trdi_text_add(&text, " %s", options);
    if (text.failed) trdi_text_free(&text);
    return text.failed ? NULL : text.data;
}

/* The name of sources that callers bring. */
static const char users_name[] = "user";

/* A copy of a caller's source, in one piece of memory; NULL without it. */
static trdi_cl_source *copy_source(const trdi_cl_source *source)
{
    size_t bytes;
    if (!trdi_mul_size(source->bytes + sizeof *source + TRDI_CL_DIGEST_BYTES + 1, 1, &bytes)) return NULL;
    trdi_cl_source *own = trdi_alloc(bytes);
    if (own == NULL) return NULL;
    char *digest = (char *)(own + 1), *text = digest + TRDI_CL_DIGEST_BYTES;
    memcpy(digest, source->digest, TRDI_CL_DIGEST_BYTES);
    memcpy(text, source->text, source->bytes);
    text[source->bytes] = '\0';
    *own = (trdi_cl_source){ .name = source->name, .text = text, .bytes = source->bytes, .digest = digest };
    return own;
}

static bool same_source(const trdi_cl_program *program, const trdi_cl_source *source)
{
    if (program->source == source) return true;
    return program->own != NULL && program->own->bytes == source->bytes && memcmp(program->own->text, source->text, source->bytes) == 0;
}

/* The first lines of what the compiler said, into the failure's text. A caller's text is to blame for what does not compile, not the device. */
static trd_status build_failed(const trdi_cl_device *device, cl_program program, const char *source, cl_int error)
{
    char text[400] = "";
    size_t bytes = 0;
    if (trdi_cl.GetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) == CL_SUCCESS && bytes > 1) {
        char *whole = trdi_alloc(bytes + 1);
        if (whole != NULL && trdi_cl.GetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, bytes, whole, NULL) == CL_SUCCESS) {
            whole[bytes] = '\0';
            (void)snprintf(text, sizeof text, "%s", whole);
        }
        trdi_free(whole);
    }
    if (source == users_name && error == CL_BUILD_PROGRAM_FAILURE)
        return trdi_fail(TRD_E_FORMAT, "the source does not compile on %s (%s): %s", device->facts.id, device->facts.name, text);
    return trdi_cl_fail(error, "program '%s' on %s (%s): %s", source, device->facts.id, device->facts.name, text);
}

static trd_status compile(trdi_cl_device *device, trdi_cl_program *program)
{
    const trdi_cl_source *source = program->source;
    const int64_t start = trdi_now_ns();
    cl_int error;
    cl_program handle = trdi_cl.CreateProgramWithSource(device->context, 1, &(const char *){ source->text }, &source->bytes, &error);
    if (error != CL_SUCCESS) return trdi_cl_fail(error, "program '%s' on %s", source->name, device->facts.id);
    error = trdi_cl.BuildProgram(handle, 1, &device->id, program->options, NULL, NULL);
    if (error != CL_SUCCESS) {
        const trd_status status = build_failed(device, handle, source->name, error);
        (void)trdi_cl.ReleaseProgram(handle);
        return status;
    }
    program->handle = handle;
    program->loaded = false;
    program->kept_bytes = 0;
    program->made_ns = trdi_now_ns() - start + 1;
    program->unsaved = program->key.path != NULL;
    if (program->unsaved) (void)atomic_fetch_add(&device->n_unsaved, 1);
    return TRD_OK;
}

/* From the cache. A file that the driver does not take is removed. */
static bool load(trdi_cl_device *device, trdi_cl_program *program)
{
    trdi_file_map map;
    const uint8_t *binary;
    size_t bytes;
    const int64_t start = trdi_now_ns();
    if (!trdi_cl_cache_load(&program->key, &map, &binary, &bytes)) return false;
    cl_int error, state = CL_SUCCESS;
    cl_program handle = trdi_cl.CreateProgramWithBinary(device->context, 1, &device->id, &bytes, &binary, &state, &error);
    if (error == CL_SUCCESS) error = state;
    if (error == CL_SUCCESS) error = trdi_cl.BuildProgram(handle, 1, &device->id, program->options, NULL, NULL);
    trdi_file_map_close(&map);
    if (error == CL_SUCCESS) {
        program->handle = handle;
        program->loaded = true;
        program->kept_bytes = bytes;
        program->made_ns = trdi_now_ns() - start + 1;
        return true;
    }
    if (handle != NULL) (void)trdi_cl.ReleaseProgram(handle);
    trdi_cl_cache_drop(&program->key, trdi_cl_error_name(error));
    return false;
}

static void free_program(trdi_cl_program *program)
{
    if (program == NULL) return;
    if (program->handle != NULL) (void)trdi_cl.ReleaseProgram(program->handle);
    trdi_cl_cache_key_clear(&program->key);
    trdi_free(program->own);
    trdi_free(program->options);
    trdi_free(program);
}

/* Under programs_mutex. Takes options. */
static trd_status add_program(trdi_cl_device *device, const trdi_cl_source *source, char *options, trdi_cl_program **out)
{
    trdi_cl_program *program = trdi_calloc(1, sizeof *program);
    if (program == NULL) {
        trdi_free(options);
        return trdi_fail(TRD_E_MEMORY, "program '%s': %zu bytes", source->name, sizeof *program);
    }
    program->source = source;
    program->options = options;
    if (source->name == users_name) {
        program->source = program->own = copy_source(source);
        if (program->own == NULL) {
            free_program(program);
            return trdi_fail(TRD_E_MEMORY, "source of a kernel: %zu bytes", source->bytes);
        }
    }
    trdi_cl_cache_locate(device->cache, source, options, &program->key);
    const trd_status status = load(device, program) ? TRD_OK : compile(device, program);
    if (status != TRD_OK) {
        free_program(program);
        return status;
    }
    program->next = device->programs;
    device->programs = program;
    *out = program;
    return TRD_OK;
}

/* Under programs_mutex. */
static trd_status find_program(trdi_cl_device *device, const trdi_cl_source *source, const char *extra, trdi_cl_program **out)
{
    char *options = all_options(device, extra);
    if (options == NULL) return trdi_fail(TRD_E_MEMORY, "options of program '%s'", source->name);
    for (trdi_cl_program *p = device->programs; p != NULL; p = p->next) {
        if (same_source(p, source) && strcmp(p->options, options) == 0) {
            trdi_free(options);
            *out = p;
            return TRD_OK;
        }
    }
    return add_program(device, source, options, out);
}

/* ---- Programs of callers' texts ---- */

/* Programs of callers' texts that are kept without a use. */
enum { KEPT_IDLE = 4 };

/* Keep the binary if it is larger than what is kept. @return its size, 0 if it was not kept */
static size_t save(trdi_cl_device *device, const trdi_cl_program *program, cl_program handle, size_t kept_bytes)
{
    size_t bytes = 0;
    if (trdi_cl.GetProgramInfo(handle, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) != CL_SUCCESS || bytes <= kept_bytes) return 0;
    unsigned char *binary = trdi_alloc(bytes);
    if (binary == NULL) return 0;
    if (trdi_cl.GetProgramInfo(handle, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS) {
        trdi_cl_cache_store(device->cache, &program->key, binary, bytes);
    } else {
        bytes = 0;
    }
    trdi_free(binary);
    return bytes;
}

/* Under programs_mutex. The oldest that nothing uses go; what the driver tells at once is kept in the cache. */
static void trim_idle(trdi_cl_device *device)
{
    int n_idle = 0;
    for (trdi_cl_program **at = &device->programs; *at != NULL;) {
        trdi_cl_program *p = *at;
        if (p->own == NULL || p->n_uses > 0 || ++n_idle <= KEPT_IDLE) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        if (p->unsaved) (void)atomic_fetch_sub(&device->n_unsaved, 1);
        if (p->unsaved && !device->slow_binaries && atomic_load(&device->lost) == TRDI_CL_NOT_LOST) (void)save(device, p, p->handle, 0);
        free_program(p);
    }
}

/* Under programs_mutex. What was used last stands first. */
static void drop_use(trdi_cl_device *device, trdi_cl_program *program)
{
    if (--program->n_uses > 0 || program->own == NULL) return;
    trdi_cl_program **at = &device->programs;
    while (*at != program) at = &(*at)->next;
    *at = program->next;
    program->next = device->programs;
    device->programs = program;
    trim_idle(device);
}

void trdi_cl_program_drop(trdi_cl_device *device, trdi_cl_program *program)
{
    if (program == NULL) return;
    trdi_mutex_lock(&device->programs_mutex);
    drop_use(device, program);
    trdi_mutex_unlock(&device->programs_mutex);
}

/* ---- Kernels ---- */

/* Under programs_mutex. A loaded program without the kernel is not what was kept: it is compiled. */
static trd_status make_kernel(trdi_cl_device *device, trdi_cl_program *program, const char *name, cl_kernel *out)
{
    cl_int error;
    *out = trdi_cl.CreateKernel(program->handle, name, &error);
    if (error == CL_INVALID_KERNEL_NAME && program->loaded) {
        cl_program loaded = program->handle;
        trdi_cl_cache_drop(&program->key, "it lacks a kernel");
        TRDI_TRY(compile(device, program));
        (void)trdi_cl.ReleaseProgram(loaded);    /* kernels that were made of it keep it */
        *out = trdi_cl.CreateKernel(program->handle, name, &error);
    }
    if (error == CL_SUCCESS) {
        if (device->traits.form != TRDI_CL_GROUPS || program->own != NULL) return TRD_OK;      /* callers choose their groups */
        const trd_status status = trdi_cl_kernel_takes_group(device, *out, name, trdi_cl_group_size(device));
        if (status == TRD_OK) return TRD_OK;
        trdi_cl_kernel_free(*out);
        *out = NULL;
        return status;
    }
    *out = NULL;
    if (program->own != NULL && error == CL_INVALID_KERNEL_NAME) return trdi_fail(TRD_E_FORMAT, "the source has no kernel '%s'", name);
    return trdi_cl_fail(error, "kernel '%s' of '%s' on %s", name, program->source->name, device->facts.id);
}

/* @param used  NULL, or the program that has one use more now */
static trd_status create_kernel(trdi_cl_device *device, const trdi_cl_source *source, const char *options, const char *name, cl_kernel *out,
                                trdi_cl_program **used)
{
    TRDI_TRY(trdi_cl_usable(device));
    trdi_cl_program *program = NULL;
    int64_t made_ns = 0;
    bool loaded = false;
    trdi_mutex_lock(&device->programs_mutex);
    trd_status status = find_program(device, source, options, &program);
    if (status == TRD_OK) {
        program->n_uses++;
        status = make_kernel(device, program, name, out);
        made_ns = program->made_ns;
        loaded = program->loaded;
        program->made_ns = 0;
        if (used != NULL && status == TRD_OK) *used = program;
        else drop_use(device, program);
    }
    trdi_mutex_unlock(&device->programs_mutex);
    if (made_ns > 0) {
        trdi_log(loaded ? TRD_LOG_DEBUG : TRD_LOG_INFO, "%s: program '%s' (%s) %s in %.0f ms", device->facts.id, source->name, options,
                 loaded ? "loaded" : "compiled", (double)made_ns * 1e-6);
    }
    return status;
}

trd_status trdi_cl_kernel_create(trdi_cl_device *device, const char *source, const char *options, const char *name, cl_kernel *out)
{
    *out = NULL;
    const trdi_cl_source *found = find_source(source);
    if (found == NULL) return trdi_fail(TRD_E_INTERNAL, "no kernel source '%s'", source);
    return create_kernel(device, found, options, name, out, NULL);
}

trd_status trdi_cl_kernel_create_text(trdi_cl_device *device, const char *text, const char *name, cl_kernel *out, trdi_cl_program **program)
{
    *out = NULL;
    *program = NULL;
    const trdi_cl_source *prelude = find_source("prelude");
    if (prelude == NULL) return trdi_fail(TRD_E_INTERNAL, "no kernel source 'prelude'");
    trdi_text whole = { NULL, 0, 0, false };
    trdi_text_add(&whole, "%s\n#line 1\n%s\n", prelude->text, text);
    if (whole.failed) {
        trdi_text_free(&whole);
        return trdi_fail(TRD_E_MEMORY, "source of kernel '%s'", name);
    }
    uint8_t digest[16];
    char hex[TRDI_CL_DIGEST_BYTES];
    trdi_digest(whole.data, whole.length, digest);
    for (int i = 0; i < 16; i++) (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    const trdi_cl_source source = { .name = users_name, .text = whole.data, .bytes = whole.length, .digest = hex };
    const trd_status status = create_kernel(device, &source, "", name, out, program);
    trdi_text_free(&whole);
    return status;
}

void trdi_cl_kernel_free(cl_kernel kernel)
{
    if (kernel != NULL) (void)trdi_cl.ReleaseKernel(kernel);
}

/* ---- Keeping ---- */

/* The next program to look at, in use until the call after; NULL after the last. *at: NULL to start. */
static cl_program next_to_save(trdi_cl_device *device, bool all, trdi_cl_program **at)
{
    cl_program handle = NULL;
    trdi_mutex_lock(&device->programs_mutex);
    trdi_cl_program *p = *at != NULL ? (*at)->next : device->programs;
    if (*at != NULL) (*at)->n_uses--;
    while (p != NULL && (p->key.path == NULL || !(p->unsaved || all))) p = p->next;
    if (p != NULL) {
        if (p->unsaved) (void)atomic_fetch_sub(&device->n_unsaved, 1);
        p->unsaved = false;
        p->n_uses++;
        handle = p->handle;
        (void)trdi_cl.RetainProgram(handle);
    }
    trdi_mutex_unlock(&device->programs_mutex);
    *at = p;
    return handle;
}

void trdi_cl_programs_save(trdi_cl_device *device, bool all)
{
    trdi_cl_program *at = NULL;
    for (cl_program handle = next_to_save(device, all, &at); handle != NULL; handle = next_to_save(device, all, &at)) {
        trdi_mutex_lock(&device->programs_mutex);
        const size_t kept_bytes = at->kept_bytes;
        trdi_mutex_unlock(&device->programs_mutex);
        const size_t bytes = save(device, at, handle, kept_bytes);
        (void)trdi_cl.ReleaseProgram(handle);
        trdi_mutex_lock(&device->programs_mutex);
        if (bytes > at->kept_bytes) at->kept_bytes = bytes;
        trdi_mutex_unlock(&device->programs_mutex);
    }
}

void trdi_cl_programs_free(trdi_cl_device *device)
{
    while (device->programs != NULL) {
        trdi_cl_program *program = device->programs;
        device->programs = program->next;
        free_program(program);
    }
}
