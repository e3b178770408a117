// spm_found.cc: the C interface of spm.h over the SentencePiece library, which is C++. No exception leaves this file.
#include "spm.h"

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include <sentencepiece_processor.h>

struct spm {
    sentencepiece::SentencePieceProcessor processor;
};

spm *spm_open(const char *path, char *why, size_t why_bytes)
{
    try {
        spm *model = new spm;
        const auto status = model->processor.Load(path);
        if (status.ok()) return model;
        (void)std::snprintf(why, why_bytes, "%s: %s", path, status.ToString().c_str());
        delete model;
    } catch (const std::exception &e) {
        (void)std::snprintf(why, why_bytes, "%s: %s", path, e.what());
    }
    return nullptr;
}

void spm_close(spm *model)
{
    delete model;
}

bool spm_encode(const spm *model, const char *text, size_t bytes, spm_receiver receiver, void *context)
{
    try {
        std::vector<std::string> pieces;
        if (!model->processor.Encode(std::string(text, bytes), &pieces).ok()) return false;
        for (const std::string &piece : pieces)
            if (!receiver(context, piece.data(), piece.size())) return false;
        return true;
    } catch (const std::exception &) {
        return false;
    }
}

bool spm_decode(const spm *model, const char *const *pieces, size_t n, spm_receiver receiver, void *context)
{
    try {
        const std::vector<std::string> list(pieces, pieces + n);
        std::string text;
        if (!model->processor.Decode(list, &text).ok()) return false;
        return receiver(context, text.data(), text.size());
    } catch (const std::exception &) {
        return false;
    }
}
