/* All functions for one instruction set (kernels.c). */
#include "rows.h"
#include "mlp.h"
#include "recurrence.h"
#include "rollouts.h"
#include "values.h"

#undef Vector
#undef Integers
#undef INLINE
