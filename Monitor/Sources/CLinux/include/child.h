// A child process that borrows its parent's memory until it executes another program.
#ifndef SWIFTLET_CHILD_H
#define SWIFTLET_CHILD_H

#include <stdint.h>

#include <asm/unistd.h>

/// CLONE_VM, CLONE_VFORK and SIGCHLD.
#define LINUX_BORROWING_CHILD (0x00000100 | 0x00004000 | 17)

#if defined(__x86_64__)
/// Runs `body(context)` in a child on the stack that ends at `stack_top` (16-byte aligned) while the calling thread waits.
/// The child shares all memory; it ends with `body`'s result as its exit status, or by executing a program.
/// Returns the child's process identifier, or minus an error number.
/// Source: clone(2), CLONE_VM and CLONE_VFORK.
static inline intptr_t linux_run_child(intptr_t (*body)(void *context), void *context, void *stack_top) {
    void **stack = (void **)stack_top;
    stack[-1] = context;
    stack[-2] = (void *)body;
    register intptr_t r10 __asm__("r10") = 0;
    register intptr_t r8 __asm__("r8") = 0;
    intptr_t result;
    __asm__ volatile("syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xorl %%ebp, %%ebp\n\t"
                     "popq %%rax\n\t"
                     "popq %%rdi\n\t"
                     "callq *%%rax\n\t"
                     "movl %%eax, %%edi\n\t"
                     "movl %[leave], %%eax\n\t"
                     "syscall\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "a"((intptr_t)__NR_clone), "D"((intptr_t)LINUX_BORROWING_CHILD), "S"(&stack[-2]), "d"(0),
                       "r"(r10), "r"(r8), [leave] "i"(__NR_exit_group)
                     : "rcx", "r11", "memory");
    return result;
}
#else
#error "this architecture has no way to run a child yet"
#endif

#endif
