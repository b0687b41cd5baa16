// The one way into the kernel. The result is the kernel's own: a value, or minus an error number.
#ifndef SWIFTLET_SYSTEM_CALL_H
#define SWIFTLET_SYSTEM_CALL_H

#include <stdint.h>

#if defined(__x86_64__)
static inline intptr_t linux_system_call(intptr_t number, intptr_t a, intptr_t b, intptr_t c, intptr_t d, intptr_t e,
                                         intptr_t f) {
    register intptr_t r10 __asm__("r10") = d;
    register intptr_t r8 __asm__("r8") = e;
    register intptr_t r9 __asm__("r9") = f;
    intptr_t result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#else
#error "this architecture has no system call entry yet"
#endif

#endif
