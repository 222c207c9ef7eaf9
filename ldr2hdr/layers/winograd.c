/* 3x3 convolutions of channels-last pictures by Winograd's F(2x2, 3x3): 16 products in place of 36.
 *
 * A picture is cut into tiles d of 4x4 pixels that overlap by two, each of which gives 2x2 results. With a kernel g,
 *
 *   y = A'[(G g G') * (B' d B)]A,      and with the gradient e of y, that of g is      G'[(B' d B) * (A e A')]G.
 *
 * For each of the 16 places in a tile, * is a product of matrices: tiles by channels, and channels by channels. The
 * gradient of d is the convolution of e by kernels that are flipped and lead back.
 *
 * Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, sec. 4.1.
 *
 * Included once for each type T. Heights and widths are even. Kernels are (out, 3, 3, in) in memory. `scratch` is laid
 * out by the two functions at the end, and its size is reckoned in winograd.py; channels are padded to whole PANELs in
 * it. The transformed place i of everything lies `stride` numbers behind that of i - 1, which is no power of two, so
 * that the 16 do not fall on the same lines of the cache.
 */
#ifndef PANEL
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
/* Rows of a product whose sums fit into registers, of which AVX has 16, and its successor and ARM 32 */
#define MOST_ROWS (VECTOR_BYTES == 32 ? 8 : 16)
#define PANEL 16
#define UNROLL _Pragma("GCC unroll 16")

static int64_t pad(int64_t channels) { return (channels + PANEL - 1) / PANEL * PANEL; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
/* Where column c of row r is in a matrix that is cut into panels of some columns, each dense */
static int64_t place(int64_t r, int64_t c, int64_t rows, int64_t panel) { return (c / panel * rows + r) * panel + c % panel; }
#endif

typedef T NAME(vector) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));
#define VECTOR NAME(vector)
#define LANES ((int64_t)(VECTOR_BYTES / sizeof(T)))
#define AT(pointer) (*(VECTOR *)(pointer))
#define FROM(pointer) (*(const VECTOR *)(pointer))

/* c = a b, or c += a b, for some rows of a, and a few vectors of columns */
ALWAYS_INLINE void NAME(multiply_block)(const T *restrict a, int64_t by_row, int64_t by_depth, int64_t by_panel,
                                        const T *restrict b, T *restrict c, int64_t columns, int64_t depth, int rows,
                                        int vectors, int adds) {
    VECTOR sum[16][3];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = adds ? FROM(c + r * columns + v * LANES) : (VECTOR){0};
    for (int64_t start = 0; start < depth; start += PANEL, a += by_panel)
        for (int64_t k = 0; k < least(depth - start, PANEL); k++, b += vectors * LANES)
            UNROLL for (int r = 0; r < rows; r++)
                UNROLL for (int v = 0; v < vectors; v++)
                    sum[r][v] += a[r * by_row + k * by_depth] * FROM(b + v * LANES);
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++) AT(c + r * columns + v * LANES) = sum[r][v];
}

ALWAYS_INLINE void NAME(multiply_panels)(const T *a, int is_transposed, const T *b, T *c, int64_t columns,
                                         int64_t rows, int64_t depth, int adds, int vectors) {
    for (int64_t n = 0; n < columns; n += vectors * LANES, b += depth * vectors * LANES) {
        int64_t r = 0;
#define BLOCKS(NUM)                                                                                                   \
    for (; r + NUM <= rows; r += NUM) {                                                                               \
        T *to = c + r * columns + n;                                                                                  \
        if (is_transposed)                                                                                            \
            NAME(multiply_block)(a + place(0, r, depth, PANEL), 1, PANEL, PANEL * PANEL, b, to, columns, depth, NUM,  \
                                 vectors, adds);                                                                      \
        else                                                                                                          \
            NAME(multiply_block)(a + r * PANEL, PANEL, 1, rows * PANEL, b, to, columns, depth, NUM, vectors, adds);   \
    }
        if (vectors == 1) { BLOCKS(MOST_ROWS) }
        BLOCKS(MOST_ROWS / 2)
        BLOCKS(4)
        BLOCKS(1)
#undef BLOCKS
    }
}

