/* Pixel norm and SiLU on channels-last pictures, each derivative in one pass.
 *
 * Every picture is P pixels of C contiguous channels. With x a pixel's features:
 *   r = 1 / sqrt(mean(x^2) + eps),  n = r x,  a = n gain + bias,  y = a sigmoid(a)
 * Without a norm (gain is NULL) a = x. The formulas are those of pixel_norm.py, where they are derived.
 * Sums over pixels are taken in blocks, then in double precision.
 *
 * `join` appends coarse features, every pixel repeated twice in both directions, to fine ones; `part` is its adjoint.
 * Rows run over all pictures of a batch, whose heights are even.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
/* glibc has vector versions of these; without its fast-math switch it does not say so */
__attribute__((simd("notinbranch"))) float expf(float);
__attribute__((simd("notinbranch"))) double exp(double);
#endif

enum { BLOCK = 64 };

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* With the usual widths known to the compiler, the loops over channels become straight code. */
#define WITH_CONSTANT_CHANNELS(CALL)                                                                                  \
    switch (channels) {                                                                                               \
        case 16: { enum { channels = 16 }; CALL; break; }                                                             \
        case 32: { enum { channels = 32 }; CALL; break; }                                                             \
        case 64: { enum { channels = 64 }; CALL; break; }                                                             \
        default: CALL;                                                                                                \
    }

