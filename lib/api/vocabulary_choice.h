/* vocabulary_choice.h: which outputs a model's vocabulary map allows for one example. */
#ifndef TRDI_VOCABULARY_CHOICE_H
#define TRDI_VOCABULARY_CHOICE_H

#include "api/translator.h"

/**
 * Set example->allowed and n_allowed: special tokens, always-allowed ids, what the source's n-grams map to, and the prefix
 * (example->target). Unlike the original's, the choice does not depend on the other examples of the call.
 */
trd_status trdi_choose_vocabulary(const trd_model *model, const trdi_sequence *source, trdi_example *example);

#endif
