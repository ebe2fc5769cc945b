/* A mixer, for one instruction set (kernels.c). */

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
                const Vector low = OWN(exponential)(h) - 1.0f;
                OWN(store)(hidden + r * embed + i, OWN(pick)(h < 0, low, h)); /* ELU */
            }
        for (int r = 0; r < n; r++)
            mixed[row + r] =
                value[r] + OWN(product)(hidden + r * embed, second + r * embed, embed, 0);
    }
    free(memory);
    return 0;
}
