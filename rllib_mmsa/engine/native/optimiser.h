/* RMSprop for one instruction set (native.c), as torch.optim.RMSprop has it without momentum. */

/* v = alpha v + (1 - alpha) g^2; x = x - lr g / (sqrt(v) + eps), of `count` numbers. */
TARGET static void OWN(rmsprop)(float *restrict x, const float *restrict g, float *restrict v,
                                long count, float lr, float alpha, float eps)
{
    for (long i = 0; i < count; i++) {
        v[i] = alpha * v[i] + (1 - alpha) * g[i] * g[i];
        x[i] -= lr * g[i] / (sqrtf(v[i]) + eps);
    }
}
