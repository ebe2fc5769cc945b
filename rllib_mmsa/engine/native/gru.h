/* A GRU over time, with gradients, for one instruction set (native.c). */

TARGET static void OWN(add)(float *restrict to, const float *restrict from, long count)
{
    for (long i = 0; i < count; i++) to[i] += from[i];
}

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

INLINE Vector OWN(sigmoid)(Vector x) { return 1.0f / (1.0f + OWN(exponential)(-x)); }

/* tanh(x) to 3e-7 of itself: near 0 by Cephes' polynomial, where 1 - 2 / (e^2x + 1) would lose
 * digits. */
INLINE Vector OWN(hyperbolic_tangent)(Vector x)
{
    const Vector square = x * x, far = 1.0f - 2.0f / (1.0f + OWN(exponential)(2.0f * x));
    Vector sum = square * -5.70498872745e-3f + 2.06390887954e-2f;
    sum = sum * square - 5.37397155531e-2f;
    sum = sum * square + 1.33314422036e-1f;
    sum = sum * square - 3.33332819422e-1f;
    return OWN(pick)(OWN(size)(x) < 0.625f, x + x * square * sum, far);
}

/* h' = n + z (h - n) for LANES of a row, and what its gradient needs, or NULL: r, z, n, U_n h + c,
 * as `of_x`, W x + b, and `of_h`, U h + c: each gate `size` numbers after the last. */
INLINE void OWN(gru_lanes)(const float *of_x, const float *of_h, int size, const float *before,
                           float *after, float *kept)
{
    const Vector reset = OWN(sigmoid)(OWN(load)(of_x) + OWN(load)(of_h));
    const Vector update = OWN(sigmoid)(OWN(load)(of_x + size) + OWN(load)(of_h + size));
    const Vector of_fresh = OWN(load)(of_h + 2 * size);
    const Vector fresh =
        OWN(hyperbolic_tangent)(OWN(load)(of_x + 2 * size) + reset * of_fresh);
    OWN(store)(after, fresh + update * (OWN(load)(before) - fresh));
    if (!kept) return;
    OWN(store)(kept, reset);
    OWN(store)(kept + size, update);
    OWN(store)(kept + 2 * size, fresh);
    OWN(store)(kept + 3 * size, of_fresh);
}

/* One step of a GRU for n rows: from x and the states `before` to those `after`; `room` has GROUP
 * rows of all gates, twice. `kept` (n, 4 size) or NULL. */
TARGET static void OWN(gru_step)(const Gru *g, int n, const float *x, const float *before,
                                 float *after, float *kept, float *room)
{
    const int size = g->size, gates = 3 * size;
    float *of_x = room, *of_h = room + GROUP * gates;
    OWN(apply)(&g->by_x, n, x, size, of_x, gates, 0);
    OWN(apply)(&g->by_h, n, before, size, of_h, gates, 0);
    for (int r = 0; r < n; r++)
        for (int i = 0; i < size; i += LANES)
            OWN(gru_lanes)(of_x + r * gates + i, of_h + r * gates + i, size, before + r * size + i,
                           after + r * size + i, kept ? kept + (long)r * 4 * size + i : NULL);
}

/* The states of all steps, from zeros on: x (rows, size) and, written to, states (rows, size) and,
 * or NULL, kept (rows, 4 size). `room` as for `gru_step`, and GROUP states before it. */
TARGET static void OWN(gru)(const Gru *g, const Steps *steps, const float *x, float *states,
                            float *kept, float *room)
{
    const int size = g->size;
    float *zeros = room;
    memset(zeros, 0, GROUP * size * sizeof(float));
    for (int first = 0; first < steps->sequences; first += GROUP) {
        const float *before = zeros;
        for (int t = 0, n; t < steps->count && (n = rows_at(steps, t, first)); t++) {
            const long row = steps->starts[t] + first;
            OWN(gru_step)(g, n, x + row * size, before, states + row * size,
                          kept ? kept + row * 4 * size : NULL, room + GROUP * size);
            before = states + row * size;
        }
    }
}

/* From the gradient at h' of LANES of a row to those at the gates' inputs, at U_n h + c, and, in
 * its place, at h but for what comes through U. `kept` as `gru_lanes` left it. */
INLINE void OWN(gru_lanes_back)(const float *kept, const float *before, int size, float *of_state,
                                float *of_x, float *of_h)
{
    const Vector reset = OWN(load)(kept), update = OWN(load)(kept + size);
    const Vector fresh = OWN(load)(kept + 2 * size), of_fresh = OWN(load)(kept + 3 * size);
    const Vector given = OWN(load)(of_state);
    const Vector at_fresh = given * (1.0f - update) * (1.0f - fresh * fresh);
    const Vector at_reset = at_fresh * of_fresh * reset * (1.0f - reset);
    const Vector at_update = given * (OWN(load)(before) - fresh) * update * (1.0f - update);
    OWN(store)(of_state, given * update);
    OWN(store)(of_x, at_reset);
    OWN(store)(of_h, at_reset);
    OWN(store)(of_x + size, at_update);
    OWN(store)(of_h + size, at_update);
    OWN(store)(of_x + 2 * size, at_fresh);
    OWN(store)(of_h + 2 * size, at_fresh * reset);
}

/* The other way: from the gradients of all states (rows, size) to those of x, written to `of_x`
 * (rows, size), and of the weights, added to `by_x` and `by_h`. `room`: GROUP rows of a state,
 * thrice, and of all gates, twice, and WIDEST numbers. */
TARGET static void OWN(gru_back)(const Gru *g, const Steps *steps, const float *x,
                                 const float *states, const float *kept, const float *of_states,
                                 float *of_x, const Gradient *by_x, const Gradient *by_h,
                                 float *room)
{
    const int size = g->size, gates = 3 * size;
    float *of_state = room, *zeros = of_state + GROUP * size, *found = zeros + GROUP * size;
    float *at_x = found + GROUP * size, *at_h = at_x + GROUP * gates;
    memset(zeros, 0, GROUP * size * sizeof(float));
    for (int first = 0; first < steps->sequences; first += GROUP) {
        int t = 0;
        while (t < steps->count && rows_at(steps, t, first)) t++;
        /* Of rows that have ended, zeros. */
        memset(of_state, 0, GROUP * size * sizeof(float));
        memset(at_h, 0, GROUP * gates * sizeof(float));
        while (t-- > 0) {
            const int n = rows_at(steps, t, first);
            const long row = steps->starts[t] + first;
            const float *before = t ? states + (steps->starts[t - 1] + first) * size : zeros;
            OWN(add)(of_state, of_states + row * size, n * size);
            for (int r = 0; r < n; r++)
                for (int i = 0; i < size; i += LANES)
                    OWN(gru_lanes_back)(kept + (row + r) * 4 * size + i, before + r * size + i,
                                        size, of_state + r * size + i, at_x + r * gates + i,
                                        at_h + r * gates + i);
            OWN(apply)(&g->to_h, n, at_h, gates, of_state, size, 1);
            OWN(add_product)(by_x, n, at_x, gates, x + row * size, size);
            OWN(add_product)(by_h, n, at_h, gates, before, size);
            OWN(apply)(&g->to_x, n, at_x, gates, found, size, 0);
            memcpy(of_x + row * size, found, n * size * sizeof(float));
        }
    }
}