static int64_t NAME(vectors_of)(int64_t columns) {
    int64_t vectors = columns / LANES;
    return vectors % 2 == 0 ? 2 : vectors % 3 == 0 ? 3 : 1;
}

/* c = a b, or c += a b. The columns of a are in PANELs, or its rows if it is transposed; those of b in vectors_of. */
static void NAME(multiply)(const T *a, int is_transposed, const T *b, T *c, int64_t columns, int64_t rows,
                           int64_t depth, int adds) {
    switch (NAME(vectors_of)(columns)) {
        case 1: NAME(multiply_panels)(a, is_transposed, b, c, columns, rows, depth, adds, 1); break;
        case 2: NAME(multiply_panels)(a, is_transposed, b, c, columns, rows, depth, adds, 2); break;
        default: NAME(multiply_panels)(a, is_transposed, b, c, columns, rows, depth, adds, 3);
    }
}

/* (pictures, height, width, channels), of which the tiles `first` to `first + count` are looked at */
typedef struct {
    int64_t height, width, channels, first, count;
} NAME(tiles);

/* Where the 2x2 pixels of a tile begin */
static int64_t NAME(corner)(NAME(tiles) s, int64_t t) {
    int64_t across = s.width / 2, tile = s.first + t;
    return (tile / across * 2 * s.width + tile % across * 2) * s.channels;
}

/* B' d B; there are zeros around a picture */
static void NAME(transform_pictures)(const T *x, NAME(tiles) s, const T *zeros, T *out, int64_t stride, int64_t panel) {
    for (int64_t t = 0; t < s.count; t++) {
        int64_t tile = (s.first + t) % (s.height * s.width / 4), row = tile / (s.width / 2) * 2 - 1,
                column = tile % (s.width / 2) * 2 - 1, start = NAME(corner)(s, t) - (s.width + 1) * s.channels;
        int64_t is_inside = row >= 0 && column >= 0 && row + 3 < s.height && column + 3 < s.width;
        const T *pixel[4][4];
        for (int64_t i = 0; i < 4; i++)
            for (int64_t j = 0; j < 4; j++) {
                int64_t is_there = is_inside || (row + i >= 0 && row + i < s.height && column + j >= 0 && column + j < s.width);
                pixel[i][j] = is_there ? x + start + (i * s.width + j) * s.channels : zeros;
            }
        for (int64_t c = 0; c < s.channels; c += LANES) {
            T *to = out + place(t, c, s.count, panel);
            VECTOR half[4][4];
            for (int j = 0; j < 4; j++) {
                VECTOR d0 = FROM(pixel[0][j] + c), d1 = FROM(pixel[1][j] + c), d2 = FROM(pixel[2][j] + c),
                       d3 = FROM(pixel[3][j] + c);
                half[0][j] = d0 - d2, half[1][j] = d1 + d2, half[2][j] = d2 - d1, half[3][j] = d1 - d3;
            }
            for (int i = 0; i < 4; i++, to += 4 * stride) {
                VECTOR *d = half[i];
                AT(to) = d[0] - d[2], AT(to + stride) = d[1] + d[2];
                AT(to + 2 * stride) = d[2] - d[1], AT(to + 3 * stride) = d[1] - d[3];
            }
        }
    }
}

/* A e A', and e added to a sum over all pixels */
static void NAME(transform_gradients)(const T *e, NAME(tiles) s, T *sum, T *out, int64_t stride) {
    int64_t row = s.width * s.channels;
    for (int64_t t = 0; t < s.count; t++) {
        const T *from = e + NAME(corner)(s, t);
        for (int64_t c = 0; c < s.channels; c += LANES, from += LANES) {
            T *to = out + place(t, c, s.count, PANEL);
            VECTOR e00 = FROM(from), e01 = FROM(from + s.channels), e10 = FROM(from + row),
                   e11 = FROM(from + row + s.channels);
            VECTOR half[4][2] = {{e00, e01}, {e00 + e10, e01 + e11}, {e00 - e10, e01 - e11}, {-e10, -e11}};
            AT(sum + c) += half[1][0] + half[1][1];
            for (int i = 0; i < 4; i++, to += 4 * stride) {
                VECTOR *d = half[i];
                AT(to) = d[0], AT(to + stride) = d[0] + d[1];
                AT(to + 2 * stride) = d[0] - d[1], AT(to + 3 * stride) = -d[1];
            }
        }
    }
}

