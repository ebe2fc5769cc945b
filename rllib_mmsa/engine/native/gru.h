/* A GRU over time, with gradients, for one instruction set (native.c). */

/* e^x to 2e-7 of itself (Cephes' polynomial), x cut to where it is finite and above 0. */
INLINE Vector OWN(exponential)(Vector x)
{
    const float to_integers = 12582912.0f; /* 1.5 * 2^23: what is added to it is rounded */
    const Vector most = (Vector){0} + 87;
    x = OWN(pick)(x > most, most, OWN(pick)(x < -most, -most, x));
    Vector shifted = x * 1.44269504f + to_integers, power = shifted - to_integers;
    x = x - power * 0.693359375f + power * 2.12194440e-4f;
    Vector sum = x * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * x + 8.3334519073e-3f;
    sum = sum * x + 4.1665795894e-2f;
    sum = sum * x + 1.6666665459e-1f;
    sum = sum * x + 5.0000001201e-1f;
    sum = sum * x * x + x + 1.0f;
    Integers exponent = (Integers)shifted - 0x4b400000; /* the bits of 1.5 * 2^23 */
    return sum * (Vector)((exponent + 127) << 23);
}

/* 1 / x of normal x. A division takes as long as half an exponential. */
INLINE Vector OWN(reciprocal)(Vector x)
{
#if LANES == 16
    const Vector near = (Vector)_mm512_rcp14_ps((__m512)x); /* 14 bits, then twice as many */
    return near * (2.0f - x * near);
#else
    return 1.0f / x;
#endif
}

INLINE Vector OWN(sigmoid)(Vector x) { return OWN(reciprocal)(1.0f + OWN(exponential)(-x)); }

/* tanh(x) to 3e-7 of itself: near 0 by Cephes' polynomial, where 1 - 2 / (e^2x + 1) would lose
 * digits. */
INLINE Vector OWN(hyperbolic_tangent)(Vector x)
{
    const Vector square = x * x;
    const Vector far = 1.0f - 2.0f * OWN(reciprocal)(1.0f + OWN(exponential)(2.0f * x));
    Vector sum = square * -5.70498872745e-3f + 2.06390887954e-2f;
    sum = sum * square - 5.37397155531e-2f;
    sum = sum * square + 1.33314422036e-1f;
    sum = sum * square - 3.33332819422e-1f;
    return OWN(pick)(OWN(size)(x) < 0.625f, x + x * square * sum, far);
}

/* h' = n + z (h - n) for LANES of a row. `gates` has W x + b of n, r and z, `size` numbers each, and
 * gets n, r, z and U_n h + c in their place if the way back will need them. `of_h`: U h + c of r, z
 * and n. */
INLINE void OWN(gru_lanes)(float *gates, const float *of_h, int size, const float *before,
                           float *after, int keeps)
{
    const Vector reset = OWN(sigmoid)(OWN(load)(gates + size) + OWN(load)(of_h));
    const Vector update = OWN(sigmoid)(OWN(load)(gates + 2 * size) + OWN(load)(of_h + size));
    const Vector of_fresh = OWN(load)(of_h + 2 * size);
    const Vector fresh = OWN(hyperbolic_tangent)(OWN(load)(gates) + reset * of_fresh);
    OWN(store)(after, fresh + update * (OWN(load)(before) - fresh));
    if (!keeps) return;
    OWN(store)(gates, fresh);
    OWN(store)(gates + size, reset);
    OWN(store)(gates + 2 * size, update);
    OWN(store)(gates + 3 * size, of_fresh);
}

/* One step of a GRU for n rows: from the states `before` to those `after`. `gates` (n, 4 size): see
 * `gru_lanes`; of_h: room for GROUP rows of all gates. */
TARGET static void OWN(gru_step)(const Gru *g, int n, float *gates, const float *before,
                                 float *after, int keeps, float *of_h)
{
    const int size = g->size;
    OWN(apply)(&g->by_h, n, before, size, of_h, 3 * size, 0);
    for (int r = 0; r < n; r++)
        for (int i = 0; i < size; i += LANES)
            OWN(gru_lanes)(gates + (long)r * 4 * size + i, of_h + r * 3 * size + i, size,
                           before + r * size + i, after + r * size + i, keeps);
}

/* The states of all steps, from zeros on: x (rows, size) and, written to, gates (rows, 4 size) and
 * states (rows, size). What x says of the gates does not wait for the step before. `room`: GROUP
 * rows of a state and of all gates. */
