/* Errors and divergences with their gradients, for one instruction set (native.c). */

/* y = e^x */
TARGET static void OWN(exponentials)(const float *x, float *y, long count)
{
    long i = 0;
    for (; i + LANES <= count; i += LANES) OWN(store)(y + i, OWN(exponential)(OWN(load)(x + i)));
    for (; i < count; i++) y[i] = expf(x[i]);
}

/* (x - y)^2, the sum over numbers and, weighed, over rows (rows, count). `grad`: what `of_loss`
 * times that has for a gradient at x. */
TARGET static double OWN(squared_error)(const float *x, const float *y, const float *weights,
                                        float of_loss, long rows, int count, float *restrict grad)
{
    double total = 0;
    for (long r = 0; r < rows; r++, x += count, y += count, grad += count) {
        const float by = 2 * of_loss * weights[r];
        for (int i = 0; i < count; i++) grad[i] = x[i] - y[i];
        total += weights[r] * OWN(dot)(grad, grad, count);
        for (int i = 0; i < count; i++) grad[i] *= by;
    }
    return total;
}

/* The gradient of AvgL1Norm, whose means are `sizes`, of y's rows (rows, stride), in its place
 * (rows, count). */
TARGET static void OWN(norm_back)(const float *y, int stride, const float *sizes, long rows,
                                  int count, float *of_y)
{
    for (long r = 0; r < rows; r++)
        OWN(avg_l1_norm_back)(y + r * stride, sizes[r], count, of_y + r * count);
}

/* A Gaussian's mean and log deviation, from a network's (rows, 2 size) where both lie side by side,
 * and a sample. */
TARGET static void OWN(draw)(const float *found, const float *noise, Normal *to, long rows,
                             int size)
{
    for (long r = 0; r < rows; r++)
        for (int i = 0; i < size; i++) {
            const float log_std = found[2 * r * size + size + i];
            to->mean[r * size + i] = found[2 * r * size + i];
            to->log_std[r * size + i] = log_std < LEAST ? LEAST : log_std > MOST ? MOST : log_std;
        }
    OWN(exponentials)(to->log_std, to->std, rows * size);
    for (long i = 0; i < rows * size; i++) to->sample[i] = to->mean[i] + to->std[i] * noise[i];
}

/* The other way: gradients at mean and log deviation, and that at the sample, to the network's. */
TARGET static void OWN(draw_back)(const float *found, const float *noise, const Normal *of,
                                  const float *std, float *to, long rows, int size)
{
    for (long r = 0; r < rows; r++)
        for (int i = 0; i < size; i++) {
            const long at = r * size + i;
            const float log_std = found[2 * r * size + size + i], given = of->sample[at];
            const int moves = log_std >= LEAST && log_std <= MOST;
            to[2 * r * size + i] = of->mean[at] + given;
            to[2 * r * size + size + i] = moves ? of->log_std[at] + given * noise[at] * std[at] : 0;
        }
}

/* KL[p || N(0, I)] and KL[q || p], their means over rows, with gradients at both
 * (method/losses.py). `by`: what counts of the first at p, and of the second at q and at p. */
TARGET static void OWN(divergences)(const Normal *q, const Normal *p, const float *weights,
                                    const float *by, long rows, int size, Normal *of_q,
                                    Normal *of_p, float *losses)
{
    double of_normal = 0, of_posterior = 0;
    for (long r = 0; r < rows; r++) {
        const float share = weights[r] / size;
        float normal = 0, posterior = 0;
        for (long i = r * size; i < (r + 1) * size; i++) {
            const float variance = p->std[i] * p->std[i], precision = 1 / variance;
            const float apart = q->mean[i] - p->mean[i], distance = apart * apart * precision;
            const float ratio = q->std[i] * q->std[i] * precision;
            normal += 0.5f * (p->mean[i] * p->mean[i] + variance - 1) - p->log_std[i];
            posterior += 0.5f * (ratio + distance - 1) + p->log_std[i] - q->log_std[i];
            of_q->mean[i] = share * by[1] * apart * precision;
            of_q->log_std[i] = share * by[1] * (ratio - 1);
            of_p->mean[i] = share * (by[0] * p->mean[i] - by[2] * apart * precision);
            of_p->log_std[i] = share * (by[0] * (variance - 1) + by[2] * (1 - ratio - distance));
        }
        of_normal += share * normal, of_posterior += share * posterior;
    }
    losses[0] = of_normal, losses[1] = of_posterior;
}

/* Binary cross entropy of logits x (rows, count), else as `squared_error`. */
TARGET static double OWN(mask_error)(const float *x, const float *y, const float *weights,
                                     float of_loss, long rows, int count, float *grad)
{
    double total = 0;
    for (long r = 0; r < rows; r++)
        for (long i = r * count; i < (r + 1) * count; i++) {
            const float low = expf(-fabsf(x[i])), chance = (x[i] > 0 ? 1 : low) / (1 + low);
            total += weights[r] * ((x[i] > 0 ? x[i] : 0) - x[i] * y[i] + log1pf(low));
            grad[i] = of_loss * weights[r] * (chance - y[i]);
        }
    return total;
}

/* -log softmax(x) at `actions`, of agents' logits (rows, agents, count), else as `squared_error`,
 * and how often, into `same`, the likeliest action is meant. */
TARGET static double OWN(policy_error)(const float *x, const int64_t *actions, const float *weights,
                                       float of_loss, long rows, int agents, int count, float *grad,
                                       double *same)
{
    double total = 0;
    for (long r = 0; r < rows * agents; r++, x += count, grad += count) {
        const float weight = weights[r / agents], *at = x + actions[r];
        float sum = 0;
        int best = 0;
        for (int i = 1; i < count; i++) best = x[i] > x[best] ? i : best;
        for (int i = 0; i < count; i++) sum += grad[i] = expf(x[i] - x[best]);
        total += weight * (logf(sum) + x[best] - *at);
        *same += weight * (x + best == at);
        for (int i = 0; i < count; i++) grad[i] *= of_loss * weight / sum;
        grad[at - x] -= of_loss * weight;
    }
    return total;
}