/* A' m A + bias, but for the channels that are padding */
static void NAME(restore_pictures)(const T *m, int64_t stride, const T *bias, T *y, NAME(tiles) s) {
    for (int64_t t = 0; t < s.count; t++) {
        for (int64_t c = 0; c < s.channels; c += LANES) {
            T *corner = y + NAME(corner)(s, t) + c;
            VECTOR half[2][4], start = FROM(bias + c);
            for (int j = 0; j < 4; j++) {
                const T *from = m + j * stride + t * pad(s.channels) + c;
                VECTOR m0 = FROM(from), m1 = FROM(from + 4 * stride), m2 = FROM(from + 8 * stride),
                       m3 = FROM(from + 12 * stride);
                half[0][j] = m0 + m1 + m2, half[1][j] = m1 - m2 - m3;
            }
            for (int i = 0; i < 2; i++) {
                VECTOR *d = half[i], pair[2] = {d[0] + d[1] + d[2] + start, d[1] - d[2] - d[3] + start};
                for (int j = 0; j < 2; j++) {
                    T *to = corner + (i * s.width + j) * s.channels;
                    if (c + LANES <= s.channels)
                        AT(to) = pair[j];
                    else
                        for (int64_t k = 0; k < s.channels - c; k++) to[k] = pair[j][k];
                }
            }
        }
    }
}

/* G g G' of PANEL rows and LANES columns of kernels, that have a row for each channel they read */
ALWAYS_INLINE void NAME(transform_kernel_block)(const T *w, int64_t by_row, int64_t by_column, int64_t by_tap,
                                                int64_t rows, int64_t columns, int64_t row, int64_t column, T *out,
                                                int64_t stride) {
    int64_t panel = NAME(vectors_of)(pad(columns)) * LANES, num = least(columns - column, LANES);
    for (int64_t r = row; r < least(row + PANEL, rows); r++) {
        VECTOR g[9], half[4][3];
        for (int tap = 0; tap < 9; tap++) {
            const T *from = w + r * by_row + column * by_column + tap * by_tap;
            if (by_column == 1 && num == LANES)
                g[tap] = FROM(from);
            else {
                T lanes[VECTOR_BYTES / sizeof(T)] = {0};
                for (int64_t l = 0; l < num; l++) lanes[l] = from[l * by_column];
                g[tap] = FROM(lanes);
            }
        }
        for (int j = 0; j < 3; j++) {
            VECTOR outer = (g[j] + g[6 + j]) / 2, inner = g[3 + j] / 2;
            half[0][j] = g[j], half[1][j] = outer + inner, half[2][j] = outer - inner, half[3][j] = g[6 + j];
        }
        T *to = out + place(r, column, rows, panel);
        for (int i = 0; i < 4; i++, to += 4 * stride) {
            VECTOR *d = half[i], outer = (d[0] + d[2]) / 2, inner = d[1] / 2;
            AT(to) = d[0], AT(to + stride) = outer + inner;
            AT(to + 2 * stride) = outer - inner, AT(to + 3 * stride) = d[2];
        }
    }
}

static void NAME(transform_kernels)(const T *w, int64_t rows, int64_t columns, int is_adjoint, T *out, int64_t stride) {
    for (int64_t r = 0; r < rows; r += PANEL)
        for (int64_t c = 0; c < pad(columns); c += LANES)
            if (is_adjoint)
                NAME(transform_kernel_block)(w + 8 * columns, 9 * columns, 1, -columns, rows, columns, r, c, out, stride);
            else
                NAME(transform_kernel_block)(w, 1, 9 * rows, rows, rows, columns, r, c, out, stride);
}

/* G' u G */
static void NAME(restore_kernels)(const T *u, int64_t stride, T *w, int64_t in, int64_t out) {
    for (int64_t o = 0; o < out; o++)
        for (int64_t c = 0; c < in; c++) {
            T half[3][4];
            for (int j = 0; j < 4; j++) {
                const T *d = u + o * pad(in) + c + j * stride;
                T outer = (d[4 * stride] + d[8 * stride]) / 2;
                half[0][j] = d[0] + outer, half[1][j] = (d[4 * stride] - d[8 * stride]) / 2;
                half[2][j] = outer + d[12 * stride];
            }
            for (int i = 0; i < 3; i++) {
                T *to = w + (o * 9 + 3 * i) * in + c, *d = half[i], outer = (d[1] + d[2]) / 2;
                to[0] = d[0] + outer, to[in] = (d[1] - d[2]) / 2, to[2 * in] = outer + d[3];
            }
        }
}