TARGET static void OWN(gru)(const Gru *g, const Steps *steps, const float *x, float *gates,
                            float *states, int keeps, float *room)
{
    const int size = g->size;
    const long rows = steps->starts[steps->count];
    float *zeros = room;
    memset(zeros, 0, GROUP * size * sizeof(float));
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? (int)(rows - row) : GROUP;
        OWN(apply)(&g->by_x, n, x + row * size, size, gates + row * 4 * size, 4 * size, 0);
    }
    for (int first = 0; first < steps->sequences; first += GROUP) {
        const float *before = zeros;
        for (int t = 0, n; t < steps->count && (n = rows_at(steps, t, first)); t++) {
            const long row = steps->starts[t] + first;
            OWN(gru_step)(g, n, gates + row * 4 * size, before, states + row * size, keeps,
                          room + GROUP * size);
            before = states + row * size;
        }
    }
}

/* From the gradient at h' of LANES of a row to that at h but for what comes through U, in its place.
 * `gates` has what `gru_lanes` left there, and gets the gradients at W x + b of n, r and z, and at
 * U_n h + c: those at U h + c of r, z and n are the last three. */
INLINE void OWN(gru_lanes_back)(float *gates, const float *before, int size, float *of_state)
{
    const Vector fresh = OWN(load)(gates), reset = OWN(load)(gates + size);
    const Vector update = OWN(load)(gates + 2 * size), of_fresh = OWN(load)(gates + 3 * size);
    const Vector given = OWN(load)(of_state);
    const Vector at_fresh = given * (1.0f - update) * (1.0f - fresh * fresh);
    OWN(store)(of_state, given * update);
    OWN(store)(gates, at_fresh);
    OWN(store)(gates + size, at_fresh * of_fresh * reset * (1.0f - reset));
    OWN(store)(gates + 2 * size, given * (OWN(load)(before) - fresh) * update * (1.0f - update));
    OWN(store)(gates + 3 * size, at_fresh * reset);
}

/* From the gradients of states (rows, size) to those of the gates, in the place of what `gru` left
 * there. `room`: GROUP rows of a state, twice. */
TARGET static void OWN(gates_back)(const Gru *g, const Steps *steps, const float *states,
                                   float *gates, const float *of_states, float *room)
{
    const int size = g->size;
    float *of_state = room, *zeros = of_state + GROUP * size;
    memset(zeros, 0, GROUP * size * sizeof(float));
    for (int first = 0; first < steps->sequences; first += GROUP) {
        int t = 0, later = 0; /* rows of the step after */
        while (t < steps->count && rows_at(steps, t, first)) t++;
        for (; t-- > 0;) {
            const int n = rows_at(steps, t, first);
            const long row = steps->starts[t] + first;
            const float *before = t ? states + (steps->starts[t - 1] + first) * size : zeros;
            float *at = gates + row * 4 * size;
            memset(of_state + later * size, 0, (n - later) * size * sizeof(float));
            OWN(add)(of_state, of_states + row * size, n * size);
            for (int r = 0; r < n; r++)
                for (int i = 0; i < size; i += LANES)
                    OWN(gru_lanes_back)(at + (long)r * 4 * size + i, before + r * size + i, size,
                                        of_state + r * size + i);
            OWN(apply)(&g->to_h, n, at + size, 4 * size, of_state, size, 1);
            later = n;
        }
    }
}

/* The other way: from the gradients of all states (rows, size) to those of x, written to `of_x`
 * (rows, size), and of the weights, added to `by_x` (n, r, z) and `by_h` (r, z, n). `gates` is
 * written over. `room`: GROUP rows of a state, twice. */
TARGET static void OWN(gru_back)(const Gru *g, const Steps *steps, const float *x,
                                 const float *states, float *gates, const float *of_states,
                                 float *of_x, const Gradient *by_x, const Gradient *by_h,
                                 float *room)
{
    const int size = g->size, all = 4 * size;
    const long rows = steps->starts[steps->count];
    OWN(gates_back)(g, steps, states, gates, of_states, room);
    int t = 0;
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? (int)(rows - row) : GROUP;
        for (int r = 0; r < n; r++) { /* the states before */
            while (row + r >= steps->starts[t + 1]) t++;
            const long before = t ? steps->starts[t - 1] + row + r - steps->starts[t] : 0;
            if (t)
                memcpy(room + r * size, states + before * size, size * sizeof(float));
            else
                memset(room + r * size, 0, size * sizeof(float));
        }
        const float *at = gates + row * all;
        OWN(add_product)(by_x, n, at, all, x + row * size, size);
        OWN(add_product)(by_h, n, at + size, all, room, size);
        OWN(apply)(&g->to_x, n, at, all, of_x + row * size, size, 0);
    }
}
