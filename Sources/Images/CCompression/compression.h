// The two decompressors that container layers need, from the distribution's packages.
#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>
