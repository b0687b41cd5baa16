// Threads and signals, the two places where a C library must take part.
#ifndef SWIFTLET_THREADS_H
#define SWIFTLET_THREADS_H

#include <stddef.h>
#include <stdint.h>

/// Starts a detached thread that runs `entry(context)`. Returns 0 or minus an error number.
int linux_thread_start(void (*entry)(void *context), void *context, size_t stack_bytes);

/// Installs a handler that does nothing, so that the signal only interrupts a blocking call.
int linux_signal_interrupts(int signal_number);

/// Ignores a signal from now on.
int linux_signal_ignore(int signal_number);

/// The program's arguments and environment, as the C library received them (`NULL`-terminated).
extern char **environ;

#endif