#define DEFINE(T, SUFFIX, EXP)                                                                                        \
    ALWAYS_INLINE T inverse_length_##SUFFIX(const T *x, int64_t channels, T eps) {                                    \
        T sum = 0;                                                                                                    \
        for (int64_t c = 0; c < channels; c++) sum += x[c] * x[c];                                                    \
        return 1 / (T)sqrt(sum / (T)channels + eps);                                                                  \
    }                                                                                                                 \
    ALWAYS_INLINE void flush_##SUFFIX(T *restrict part, double *restrict total, int64_t channels) {                   \
        for (int64_t c = 0; c < channels; c++) total[c] += part[c];                                                   \
        memset(part, 0, sizeof(T) * (size_t)channels);                                                                \
    }                                                                                                                 \
    ALWAYS_INLINE void norm_silu_body_##SUFFIX(const T *restrict x, const T *restrict gain, const T *restrict bias, T *restrict y,\
                            int64_t pixels, int64_t channels, T eps) {                                                \
        for (int64_t p = 0; p < pixels; p++, x += channels, y += channels) {                                          \
            T r = inverse_length_##SUFFIX(x, channels, eps);                                                          \
            for (int64_t c = 0; c < channels; c++) {                                                                  \
                T a = x[c] * r * gain[c] + bias[c];                                                                   \
                y[c] = a / (1 + EXP(-a));                                                                             \
            }                                                                                                         \
        }                                                                                                             \
    }                                                                                                                 \
    ALWAYS_INLINE void norm_silu_backward_body_##SUFFIX(const T *restrict gy, const T *restrict x, const T *restrict gain,\
                                     const T *restrict bias, T *restrict gx, T *restrict g_gain,                      \
                                     T *restrict g_bias, int64_t pixels, int64_t channels, T eps) {                   \
        T h[channels], part_gain[channels], part_bias[channels];                                                      \
        double sum_gain[channels], sum_bias[channels];                                                                \
        memset(sum_gain, 0, sizeof sum_gain);                                                                         \
        memset(sum_bias, 0, sizeof sum_bias);                                                                         \
        memset(part_gain, 0, sizeof part_gain);                                                                       \
        memset(part_bias, 0, sizeof part_bias);                                                                       \
        for (int64_t p = 0; p < pixels; p++, x += channels, gy += channels, gx += channels) {                         \
            T r = inverse_length_##SUFFIX(x, channels, eps), hn = 0;                                                  \
            for (int64_t c = 0; c < channels; c++) {                                                                  \
                T n = x[c] * r, a = n * gain[c] + bias[c], s = 1 / (1 + EXP(-a)), u = gy[c] * s * (1 + a * (1 - s));  \
                part_bias[c] += u;                                                                                    \
                part_gain[c] += u * n;                                                                                \
                h[c] = u * gain[c];                                                                                   \
                hn += h[c] * n;                                                                                       \
            }                                                                                                         \
            hn /= (T)channels;                                                                                        \
            for (int64_t c = 0; c < channels; c++) gx[c] = r * (h[c] - x[c] * r * hn);                                \
            if (p % BLOCK == BLOCK - 1 || p == pixels - 1) {                                                          \
                flush_##SUFFIX(part_gain, sum_gain, channels);                                                        \
                flush_##SUFFIX(part_bias, sum_bias, channels);                                                        \
            }                                                                                                         \
        }                                                                                                             \
        for (int64_t c = 0; c < channels; c++) { g_gain[c] = (T)sum_gain[c]; g_bias[c] = (T)sum_bias[c]; }            \
    }                                                                                                                 \
    ALWAYS_INLINE void norm_silu_double_backward_body_##SUFFIX(                                                       \
        const T *restrict px, const T *restrict p_gain, const T *restrict p_bias, const T *restrict gy,               \
        const T *restrict x, const T *restrict gain, const T *restrict bias, T *restrict o_gy, T *restrict o_x,       \
        T *restrict o_gain, T *restrict o_bias, int64_t pixels, int64_t channels, T eps) {                            \
        T gn[channels], part_gain[channels], part_bias[channels], inverse = 1 / (T)channels;                          \
        double sum_gain[channels], sum_bias[channels];                                                                \
        memset(sum_gain, 0, sizeof sum_gain);                                                                         \
        memset(sum_bias, 0, sizeof sum_bias);                                                                         \
        memset(part_gain, 0, sizeof part_gain);                                                                       \
        memset(part_bias, 0, sizeof part_bias);                                                                       \
        for (int64_t p = 0; p < pixels;                                                                               \
             p++, x += channels, gy += channels, px += channels, o_gy += channels, o_x += channels) {                 \
            T r = inverse_length_##SUFFIX(x, channels, eps), q = 0, hn = 0, ht = 0, nn = 0;                           \
            for (int64_t c = 0; c < channels; c++) q += px[c] * x[c];                                                 \
            q *= r * inverse;                                                                                         \
            for (int64_t c = 0; c < channels; c++) {                                                                  \
                T n = x[c] * r, a = n * gain[c] + bias[c], s = 1 / (1 + EXP(-a));                                     \
                T d1 = s * (1 + a * (1 - s)), d2 = s * (1 - s) * (2 + a * (1 - 2 * s));                               \
                T t = r * (px[c] - n * q), w = t * gain[c] + p_gain[c] * n + p_bias[c];                               \
                T u = gy[c] * d1, z = gy[c] * d2 * w, h = u * gain[c];                                                \
                o_gy[c] = d1 * w;                                                                                     \
                part_bias[c] += z;                                                                                    \
                part_gain[c] += z * n + u * t;                                                                        \
                gn[c] = z * gain[c] + u * p_gain[c] - r * q * h;                                                      \
                hn += h * n;                                                                                          \
                ht += h * t;                                                                                          \
                nn += gn[c] * n;                                                                                      \
            }                                                                                                         \
            T k = r * hn * inverse, along = (nn + ht) * inverse - k * q;                                              \
            for (int64_t c = 0; c < channels; c++) o_x[c] = r * (gn[c] - k * px[c] - x[c] * r * along);               \
            if (p % BLOCK == BLOCK - 1 || p == pixels - 1) {                                                          \
                flush_##SUFFIX(part_gain, sum_gain, channels);                                                        \
                flush_##SUFFIX(part_bias, sum_bias, channels);                                                        \
            }                                                                                                         \
        }                                                                                                             \
        for (int64_t c = 0; c < channels; c++) { o_gain[c] = (T)sum_gain[c]; o_bias[c] = (T)sum_bias[c]; }            \
    }                                                                                                                 \
    void norm_silu_##SUFFIX(const T *x, const T *gain, const T *bias, T *y, int64_t pixels, int64_t channels, T eps) {\
        WITH_CONSTANT_CHANNELS(norm_silu_body_##SUFFIX(x, gain, bias, y, pixels, channels, eps))                      \
    }                                                                                                                 \
    void norm_silu_backward_##SUFFIX(const T *gy, const T *x, const T *gain, const T *bias, T *gx, T *g_gain,         \
                                     T *g_bias, int64_t pixels, int64_t channels, T eps) {                            \
        WITH_CONSTANT_CHANNELS(                                                                                       \
            norm_silu_backward_body_##SUFFIX(gy, x, gain, bias, gx, g_gain, g_bias, pixels, channels, eps))           \
    }                                                                                                                 \
    void norm_silu_double_backward_##SUFFIX(const T *px, const T *p_gain, const T *p_bias, const T *gy, const T *x,   \
                                            const T *gain, const T *bias, T *o_gy, T *o_x, T *o_gain, T *o_bias,      \
                                            int64_t pixels, int64_t channels, T eps) {                                \
        WITH_CONSTANT_CHANNELS(norm_silu_double_backward_body_##SUFFIX(                                               \
            px, p_gain, p_bias, gy, x, gain, bias, o_gy, o_x, o_gain, o_bias, pixels, channels, eps))                 \
    }                                                                                                                 \
    void silu_backward_##SUFFIX(const T *restrict gy, const T *restrict x, T *restrict gx, int64_t count) {           \
        for (int64_t i = 0; i < count; i++) {                                                                         \
            T s = 1 / (1 + EXP(-x[i]));                                                                               \
            gx[i] = gy[i] * s * (1 + x[i] * (1 - s));                                                                 \
        }                                                                                                             \
    }                                                                                                                 \
    void silu_double_backward_##SUFFIX(const T *restrict px, const T *restrict gy, const T *restrict x,               \
                                       T *restrict o_gy, T *restrict o_x, int64_t count) {                            \
        for (int64_t i = 0; i < count; i++) {                                                                         \
            T a = x[i], s = 1 / (1 + EXP(-a));                                                                        \
            o_gy[i] = px[i] * s * (1 + a * (1 - s));                                                                  \
            o_x[i] = px[i] * gy[i] * s * (1 - s) * (2 + a * (1 - 2 * s));                                             \
        }                                                                                                             \
    }                                                                                                                 \
    void join_##SUFFIX(const T *restrict fine, const T *restrict coarse, T *restrict joined, int64_t rows,            \
                       int64_t columns, int64_t num_fine, int64_t num_coarse) {                                       \
        for (int64_t i = 0; i < rows; i++) {                                                                          \
            const T *source = coarse + i / 2 * (columns / 2) * num_coarse;                                            \
            for (int64_t j = 0; j < columns; j++, fine += num_fine, joined += num_fine + num_coarse) {                \
                memcpy(joined, fine, sizeof(T) * (size_t)num_fine);                                                   \
                memcpy(joined + num_fine, source + j / 2 * num_coarse, sizeof(T) * (size_t)num_coarse);               \
            }                                                                                                         \
        }                                                                                                             \
    }                                                                                                                 \
    void part_##SUFFIX(const T *restrict joined, T *restrict fine, T *restrict coarse, int64_t rows, int64_t columns, \
                       int64_t num_fine, int64_t num_coarse) {                                                        \
        memset(coarse, 0, sizeof(T) * (size_t)(rows / 2 * (columns / 2) * num_coarse));                               \
        for (int64_t i = 0; i < rows; i++) {                                                                          \
            T *target = coarse + i / 2 * (columns / 2) * num_coarse;                                                  \
            for (int64_t j = 0; j < columns; j++, fine += num_fine, joined += num_fine + num_coarse) {                \
                T *cell = target + j / 2 * num_coarse;                                                                \
                memcpy(fine, joined, sizeof(T) * (size_t)num_fine);                                                   \
                for (int64_t c = 0; c < num_coarse; c++) cell[c] += joined[num_fine + c];                             \
            }                                                                                                         \
        }                                                                                                             \
    }

DEFINE(float, f32, expf)
DEFINE(double, f64, exp)

#undef DEFINE

#define T float
#define NAME(name) name##_f32
#include "winograd.c"
#undef T
#undef NAME
#define T double
#define NAME(name) name##_f64
#include "winograd.c"

#include "device_kernels.c"
