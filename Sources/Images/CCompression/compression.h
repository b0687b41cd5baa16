// What layers are compressed with, and what disks are: from the distribution's packages.
#define ZLIB_CONST
#include <lz4hc.h>
#include <zlib.h>
#include <zstd.h>
