"""The product of two matrices in C, for sizes that fit the cache: what a trial's step in C spends its time on.

The right factor is copied into panels two vectors wide, so that the inner loop reads it in one stream; eight rows of
the left one meet a panel at once, and their sums stay in registers. A library called from inside a step would cost
more than these products take: 32 x 64 x 32 is 2 microseconds.

Source: Goto & van de Geijn 2008, the inner kernel, without its blocking for sizes beyond the cache.
"""

from __future__ import annotations

__all__ = ["PRODUCT", "VECTOR", "panel_room"]

VECTOR = 16
"""Floats in a vector as C is told; a processor with shorter ones takes several."""

PRODUCT = """\
enum { LANES = 16 };  /* floats in a vector */
typedef float VECTOR __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define INLINE static inline __attribute__((always_inline))

/* rows * wide vectors of c: each row is a row of a times the panel. */
INLINE void tile(const int rows, const int wide, int64_t depth, const float *a, int64_t down, const float *panel,
                 float *c, int64_t apart, int64_t columns)
{
    VECTOR sum[8][2];
    #pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
        #pragma GCC unroll 2
        for (int j = 0; j < wide; j++) sum[i][j] = (VECTOR){0};
    for (int64_t k = 0; k < depth; k++) {
        const VECTOR *b = (const VECTOR *)(panel + k * wide * LANES);
        #pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            const float one = a[i * down + k];
            #pragma GCC unroll 2
            for (int j = 0; j < wide; j++) sum[i][j] += one * b[j];
        }
    }
    #pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        if (columns == wide * LANES) {
            #pragma GCC unroll 2
            for (int j = 0; j < wide; j++) *(VECTOR *)(c + i * apart + j * LANES) = sum[i][j];
        } else {
            VECTOR last[2];
            #pragma GCC unroll 2
            for (int j = 0; j < wide; j++) last[j] = sum[i][j];
            memcpy(c + i * apart, last, 4 * columns);
        }
    }
}

#define DOWN_THE_ROWS(WIDE) { \\
    int64_t i = 0; \\
    for (; i + 8 <= m; i += 8) tile(8, WIDE, depth, a + i * down, down, panel, c + i * apart, apart, columns); \\
    if (m - i >= 4) { tile(4, WIDE, depth, a + i * down, down, panel, c + i * apart, apart, columns); i += 4; } \\
    if (m - i >= 2) { tile(2, WIDE, depth, a + i * down, down, panel, c + i * apart, apart, columns); i += 2; } \\
    if (m - i >= 1) tile(1, WIDE, depth, a + i * down, down, panel, c + i * apart, apart, columns); }

static __attribute__((noinline)) void narrow_panel(int64_t m, int64_t depth, const float *a, int64_t down,
    const float *panel, float *c, int64_t apart, int64_t columns) DOWN_THE_ROWS(1)
static __attribute__((noinline)) void broad_panel(int64_t m, int64_t depth, const float *a, int64_t down,
    const float *panel, float *c, int64_t apart, int64_t columns) DOWN_THE_ROWS(2)

/* Rows of a [rows, columns] become columns: to [columns, rows]. Sixteen at a time, by halves of halves of vectors. */
static __attribute__((noinline)) void transpose(int64_t rows, int64_t columns, const float *a, int64_t down, float *to)
{
    typedef int32_t PLACES __attribute__((vector_size(4 * LANES)));
    const PLACES even[4] = {
        {0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30},
        {0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29},
        {0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27},
        {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}};
    for (int64_t i = 0; i < rows; i += LANES)
        for (int64_t j = 0; j < columns; j += LANES) {
            if (i + LANES > rows || j + LANES > columns) {
                for (int64_t r = i; r < rows && r < i + LANES; r++)
                    for (int64_t c = j; c < columns && c < j + LANES; c++) to[c * rows + r] = a[r * down + c];
                continue;
            }
            VECTOR v[LANES];
            #pragma GCC unroll 16
            for (int r = 0; r < LANES; r++) v[r] = *(const VECTOR *)(a + (i + r) * down + j);
            #pragma GCC unroll 4
            for (int s = 0; s < 4; s++)
                #pragma GCC unroll 16
                for (int r = 0; r < LANES; r++)
                    if (!(r >> s & 1)) {
                        const VECTOR one = v[r], other = v[r + (1 << s)];
                        v[r] = __builtin_shuffle(one, other, even[s]);
                        v[r + (1 << s)] = __builtin_shuffle(one, other, even[s] + (1 << s));
                    }
            #pragma GCC unroll 16
            for (int r = 0; r < LANES; r++) *(VECTOR *)(to + (j + r) * rows + i) = v[r];
        }
}

/* Columns of b, [depth, columns], side by side in a panel of a fixed width; zeros where there are fewer. */
static __attribute__((noinline)) void pack(int64_t depth, int64_t columns, int64_t width, const float *b, int64_t down,
                                           float *panel)
{
    for (int64_t k = 0; k < depth; k++) {
        float *row = panel + k * width;
        if (columns == 2 * LANES) memcpy(row, b + k * down, 8 * LANES);
        else memcpy(row, b + k * down, 4 * columns);
        for (int64_t j = columns; j < width; j++) row[j] = 0;
    }
}

/* c [m, n] = a [m, depth] b [depth, n]; down: from one row to the next. */
static void product(int64_t m, int64_t n, int64_t depth, const float *a, int64_t a_down, const float *b, int64_t b_down,
                    float *c, float *panel)
{
    for (int64_t j = 0; j < n; j += 2 * LANES) {
        const int64_t columns = n - j < 2 * LANES ? n - j : 2 * LANES;
        const int64_t width = columns > LANES ? 2 * LANES : LANES;
        pack(depth, columns, width, b + j, b_down, panel);
        (width > LANES ? broad_panel : narrow_panel)(m, depth, a, a_down, panel, c + j, n, columns);
    }
}
"""


def panel_room(depth: int) -> int:
    """Bytes of a panel for a product over `depth`.

    >>> panel_room(10)
    1280
    """
    return depth * 2 * VECTOR * 4
