/* A GRU over time, with gradients, for one instruction set (kernels.c). */

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

/* h' = n + z (h - n) for LANES of a row, and what its gradient needs, or NULL: r, z, n, U_n h + c,
 * as `of_x`, W x + b, and `of_h`, U h + c: each gate `size` numbers after the last. */
INLINE void OWN(gru_lanes)(const float *of_x, const float *of_h, int size, float *hidden,
                           float *kept)
{
    const Vector reset = OWN(sigmoid)(OWN(load)(of_x) + OWN(load)(of_h));
    const Vector update = OWN(sigmoid)(OWN(load)(of_x + size) + OWN(load)(of_h + size));
    const Vector of_fresh = OWN(load)(of_h + 2 * size);
    Vector fresh = OWN(load)(of_x + 2 * size) + reset * of_fresh;
    fresh = 2.0f * OWN(sigmoid)(2.0f * fresh) - 1.0f; /* tanh */
    OWN(store)(hidden, fresh + update * (OWN(load)(hidden) - fresh));
    if (!kept) return;
    OWN(store)(kept, reset);
    OWN(store)(kept + size, update);
    OWN(store)(kept + 2 * size, fresh);
    OWN(store)(kept + 3 * size, of_fresh);
}

/* A GRU's states from zeros on (gru.py).
 *
 * x (P, inputs) and, written to, states (P, size) and, or NULL, kept (P, 4 size) for `gru_back`.
 * weights: (3 size, inputs), (3 size, size), (3 size), (3 size). sizes: steps, inputs, size (a
 * multiple of LANES), and the sequences that are run: from, to. Returns 0, or 1 where there is no
 * memory.
 */
TARGET int OWN(gru)(const float *x, const float *const *weights, float *states, float *kept,
                    const int *counts, const int *sizes)
{
    const Sequences s = some_sequences(counts, sizes);
    const int inputs = s.inputs, size = s.size, gates = 3 * size;
    const long packed = layer_size(inputs, gates) + layer_size(size, gates);
    float *memory = calloc(packed + GROUP * (inputs + size + 2L * gates), sizeof(float)),
          *read = memory;
    if (!memory) return 1;
    const Layer by_x = make_layer(weights[0], weights[2], inputs, inputs, gates, &read);
    const Layer by_h = make_layer(weights[1], weights[3], size, size, gates, &read);
    float *hidden = read + GROUP * inputs, *of_x = hidden + GROUP * size,
          *of_h = of_x + GROUP * gates;
    for (int first = s.from; first < s.to; first += s.group) {
        memset(hidden, 0, GROUP * size * sizeof(float));
        long row = first;
        for (int t = 0, n; t < s.steps && (n = rows_at(&s, t, first)); row += counts[t++]) {
            memcpy(read, x + row * inputs, n * inputs * sizeof(float));
            OWN(apply)(&by_x, n, read, inputs, of_x, gates, 0);
            OWN(apply)(&by_h, n, hidden, size, of_h, gates, 0);
            for (int r = 0; r < n; r++)
                for (int i = 0; i < size; i += LANES)
                    OWN(gru_lanes)(of_x + r * gates + i, of_h + r * gates + i, size,
                                   hidden + r * size + i,
                                   kept ? kept + (row + r) * 4 * size + i : NULL);
            memcpy(states + row * size, hidden, n * size * sizeof(float));
        }
    }
    free(memory);
    return 0;
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

/* The gradients of `gru`'s x (or NULL) and weights, from that of its states, of the sequences
 * `from` to `to`. Returns 0, or 1 where there is no memory. */
TARGET int OWN(gru_back)(const float *x, const float *const *weights, const float *states,
                         const float *kept, const float *of_states, float *of_inputs,
                         float *const *of_weights, const int *counts, const int *sizes)
{
    const Sequences s = some_sequences(counts, sizes);
    const int inputs = s.inputs, size = s.size, gates = 3 * size, wide = rounded(inputs);
    const long room = layer_size(gates, inputs) + layer_size(gates, size) +
                      gradient_size(gates, inputs) + gradient_size(gates, size) +
                      GROUP * (2L * wide + 2 * size + 2 * gates);
    float *memory = calloc(room, sizeof(float)), *read = memory;
    if (!memory) return 1;
    const Layer to_x = backwards(weights[0], inputs, inputs, gates, &read);
    const Layer to_h = backwards(weights[1], size, size, gates, &read);
    const Gradient of_w = make_gradient(gates, inputs, &read);
    const Gradient of_u = make_gradient(gates, size, &read);
    float *found = read + GROUP * wide, *of_state = found + GROUP * wide;
    float *before = of_state + GROUP * size, *of_x = before + GROUP * size;
    float *of_h = of_x + GROUP * gates;
    for (int first = s.from; first < s.to; first += s.group) {
        long row = first;
        int t = 0;
        while (t < s.steps && rows_at(&s, t, first)) row += counts[t++];
        /* Of rows that have ended, zeros. */
        memset(of_state, 0, GROUP * size * sizeof(float));
        memset(of_h, 0, GROUP * gates * sizeof(float));
        while (t-- > 0) {
            const int n = rows_at(&s, t, first);
            row -= counts[t];
            if (t > 0)
                memcpy(before, states + (row - counts[t - 1]) * size, n * size * sizeof(float));
            else
                memset(before, 0, n * size * sizeof(float));
            for (int i = 0; i < n * size; i++) of_state[i] += of_states[row * size + i];
            for (int r = 0; r < n; r++)
                for (int i = 0; i < size; i += LANES)
                    OWN(gru_lanes_back)(kept + (row + r) * 4 * size + i, before + r * size + i,
                                        size, of_state + r * size + i, of_x + r * gates + i,
                                        of_h + r * gates + i);
            OWN(apply)(&to_h, n, of_h, gates, of_state, size, 1);
            OWN(copy)(x + row * inputs, inputs, read, wide, n, inputs);
            OWN(add_product)(&of_w, n, of_x, gates, read, wide);
            OWN(add_product)(&of_u, n, of_h, gates, before, size);
            if (!of_inputs) continue;
            OWN(apply)(&to_x, n, of_x, gates, found, wide, 0);
            OWN(copy)(found, wide, of_inputs + row * inputs, inputs, n, inputs);
        }
    }
    give(&of_w, of_weights[0], of_weights[2]);
    give(&of_u, of_weights[1], of_weights[3]);
    free(memory);
    return 0;
}
