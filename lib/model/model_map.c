/*
 * model_map.c: the mapped payloads of model.bin. A model is mapped when it is opened; once the weights are prepared elsewhere the
 * pages can go, and come back when another device wants the weights: then the file must still be the one that was checked.
 */
#include <string.h>

#include "model/model_private.h"

static bool same_file(const trdi_file_identity *a, const trdi_file_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes && a->modified_ns == b->modified_ns;
}

trd_status trdi_model_map_first(trd_model *model, const trdi_model_files *files)
{
    struct trdi_model_private *p = model->private_part;
    TRDI_TRY(trdi_model_file_open(files, "model.bin", &p->binary));
    if (!p->binary.mapped) return TRD_OK;
    model->binary_path = p->binary.label;
    if (trdi_file_identify(p->binary.label, &p->identity) && p->identity.bytes == p->binary.bytes) return TRD_OK;
    return trdi_fail(TRD_E_IO, "file '%s' was replaced while it was opened", p->binary.label);
}

static trd_status map_again(struct trdi_model_private *p)
{
    trdi_file_map map;
    trdi_file_identity now;
    TRDI_TRY(trdi_file_map_open(p->binary.label, &map));
    if (!trdi_file_identify(p->binary.label, &now) || !same_file(&now, &p->identity) || map.bytes != p->binary.bytes) {
        trdi_file_map_close(&map);
        return trdi_fail(TRD_E_IO, "file '%s' has changed since the model was opened; open the model again", p->binary.label);
    }
    p->binary.map = map;
    p->binary.data = map.data;
    trdi_container_set_data(&p->container, map.data);
    return TRD_OK;
}

trd_status trdi_model_map(trd_model *model)
{
    struct trdi_model_private *p = model->private_part;
    if (!p->binary.mapped) return TRD_OK;
    trdi_mutex_lock(&p->mutex);
    const trd_status status = p->binary.data != NULL ? TRD_OK : map_again(p);
    if (status == TRD_OK) p->users++;
    trdi_mutex_unlock(&p->mutex);
    return status;
}

void trdi_model_unmap(trd_model *model)
{
    struct trdi_model_private *p = model->private_part;
    if (!p->binary.mapped) return;
    trdi_mutex_lock(&p->mutex);
    if (p->users > 0) p->users--;
    if (p->users == 0 && p->binary.data != NULL) {
        trdi_container_set_data(&p->container, NULL);
        trdi_file_map_close(&p->binary.map);
        p->binary.data = NULL;
    }
    trdi_mutex_unlock(&p->mutex);
}

bool trdi_model_identity(const trd_model *model, trdi_file_identity *out)
{
    *out = model->private_part->identity;
    return model->private_part->binary.mapped;
}
