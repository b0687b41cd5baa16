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

/// Installs a handler of SIGSYS that calls `report` with the filter's data, the refused call's number and its first
/// three arguments, and then ends the process by that signal.
void linux_report_refused_calls(void (*report)(int32_t data, int32_t call, const uintptr_t arguments[3]));

/// Installs a handler of SIGBUS that says what happened, and ends the process with status 1.
void linux_report_lost_pages(void);

/// Lets go of the program's own code in memory; what is run again comes back from its file. Any thread.
void linux_release_program_code(void);

/// The program's environment, as the C library received it (`NULL`-terminated).
extern char **environ;

/// The program's arguments (`NULL`-terminated): the kernel puts them in front of the environment, and their number in front
/// of them. As long as the environment is the one that the process was started with. Source: System V ABI, AMD64, 3.4.1.
char **linux_program_arguments(void);

#endif
