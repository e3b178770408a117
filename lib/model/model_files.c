/* model_files.c: files of a model by name, from a folder (mapped) or from memory (borrowed). */
#include <string.h>

#include "core/alloc.h"
#include "model/model_private.h"

static trd_status make_label(const trdi_model_files *files, const char *name, trdi_model_file *out)
{
    *out = (trdi_model_file){ 0 };
    out->label = trdi_path_join(files->name, name);
    return out->label != NULL ? TRD_OK : trdi_fail(TRD_E_MEMORY, "path of '%s' in '%s'", name, files->name);
}

static const trd_file *find_in_memory(const trdi_model_files *files, const char *name)
{
    for (size_t i = 0; i < files->n_files; i++) {
        if (strcmp(files->files[i].name, name) == 0) return &files->files[i];
    }
    return NULL;
}

/* Opens out->label, or the file of that name in memory; *found only when there is one. */
static trd_status open_labelled(const trdi_model_files *files, const char *name, bool optional, trdi_model_file *out, bool *found)
{
    *found = false;
    if (files->files != NULL) {
        const trd_file *file = find_in_memory(files, name);
        if (file == NULL) {
            return optional ? TRD_OK : trdi_fail(TRD_E_IO, "cannot open file '%s': it is not among the %zu files given", out->label,
                                                 files->n_files);
        }
        out->data = file->data;
        out->bytes = file->bytes;
    } else {
        trdi_file_identity identity;
        if (optional && !trdi_file_identify(out->label, &identity)) return TRD_OK;
        TRDI_TRY(trdi_file_map_open(out->label, &out->map));
        out->data = out->map.data;
        out->bytes = out->map.bytes;
        out->mapped = true;
    }
    *found = true;
    return TRD_OK;
}

trd_status trdi_model_file_find(const trdi_model_files *files, const char *name, trdi_model_file *out, bool *found)
{
    *found = false;
    TRDI_TRY(make_label(files, name, out));
    const trd_status status = open_labelled(files, name, true, out, found);
    if (!*found) trdi_model_file_close(out);
    return status;
}

trd_status trdi_model_file_open(const trdi_model_files *files, const char *name, trdi_model_file *out)
{
    bool found;
    TRDI_TRY(make_label(files, name, out));
    const trd_status status = open_labelled(files, name, false, out, &found);
    if (status != TRD_OK) trdi_model_file_close(out);
    return status;
}

void trdi_model_file_close(trdi_model_file *file)
{
    trdi_file_map_close(&file->map);
    trdi_free(file->label);
    *file = (trdi_model_file){ 0 };
}
