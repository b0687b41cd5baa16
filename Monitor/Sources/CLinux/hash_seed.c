#include "system_call.h"

#include <stddef.h>
#include <stdint.h>

#include <asm/unistd.h>

// The C library that embedded programs are linked with has none, and Swift seeds its sets and dictionaries by it. In other
// programs the C library's own comes first.
__attribute__((weak)) void arc4random_buf(void *buffer, size_t count) {
    uint8_t *place = buffer;
    while (count > 0) {
        intptr_t filled = linux_system_call(__NR_getrandom, (intptr_t)place, (intptr_t)count, 0, 0, 0, 0);
        if (filled <= 0) continue;
        place += filled;
        count -= (size_t)filled;
    }
}