/* Pictures of whole PANELs: themselves, or a copy, behind which `space` then begins */
static const T *NAME(whole_panels)(const T *x, int64_t pixels, int64_t channels, T **space) {
    if (channels == pad(channels)) return x;
    T *copy = *space;
    *space += pixels * pad(channels);
    memset(copy, 0, sizeof(T) * (size_t)(pixels * pad(channels)));
    for (int64_t p = 0; p < pixels; p++)
        memcpy(copy + p * pad(channels), x + p * channels, sizeof(T) * (size_t)channels);
    return copy;
}

/* y = x convolved; the adjoint leads from gradients of `in` channels back to `out` ones. `most` tiles at once. */
void NAME(convolve)(const T *x, const T *w, const T *bias, T *y, T *scratch, int64_t pictures, int64_t height,
                    int64_t width, int64_t in, int64_t out, int64_t most, int64_t is_adjoint) {
    int64_t by_u = in * pad(out) + PANEL, by_v = most * pad(in) + PANEL, by_m = most * pad(out) + PANEL;
    T *zeros = scratch, *start = zeros + pad(in), *u = start + pad(out), *v = u + 16 * by_u, *m = v + 16 * by_v,
      *space = m + 16 * by_m;
    memset(zeros, 0, sizeof(T) * (size_t)(pad(in) + pad(out)));
    if (bias) memcpy(start, bias, sizeof(T) * (size_t)out);
    x = NAME(whole_panels)(x, pictures * height * width, in, &space);
    NAME(transform_kernels)(w, in, out, (int)is_adjoint, u, by_u);
    for (int64_t first = 0, end = pictures * height * width / 4; first < end; first += most) {
        int64_t count = least(end - first, most);
        NAME(transform_pictures)(x, (NAME(tiles)){height, width, pad(in), first, count}, zeros, v, by_v, PANEL);
        for (int i = 0; i < 16; i++)
            NAME(multiply)(v + i * by_v, 0, u + i * by_u, m + i * by_m, pad(out), count, in, 0);
        NAME(restore_pictures)(m, by_m, start, y, (NAME(tiles)){height, width, out, first, count});
    }
}

/* Gradients of kernels and biases, from pictures x and gradients e */
void NAME(convolve_backward)(const T *x, const T *e, T *gw, T *g_bias, T *scratch, int64_t pictures, int64_t height,
                             int64_t width, int64_t in, int64_t out, int64_t most) {
    int64_t pixels = pictures * height * width, by_u = pad(out) * pad(in) + PANEL, by_v = most * pad(in) + PANEL,
            by_m = most * pad(out) + PANEL;
    T *zeros = scratch, *sum = zeros + pad(in), *u = sum + pad(out), *v = u + 16 * by_u, *m = v + 16 * by_v,
      *space = m + 16 * by_m;
    memset(zeros, 0, sizeof(T) * (size_t)(pad(in) + pad(out)));
    x = NAME(whole_panels)(x, pixels, in, &space);
    e = NAME(whole_panels)(e, pixels, out, &space);
    for (int64_t first = 0; first < pixels / 4; first += most) {
        int64_t count = least(pixels / 4 - first, most);
        NAME(transform_pictures)(x, (NAME(tiles)){height, width, pad(in), first, count}, zeros, v, by_v,
                                 NAME(vectors_of)(pad(in)) * LANES);
        NAME(transform_gradients)(e, (NAME(tiles)){height, width, pad(out), first, count}, sum, m, by_m);
        for (int i = 0; i < 16; i++)
            NAME(multiply)(m + i * by_m, 1, v + i * by_v, u + i * by_u, pad(in), out, count, first > 0);
    }
    memcpy(g_bias, sum, sizeof(T) * (size_t)out);
    NAME(restore_kernels)(u, by_u, gw, in, out);
}

#undef VECTOR
#undef LANES
#undef AT
#undef FROM
