/* Pixel norm and SiLU of a stack of tasks, each derivative in one pass: CUDA for a GPU, and C for a CPU.
 *
 * Pictures are dense, [pictures][tasks][channels][pixels]; gain and bias are [sets][channels], of each task or one set
 * for all. One thread has one pixel with all its channels, so that no thread waits for another and no sum depends on
 * their order. What gain and bias get of each pixel goes to `parts`, [pictures][gain, bias][tasks][channels][pixels],
 * to be summed. Names and formulas are those of kernels.c and pixel_norm.py.
 */
#ifdef __CUDACC__
#define KERNEL extern "C" __global__ void
#define EACH(i, count) \
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; \
    if (i < (count))
typedef int size; /* as torch hands over whole numbers */
#define REAL(T) double /* and fractions */
#else
#include <math.h>
#include <stdint.h>
#define KERNEL void
#define EACH(i, count) for (long long i = 0; i < (count); i++)
typedef int64_t size;
#define REAL(T) T
#endif

#define SIZES size pictures, size tasks, size channels, size pixels, size sets
#define NUM_PIXELS (long long)pictures * tasks * pixels

/* Where pixel i begins in a picture, and its row of gain and bias. */
#define PLACE(i) \
    long long picture = (i) / pixels / tasks, task = (i) / pixels % tasks, row = task % sets * channels; \
    long long at = (picture * tasks + task) * channels * pixels + (i) % pixels;

/* Where it begins in both halves of `parts`. */
#define PARTS \
    long long of_gain = at + picture * tasks * channels * pixels, of_bias = of_gain + (long long)tasks * channels * pixels;

#define INVERSE_LENGTH(T, SQRT) \
    T r = 0; \
    for (int c = 0; c < channels; c++) r += x[at + c * (long long)pixels] * x[at + c * (long long)pixels]; \
    r = 1 / SQRT(r / channels + (T)eps);

#define DEFINE(T, SUFFIX, EXP, SQRT) \
    KERNEL stacked_norm_silu_##SUFFIX(const T *x, const T *gain, const T *bias, T *y, SIZES, REAL(T) eps) { \
        EACH(i, NUM_PIXELS) { \
            PLACE(i) \
            INVERSE_LENGTH(T, SQRT) \
            for (int c = 0; c < channels; c++, at += pixels) { \
                T a = x[at] * r * gain[row + c] + bias[row + c]; \
                y[at] = a / (1 + EXP(-a)); \
            } \
        } \
    } \
    KERNEL stacked_norm_silu_backward_##SUFFIX( \
        const T *gy, const T *x, const T *gain, const T *bias, T *gx, T *parts, SIZES, REAL(T) eps) { \
        EACH(i, NUM_PIXELS) { \
            PLACE(i) \
            PARTS \
            INVERSE_LENGTH(T, SQRT) \
            T k = 0; \
            for (int c = 0; c < channels; c++) { \
                long long j = c * (long long)pixels; \
                T n = x[at + j] * r, a = n * gain[row + c] + bias[row + c], s = 1 / (1 + EXP(-a)); \
                T u = gy[at + j] * s * (1 + a * (1 - s)), h = u * gain[row + c]; \
                parts[of_gain + j] = u * n; \
                parts[of_bias + j] = u; \
                gx[at + j] = h; \
                k += h * n; \
            } \
            k /= channels; \
            for (int c = 0; c < channels; c++, at += pixels) gx[at] = r * (gx[at] - x[at] * r * k); \
        } \
    } \
    KERNEL stacked_norm_silu_double_backward_##SUFFIX( \
        const T *px, const T *p_gain, const T *p_bias, const T *gy, const T *x, const T *gain, const T *bias, \
        T *o_gy, T *o_x, T *parts, SIZES, REAL(T) eps) { \
        EACH(i, NUM_PIXELS) { \
            PLACE(i) \
            PARTS \
            INVERSE_LENGTH(T, SQRT) \
            T m = 0, hn = 0, ht = 0, zn = 0; \
            for (int c = 0; c < channels; c++) m += px[at + c * (long long)pixels] * x[at + c * (long long)pixels]; \
            m *= r / channels; \
            for (int c = 0; c < channels; c++) { \
                long long j = c * (long long)pixels; \
                T g = gain[row + c], n = x[at + j] * r, a = n * g + bias[row + c], s = 1 / (1 + EXP(-a)); \
                T d1 = s * (1 + a * (1 - s)), d2 = s * (1 - s) * (2 + a * (1 - 2 * s)); \
                T t = r * (px[at + j] - n * m), w = t * g + p_gain[row + c] * n + p_bias[row + c]; \
                T u = gy[at + j] * d1, q = gy[at + j] * d2 * w, h = u * g, z = q * g + u * p_gain[row + c] - r * m * h; \
                o_gy[at + j] = d1 * w; \
                parts[of_gain + j] = q * n + u * t; \
                parts[of_bias + j] = q; \
                o_x[at + j] = z; \
                hn += h * n; \
                ht += h * t; \
                zn += z * n; \
            } \
            T k = r * hn / channels, along = (zn + ht) / channels - k * m; \
            for (int c = 0; c < channels; c++, at += pixels) \
                o_x[at] = r * (o_x[at] - k * px[at] - x[at] * r * along); \
        } \
    }

DEFINE(float, f32, expf, sqrtf)
DEFINE(double, f64, exp, sqrt)
