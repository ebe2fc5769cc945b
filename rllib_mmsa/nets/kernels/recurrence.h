/* A GRU and a mixer, for one instruction set (kernels.c). */

/* e^x to 2e-7 of itself (Cephes' polynomial), x cut to where it is finite and above 0. */
INLINE Vector OWN(exponential)(Vector x)
{
    const float to_integers = 12582912.0f; /* 1.5 * 2^23: what is added to it is rounded */
    for (int j = 0; j < LANES; j++) x[j] = x[j] > 87 ? 87 : x[j] < -87 ? -87 : x[j];
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

/* One step of a GRU for LANES of a row: h' = n + z (h - n). `of_x`, `of_h`: W x + b, U h + c for
 * the gates r, z, n, each `size` numbers after the last. */
INLINE void OWN(gru_lanes)(const float *of_x, const float *of_h, int size, float *hidden)
{
    Vector reset = OWN(sigmoid)(OWN(load)(of_x) + OWN(load)(of_h));
    Vector update = OWN(sigmoid)(OWN(load)(of_x + size) + OWN(load)(of_h + size));
    Vector fresh = OWN(load)(of_x + 2 * size) + reset * OWN(load)(of_h + 2 * size);
    fresh = 2.0f * OWN(sigmoid)(2.0f * fresh) - 1.0f; /* tanh */
    OWN(store)(hidden, fresh + update * (OWN(load)(hidden) - fresh));
}

/* A GRU's states from zeros on (gru.py).
 *
 * x (P, inputs) and, written to, states (P, size): the rows of each step after those of the last,
 * as many as `counts` (steps) says, never more than before. size is a multiple of LANES. weights:
 * (3 size, inputs), (3 size, size), (3 size), (3 size). Returns 0, or 1 where there is no memory.
 */
TARGET int OWN(gru)(const float *x, const float *const *weights, float *states, const int *counts,
                    int steps, int inputs, int size)
{
    const int gates = 3 * size;
    const long packed = layer_size(inputs, gates) + layer_size(size, gates);
    float *memory = calloc(packed + GROUP * (inputs + size + 2L * gates), sizeof(float)),
          *read = memory;
    if (!memory) return 1;
    const Layer by_x = make_layer(weights[0], weights[2], inputs, inputs, gates, &read);
    const Layer by_h = make_layer(weights[1], weights[3], size, size, gates, &read);
    float *hidden = read + GROUP * inputs, *of_x = hidden + GROUP * size,
          *of_h = of_x + GROUP * gates;
    for (int first = 0; first < counts[0]; first += GROUP) {
        long offset = first;
        memset(hidden, 0, GROUP * size * sizeof(float));
        for (int t = 0; t < steps && counts[t] > first; offset += counts[t++]) {
            const int n = counts[t] - first < GROUP ? counts[t] - first : GROUP;
            memcpy(read, x + offset * inputs, n * inputs * sizeof(float));
            OWN(apply)(&by_x, n, read, inputs, of_x, gates, 0);
            OWN(apply)(&by_h, n, hidden, size, of_h, gates, 0);
            for (int r = 0; r < n; r++)
                for (int i = 0; i < size; i += LANES)
                    OWN(gru_lanes)(of_x + r * gates + i, of_h + r * gates + i, size,
                                   hidden + r * size + i);
            memcpy(states + offset * size, hidden, n * size * sizeof(float));
        }
    }
    free(memory);
    return 0;
}

/* Q_tot (mixers.py, `QMixer`).
 *
 * q (rows, agents), parts: matrices (rows, of_part[i]) that lie side by side in the state, and,
 * written to, mixed (rows). `weights` are those of `fill_mixer`, `sizes` those of `sized_mixer`.
 * The width of the mixing layer is a multiple of LANES. Returns 0, or 1 where there is no memory.
 */
TARGET int OWN(mix)(const float *q, const float *const *parts, const int *of_part, int num_parts,
                    const float *const *weights, float *mixed, int rows, const int *sizes)
{
    Mixer m = sized_mixer(sizes);
    const int embed = m.embed, many = m.agents * embed;
    const long per_row = m.state + many + 2 * embed + 1 + rounded(m.wide > embed ? m.wide : embed);
    float *memory = calloc(mixer_size(&m) + GROUP * per_row, sizeof(float)), *state = memory;
    if (!memory) return 1;
    fill_mixer(&m, weights, &state);
    float *first = state + GROUP * m.state, *hidden = first + GROUP * many;
    float *second = hidden + GROUP * embed, *value = second + GROUP * embed, *room = value + GROUP;
    for (long row = 0; row < rows; row += GROUP) {
        const int n = rows - row < GROUP ? rows - row : GROUP, s = m.state;
        OWN(join)(parts, of_part, num_parts, row, n, state, s);
        OWN(two_layers)(m.weights_1, m.weights_1 + 1, n, state, s, room, first, many, 0);
        OWN(apply)(&m.bias_1, n, state, s, hidden, embed, 0);
        OWN(two_layers)(m.weights_2, m.weights_2 + 1, n, state, s, room, second, embed, 0);
        OWN(two_layers)(m.value, m.value + 1, n, state, s, room, value, 1, 0);
        for (int r = 0; r < n; r++)
            for (int i = 0; i < embed; i += LANES) {
                const float *of_agents = q + (row + r) * m.agents, *w = first + r * many + i;
                Vector h = OWN(load)(hidden + r * embed + i);
                for (int a = 0; a < m.agents; a++)
                    h += of_agents[a] * OWN(size)(OWN(load)(w + a * embed));
                const Vector grown = OWN(exponential)(h) - 1.0f;
                for (int j = 0; j < LANES; j++) h[j] = h[j] < 0 ? grown[j] : h[j]; /* ELU */
                OWN(store)(hidden + r * embed + i, h);
            }
        for (int r = 0; r < n; r++)
            mixed[row + r] =
                value[r] + OWN(product)(hidden + r * embed, second + r * embed, embed, 0);
    }
    free(memory);
    return 0;
}
