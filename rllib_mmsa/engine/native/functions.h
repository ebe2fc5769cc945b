/* All functions for one instruction set (native.c). */
#include "rows.h"
#include "mlp.h"
#include "gru.h"
#include "rollouts.h"
#include "values.h"
#include "errors.h"
#include "open_loop.h"
#include "model_losses.h"
#include "self_prediction.h"
#include "update.h"
#include "share.h"
#include "optimiser.h"

#undef Vector
#undef Integers
#undef INLINE
