/* All functions for one instruction set (kernels.c). */
#include "rows.h"
#include "mlp.h"
#include "gru.h"
#include "mixer.h"
#include "rollouts.h"
#include "values.h"
#include "model_losses.h"

#undef Vector
#undef Integers
#undef INLINE
